/** One kind of resource of an API server. */
export interface ResourceType {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  readonly name?: string;
  readonly generateName?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string | null;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
  readonly managedFields?: readonly unknown[];
}

/** Raw JSON as the API server sends it; dates are strings. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

export interface ListOptions {
  /** Without it: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Page size; all pages are fetched. Default 500. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

export interface ListResult<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
}

export interface WatchOptions {
  /** Without it: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly resourceVersion?: string;
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
  /** Called once the server has accepted the request, before any event. */
  readonly onOpen?: () => void;
}

export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

export interface WriteOptions {
  readonly namespace?: string;
  readonly fieldManager?: string;
  readonly dryRun?: boolean;
  readonly subresource?: string;
  readonly signal?: AbortSignal;
}

export interface PatchOptions extends WriteOptions {
  readonly patchType: 'merge' | 'json' | 'strategic';
}

export interface ApplyOptions extends WriteOptions {
  readonly fieldManager: string;
  readonly force?: boolean;
}

export interface DeleteOptions {
  readonly namespace?: string;
  readonly propagationPolicy?: 'Foreground' | 'Background' | 'Orphan';
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

export interface LogOptions {
  readonly container?: string;
  readonly tailLines?: number;
  readonly previous?: boolean;
}

export interface ExecOptions {
  readonly container?: string;
  /** Default 60 000. */
  readonly timeoutMs?: number;
  /** Aborted: the connection is closed and the call rejects. */
  readonly signal?: AbortSignal;
  /** Called with each piece of standard output as it comes. */
  readonly onStdout?: (text: string) => void;
  /**
   * Written to standard input when it resolves, after which the input ends (not with API servers before Kubernetes 1.30);
   * without it there is none.
   */
  readonly stdin?: Promise<string>;
}

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Raw JSON over one pooled connection set per server. Rejects with KubeApiError (status >= 300) or KubeConnectionError. */
export interface KubeClient {
  /** The server's URL, for messages. */
  readonly server: string;
  get<T extends KubeObject>(
    type: ResourceType,
    name: string,
    options?: { namespace?: string; signal?: AbortSignal },
  ): Promise<T>;
  /** Like get, but undefined when the server answers 404. */
  find<T extends KubeObject>(
    type: ResourceType,
    name: string,
    options?: { namespace?: string; signal?: AbortSignal },
  ): Promise<T | undefined>;
  list<T extends KubeObject>(type: ResourceType, options?: ListOptions): Promise<ListResult<T>>;
  /** One watch request; ends when the server ends it. Store does the healing. */
  watch<T extends KubeObject>(type: ResourceType, options: WatchOptions): AsyncIterable<WatchEvent<T>>;
  create<T extends KubeObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T>;
  replace<T extends KubeObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T>;
  /** Server-side apply. */
  apply<T extends KubeObject>(type: ResourceType, object: T, options: ApplyOptions): Promise<T>;
  patch<T extends KubeObject>(type: ResourceType, name: string, patch: unknown, options: PatchOptions): Promise<T>;
  /** Resolves also when the object was not there: false then. */
  delete(type: ResourceType, name: string, options?: DeleteOptions): Promise<boolean>;
  /** Any other request (discovery, /version, subresource POSTs such as token, selfsubjectaccessreviews). */
  request<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T>;
  logs(namespace: string, pod: string, options?: LogOptions): Promise<string>;
  exec(namespace: string, pod: string, command: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  close(): void;
}
