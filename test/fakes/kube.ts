import { randomUUID } from 'node:crypto';
import type {
  ApplyOptions,
  DeleteOptions,
  ExecOptions,
  ExecResult,
  KubeClient,
  KubeObject,
  ListOptions,
  ListResult,
  LogOptions,
  PatchOptions,
  ResourceType,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from '../../src/kube/client.ts';
import { KubeApiError, KubeConnectionError, isNotFound } from '../../src/kube/errors.ts';
import { apiVersionOf, resourcePath } from '../../src/kube/resources.ts';
import { ApplyConflictError } from '../../src/kube/managedfields.ts';
import { jsonPatch, strategicPatch } from '../../src/kube/patch.ts';
import { applyFields, ownersAfterUpdate, type Owners } from './kube-apply.ts';
import { matchesFields, matchesLabels } from './kube-selectors.ts';

interface Stored {
  readonly object: KubeObject;
  readonly owners: Owners;
}

interface HistoryEntry {
  readonly version: number;
  readonly resource: string;
  readonly before: KubeObject | undefined;
  readonly after: KubeObject | undefined;
  readonly deleted: KubeObject | undefined;
}

/** One request as it reached the fake, before it was carried out or made to fail. */
export interface FakeCall {
  readonly verb: 'get' | 'list' | 'watch' | 'create' | 'replace' | 'apply' | 'patch' | 'delete' | 'request';
  readonly resource: string;
  readonly name?: string;
  readonly namespace?: string;
}

interface Watcher {
  readonly resource: string;
  readonly wake: () => void;
  broken: Error | 'expired' | 'ended' | undefined;
}

/** Resources whose status is written through the status subresource only. */
const WITH_STATUS = new Set([
  'pods',
  'nodes',
  'services',
  'namespaces',
  'daemonsets',
  'deployments',
  'submariners',
  'brokers',
  'servicediscoveries',
  'globalegressips',
  'globalingressips',
  'clusterglobalegressips',
  'serviceexports',
  'serviceimports',
  'customresourcedefinitions',
]);

/**
 * An API server in memory with the real one's semantics where our code depends on them: optimistic locking, uid and
 * generation, no-op writes, watches from a resourceVersion with selectors and 410 after compact(), server-side apply with
 * conflicts by field manager (lists are atomic), status subresources, finalizers, dry run.
 */
export class FakeKube implements KubeClient {
  readonly server: string;
  /** Every request, in order. */
  readonly calls: FakeCall[] = [];
  /** Return an error to make a request fail; called before each. */
  onCall: ((call: FakeCall) => Error | undefined) | undefined;
  /** Answers of request(): by `METHOD /path`; returns undefined for 404. */
  onRequest: (method: string, path: string, body: unknown) => unknown = defaultRequest;
  onLogs: (namespace: string, pod: string, options?: LogOptions) => string = () => '';
  onExec: (
    namespace: string,
    pod: string,
    command: readonly string[],
    options?: ExecOptions,
  ) => ExecResult | Promise<ExecResult> = () => ({ exitCode: 0, stdout: '', stderr: '' });
  /** Stamps creationTimestamp. */
  now: () => number = () => Date.now();
  /** Whether answers to get and list say who owns which fields, as a real server's do. */
  showManagedFields = false;
  #version = 100;
  #compacted = 0;
  #down = false;
  readonly #objects = new Map<string, Stored>();
  readonly #history: HistoryEntry[] = [];
  readonly #watchers = new Set<Watcher>();

  constructor(
    objects: readonly { readonly type: ResourceType; readonly object: KubeObject }[] = [],
    server = 'https://fake',
  ) {
    this.server = server;
    for (const { type, object } of objects) this.seed(type, object);
  }

  /** Puts an object there as some other client (field manager `seed`) would. */
  seed<T extends KubeObject>(type: ResourceType, object: T): T {
    return this.#create(type, object, { fieldManager: 'seed' }, true);
  }

  /** All objects of a type, without going through a request. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  all<T extends KubeObject>(type: ResourceType, namespace?: string): readonly T[] {
    return this.#select<T>(type, namespace === undefined ? {} : { namespace });
  }

  /** Removes an object without going through a request; finalizers do not matter. */
  drop(type: ResourceType, name: string, namespace?: string): void {
    const stored = this.#objects.get(keyOf(type, namespace, name));
    if (stored !== undefined) this.#remove(type, stored);
  }

  /** Requests that changed something or tried to. */
  get writes(): readonly FakeCall[] {
    return this.calls.filter(({ verb }) => ['create', 'replace', 'apply', 'patch', 'delete'].includes(verb));
  }

  /** While down every request fails with ECONNREFUSED; going down breaks all watches. */
  set down(down: boolean) {
    this.#down = down;
    if (down) this.breakWatches();
  }

  get down(): boolean {
    return this.#down;
  }

  /** Watches under way. */
  get watching(): number {
    return this.#watchers.size;
  }

  /** Breaks all watches: with a connection error, with an ERROR event 410, or as a server does at timeoutSeconds. */
  breakWatches(how: 'reset' | 'expired' | 'ended' = 'reset'): void {
    for (const watcher of this.#watchers) {
      watcher.broken = how === 'reset' ? connectionError(this.server, 'ECONNRESET') : how;
      watcher.wake();
    }
  }

  /** Forgets the history: watches from an older resourceVersion get 410. */
  compact(): void {
    this.#compacted = this.#version;
  }

  async get<T extends KubeObject>(type: ResourceType, name: string, options: { namespace?: string } = {}): Promise<T> {
    const namespace = scope(type, options.namespace);
    await this.#enter({ verb: 'get', resource: type.plural, name, ...(namespace === undefined ? {} : { namespace }) });
    return this.#shown(this.#require(type, namespace, name)) as T;
  }

  async find<T extends KubeObject>(
    type: ResourceType,
    name: string,
    options: { namespace?: string } = {},
  ): Promise<T | undefined> {
    try {
      return await this.get<T>(type, name, options);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async list<T extends KubeObject>(type: ResourceType, options: ListOptions = {}): Promise<ListResult<T>> {
    await this.#enter({ verb: 'list', resource: type.plural, ...named(options.namespace) });
    const items = this.#stored(type, options).map((stored) => this.#shown(stored) as T);
    return { items, resourceVersion: String(this.#version) };
  }

  async *watch<T extends KubeObject>(type: ResourceType, options: WatchOptions): AsyncIterable<WatchEvent<T>> {
    await this.#enter({ verb: 'watch', resource: type.plural, ...named(options.namespace) });
    const isAborted = (): boolean => options.signal?.aborted === true;
    if (isAborted()) return;
    let version = Number(options.resourceVersion ?? this.#version);
    if (version < this.#compacted) throw apiError(410, 'Expired', 'too old resource version', type);
    let wake: () => void = () => undefined;
    const watcher: Watcher = { resource: resourcePath(type), wake: () => wake(), broken: undefined };
    this.#watchers.add(watcher);
    options.signal?.addEventListener('abort', watcher.wake);
    options.onOpen?.();
    try {
      for (;;) {
        if (watcher.broken === 'ended' || isAborted()) return;
        if (watcher.broken === 'expired') {
          yield {
            type: 'ERROR',
            object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } as unknown as T,
          };
          return;
        }
        if (watcher.broken !== undefined) throw watcher.broken;
        for (const entry of this.#history.filter((one) => one.version > version && one.resource === watcher.resource)) {
          version = entry.version;
          const event = visible<T>(entry, options);
          if (event !== undefined) yield structuredClone(event);
          if (isAborted()) return;
        }
        const more = this.#history.some((one) => one.version > version && one.resource === watcher.resource);
        if (!more && watcher.broken === undefined && !isAborted()) {
          await new Promise<void>((resolve) => (wake = resolve));
        }
      }
    } finally {
      this.#watchers.delete(watcher);
      options.signal?.removeEventListener('abort', watcher.wake);
    }
  }

  async create<T extends KubeObject>(type: ResourceType, object: T, options: WriteOptions = {}): Promise<T> {
    const namespace = scope(type, options.namespace ?? object.metadata.namespace);
    await this.#enter({ verb: 'create', resource: type.plural, ...nameOf(object), ...named(namespace) });
    return this.#create(type, object, options, false);
  }

  async replace<T extends KubeObject>(type: ResourceType, object: T, options: WriteOptions = {}): Promise<T> {
    const namespace = scope(type, options.namespace ?? object.metadata.namespace);
    await this.#enter({ verb: 'replace', resource: type.plural, ...nameOf(object), ...named(namespace) });
    const stored = this.#require(type, namespace, object.metadata.name ?? '');
    checkVersion(type, stored, object.metadata.resourceVersion);
    return this.#update(type, stored, object, options) as T;
  }

  async apply<T extends KubeObject>(type: ResourceType, object: T, options: ApplyOptions): Promise<T> {
    const namespace = scope(type, options.namespace ?? object.metadata.namespace);
    await this.#enter({ verb: 'apply', resource: type.plural, ...nameOf(object), ...named(namespace) });
    const stored = this.#objects.get(keyOf(type, namespace, object.metadata.name ?? ''));
    const wanted = { ...object } as Record<string, unknown>;
    if (stored === undefined) {
      const { object: fresh, owners } = applyFields(undefined, [], applier(options), wanted, true);
      const complete = {
        ...fresh,
        metadata: { ...(fresh['metadata'] as object), name: object.metadata.name },
      } as KubeObject;
      return this.#create(type, complete as T, { ...options, ...named(namespace) }, false, owners);
    }
    checkVersion(type, stored, object.metadata.resourceVersion);
    const { object: merged, owners } = orConflict(type, () =>
      applyFields({ ...stored.object }, stored.owners, applier(options), wanted, options.force === true),
    );
    return this.#update(type, stored, merged as unknown as KubeObject, options, owners) as T;
  }

  async patch<T extends KubeObject>(
    type: ResourceType,
    name: string,
    patch: unknown,
    options: PatchOptions,
  ): Promise<T> {
    const namespace = scope(type, options.namespace);
    await this.#enter({ verb: 'patch', resource: type.plural, name, ...named(namespace) });
    const stored = this.#require(type, namespace, name);
    const base = structuredClone(stored.object);
    const json = options.patchType === 'json';
    const result = (json ? jsonPatch(base, patch as unknown[]) : strategicPatch({}, base, patch)) as KubeObject;
    checkVersion(type, stored, result.metadata.resourceVersion);
    return this.#update(type, stored, result, options) as T;
  }

  async delete(type: ResourceType, name: string, options: DeleteOptions = {}): Promise<boolean> {
    const namespace = scope(type, options.namespace);
    await this.#enter({ verb: 'delete', resource: type.plural, name, ...named(namespace) });
    const stored = this.#objects.get(keyOf(type, namespace, name));
    if (stored === undefined) return false;
    const { uid, resourceVersion, finalizers, deletionTimestamp } = stored.object.metadata;
    if ((options.uid ?? uid) !== uid || (options.resourceVersion ?? resourceVersion) !== resourceVersion) {
      throw apiError(409, 'Conflict', 'Precondition failed', type);
    }
    if (options.dryRun === true) return true;
    if (finalizers === undefined || finalizers.length === 0) this.#remove(type, stored);
    else if (deletionTimestamp === undefined) {
      const metadata = { ...stored.object.metadata, deletionTimestamp: new Date(this.now()).toISOString() };
      this.#put(type, { ...stored, object: { ...stored.object, metadata } }, stored.object);
    }
    return true;
  }

  async request<T>(method: string, path: string, body?: unknown): Promise<T> {
    await this.#enter({ verb: 'request', resource: `${method} ${path}` });
    const answer = this.onRequest(method, path, body);
    if (answer !== undefined) return answer as T;
    throw new KubeApiError(404, { reason: 'NotFound', message: 'not found' }, { server: this.server, method, path });
  }

  async logs(namespace: string, pod: string, options?: LogOptions): Promise<string> {
    return this.onLogs(namespace, pod, options);
  }

  async exec(namespace: string, pod: string, command: readonly string[], options?: ExecOptions): Promise<ExecResult> {
    return this.onExec(namespace, pod, command, options);
  }

  close(): void {
    this.breakWatches();
  }

  async #enter(call: FakeCall): Promise<void> {
    this.calls.push(call);
    await Promise.resolve();
    if (this.#down) throw connectionError(this.server, 'ECONNREFUSED');
    const error = this.onCall?.(call);
    if (error !== undefined) throw error;
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  #select<T extends KubeObject>(type: ResourceType, options: ListOptions): readonly T[] {
    return this.#stored(type, options).map(({ object }) => structuredClone(object) as T);
  }

  #stored(type: ResourceType, options: ListOptions): readonly Stored[] {
    const prefix = `${resourcePath(type)} `;
    return [...this.#objects]
      .filter(([key]) => key.startsWith(prefix))
      .map(([, stored]) => stored)
      .filter(({ object }) => selected(object, options))
      .sort((a, b) => (sortKey(a.object) < sortKey(b.object) ? -1 : 1));
  }

  #shown({ object, owners }: Stored): KubeObject {
    const copy = structuredClone(object);
    return this.showManagedFields ? { ...copy, metadata: { ...copy.metadata, managedFields: owners } } : copy;
  }

  #require(type: ResourceType, namespace: string | undefined, name: string): Stored {
    const stored = this.#objects.get(keyOf(type, namespace, name));
    if (stored === undefined) throw apiError(404, 'NotFound', `${type.plural} "${name}" not found`, type);
    return stored;
  }

  #create<T extends KubeObject>(
    type: ResourceType,
    object: T,
    options: WriteOptions,
    seeding: boolean,
    owners?: Owners,
  ): T {
    const { metadata } = object;
    const namespace = scope(type, options.namespace ?? metadata.namespace);
    const name = metadata.name ?? `${metadata.generateName ?? ''}${randomUUID().slice(0, 5)}`;
    if (name === '') throw apiError(422, 'Invalid', 'name or generateName is required', type);
    if (this.#objects.has(keyOf(type, namespace, name))) {
      throw apiError(409, 'AlreadyExists', `${type.plural} "${name}" already exists`, type);
    }
    const complete: KubeObject = {
      ...structuredClone(object),
      apiVersion: apiVersionOf(type),
      kind: type.kind,
      metadata: {
        ...structuredClone(metadata),
        name,
        ...named(namespace),
        uid: seeding && metadata.uid !== undefined ? metadata.uid : randomUUID(),
        generation: 1,
        creationTimestamp: new Date(Math.floor(this.now() / 1000) * 1000).toISOString().replace('.000', ''),
      },
    };
    const stored = !seeding && WITH_STATUS.has(type.plural) ? omitStatus(complete) : complete;
    if (options.dryRun === true) return structuredClone(stored) as T;
    const manager = updater(options);
    const entry = { object: stored, owners: owners ?? ownersAfterUpdate(undefined, { ...stored }, [], manager) };
    return this.#put(type, entry, undefined) as T;
  }

  #update(type: ResourceType, stored: Stored, wanted: KubeObject, options: WriteOptions, owners?: Owners): KubeObject {
    const before = stored.object;
    const { uid, resourceVersion, generation, creationTimestamp, deletionTimestamp } = before.metadata;
    if (wanted.metadata.uid !== undefined && wanted.metadata.uid !== uid)
      throw apiError(409, 'Conflict', 'uid mismatch', type);
    const body = withStatusRule(type, before, structuredClone(wanted), options.subresource);
    const fixed = {
      name: before.metadata.name,
      namespace: before.metadata.namespace,
      uid,
      resourceVersion,
      generation,
      creationTimestamp,
      deletionTimestamp,
    };
    const after: KubeObject = clean({
      ...body,
      apiVersion: before.apiVersion,
      kind: before.kind,
      metadata: { ...body.metadata, ...fixed },
    });
    const nextOwners = owners ?? ownersAfterUpdate({ ...before }, { ...after }, stored.owners, updater(options));
    if (options.dryRun === true) return structuredClone(after);
    if (same(before, after) && same(stored.owners, nextOwners)) return structuredClone(before);
    const entry = { object: specChanged(before, after) ? bumped(after) : after, owners: nextOwners };
    if (deletionTimestamp !== undefined && (after.metadata.finalizers ?? []).length === 0)
      return this.#remove(type, entry);
    return this.#put(type, entry, before);
  }

  #put(type: ResourceType, entry: Stored, before: KubeObject | undefined): KubeObject {
    this.#version += 1;
    const object = { ...entry.object, metadata: { ...entry.object.metadata, resourceVersion: String(this.#version) } };
    this.#objects.set(keyOf(type, object.metadata.namespace, object.metadata.name ?? ''), { ...entry, object });
    this.#record({ version: this.#version, resource: resourcePath(type), before, after: object, deleted: undefined });
    return structuredClone(object);
  }

  #remove(type: ResourceType, { object }: Stored): KubeObject {
    this.#version += 1;
    const { name = '', namespace } = object.metadata;
    const deleted = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    this.#objects.delete(keyOf(type, namespace, name));
    this.#record({ version: this.#version, resource: resourcePath(type), before: object, after: undefined, deleted });
    return structuredClone(deleted);
  }

  #record(entry: HistoryEntry): void {
    this.#history.push(entry);
    for (const watcher of this.#watchers) if (watcher.resource === entry.resource) watcher.wake();
  }
}

function keyOf(type: ResourceType, namespace: string | undefined, name: string): string {
  return `${resourcePath(type)} ${type.namespaced ? (namespace ?? 'default') : ''}/${name}`;
}

function scope(type: ResourceType, namespace: string | undefined): string | undefined {
  return type.namespaced ? (namespace ?? 'default') : undefined;
}

function named(namespace: string | undefined): { namespace?: string } {
  return namespace === undefined ? {} : { namespace };
}

function nameOf(object: KubeObject): { name?: string } {
  return object.metadata.name === undefined ? {} : { name: object.metadata.name };
}

function sortKey(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
}

function selected(
  object: KubeObject,
  options: Pick<ListOptions, 'namespace' | 'labelSelector' | 'fieldSelector'>,
): boolean {
  if (
    options.namespace !== undefined &&
    object.metadata.namespace !== undefined &&
    object.metadata.namespace !== options.namespace
  )
    return false;
  return matchesLabels(object, options.labelSelector) && matchesFields(object, options.fieldSelector);
}

/** The event a watcher with these selectors sees: an object that leaves its selection looks deleted. */
function visible<T extends KubeObject>(entry: HistoryEntry, options: WatchOptions): WatchEvent<T> | undefined {
  const was = entry.before !== undefined && selected(entry.before, options);
  const is = entry.after !== undefined && selected(entry.after, options);
  if (is) return { type: was ? 'MODIFIED' : 'ADDED', object: entry.after as T };
  if (!was) return undefined;
  return { type: 'DELETED', object: (entry.deleted ?? entry.after) as T };
}

function checkVersion(type: ResourceType, stored: Stored, version: string | undefined): void {
  if (version === undefined || version === '' || version === stored.object.metadata.resourceVersion) return;
  throw apiError(
    409,
    'Conflict',
    'the object has been modified; please apply your changes to the latest version',
    type,
  );
}

function omitStatus(object: KubeObject): KubeObject {
  const { status: _dropped, ...rest } = object as KubeObject & { status?: unknown };
  return rest;
}

function withStatusRule(
  type: ResourceType,
  before: KubeObject,
  wanted: KubeObject,
  subresource: string | undefined,
): KubeObject {
  if (!WITH_STATUS.has(type.plural)) return wanted;
  const { status } = (subresource === 'status' ? wanted : before) as { status?: unknown };
  const base = subresource === 'status' ? before : wanted;
  return { ...omitStatus(base), ...(status === undefined ? {} : { status }) };
}

function clean(object: object): KubeObject {
  return JSON.parse(JSON.stringify(object)) as KubeObject;
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(canonical(a)) === JSON.stringify(canonical(b));
}

function applier({ fieldManager }: ApplyOptions): string {
  return fieldManager;
}

function updater({ fieldManager = 'unknown' }: WriteOptions): string {
  return fieldManager;
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, canonical(inner)]),
  );
}

function specChanged(a: KubeObject, b: KubeObject): boolean {
  const spec = (object: KubeObject): unknown => {
    const { metadata: _metadata, status: _status, ...rest } = object as KubeObject & { status?: unknown };
    return rest;
  };
  return !same(spec(a), spec(b));
}

function bumped(object: KubeObject): KubeObject {
  return { ...object, metadata: { ...object.metadata, generation: (object.metadata.generation ?? 0) + 1 } };
}

function apiError(code: number, reason: string, message: string, type: ResourceType): KubeApiError {
  return new KubeApiError(
    code,
    { code, reason, message },
    { server: 'https://fake', method: 'FAKE', path: resourcePath(type) },
  );
}

function orConflict<T>(type: ResourceType, apply: () => T): T {
  try {
    return apply();
  } catch (error) {
    if (!(error instanceof ApplyConflictError)) throw error;
    const attempt = { server: 'https://fake', method: 'PATCH', path: resourcePath(type) };
    const { message, causes } = error;
    throw new KubeApiError(409, { code: 409, reason: 'Conflict', message, details: { causes } }, attempt);
  }
}

function connectionError(server: string, code: string): KubeConnectionError {
  return new KubeConnectionError(Object.assign(new Error(code), { code }), { server, method: 'FAKE', path: '/' });
}

/** Everything is allowed. */
function defaultRequest(method: string, path: string, body: unknown): unknown {
  if (method === 'GET' && path === '/version') return { major: '1', minor: '36', gitVersion: 'v1.36.0' };
  if (method === 'POST' && path.endsWith('/selfsubjectaccessreviews'))
    return { ...(body as object), status: { allowed: true } };
  return undefined;
}
