import type {
  DeleteOptions,
  ExecResult,
  KubeClient,
  KubeObject,
  ListOptions,
  ListResult,
  LogOptions,
  PatchOptions,
  ResourceType,
  WatchOptions,
  WriteOptions,
} from './client.ts';
import { createCredentials, type CredentialOptions } from './credentials.ts';
import { isNotFound } from './errors.ts';
import { apiVersionOf, resourcePath } from './resources.ts';
import type { HttpCall } from './exchange.ts';
import { createTransport, type Transport, type TransportOptions } from './transport.ts';
import { readWatch } from './watchstream.ts';

/** How to reach and use one API server. */
export interface HttpsClientOptions extends TransportOptions, CredentialOptions {
  /** Namespace of namespaced objects when neither the object nor the call names one; default `default`. Lists and watches without a namespace are of all namespaces. */
  readonly namespace?: string | undefined;
}

const PATCH_TYPES = {
  merge: 'application/merge-patch+json',
  json: 'application/json-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const;

/** A client on node:https with kept-alive connections; raw JSON in and out. */
export function createHttpsClient(options: HttpsClientOptions): KubeClient {
  const transport = createTransport(options, createCredentials(options));
  const json = async <T>(call: HttpCall): Promise<T> => parseAnswer(await transport.text(call)) as T;
  const objects = objectCalls(json, options.namespace ?? 'default');
  return {
    server: options.server,
    ...objects,
    watch: (type, watchOptions) => readWatch(transport, watchCall(type, watchOptions), watchOptions.onOpen),
    request: (method, path, body, signal) => json({ method, path, body, signal }),
    logs: (namespace, pod, logOptions) => readLogs(transport, namespace, pod, logOptions ?? {}),
    exec: async (namespace, pod, command, execOptions): Promise<ExecResult> => {
      const { execInPod } = await import('./exec.ts');
      return execInPod(options, createCredentials(options), { namespace, pod, command, ...execOptions });
    },
    close: () => transport.close(),
  };
}

type ObjectCalls = Pick<KubeClient, 'get' | 'find' | 'list' | 'create' | 'replace' | 'apply' | 'patch' | 'delete'>;

function objectCalls(json: <T>(call: HttpCall) => Promise<T>, defaultNamespace: string): ObjectCalls {
  const scope = (type: ResourceType, ...candidates: readonly (string | undefined)[]): string | undefined =>
    type.namespaced ? (candidates.find((candidate) => candidate !== undefined) ?? defaultNamespace) : undefined;
  const get: KubeClient['get'] = (type, name, options = {}) =>
    json({
      method: 'GET',
      path: resourcePath(type, { namespace: scope(type, options.namespace), name }),
      signal: options.signal,
    });
  const write = <T extends KubeObject>(
    method: string,
    type: ResourceType,
    object: T,
    options: WriteOptions,
    call: { readonly named: boolean; readonly contentType?: string; readonly query?: Query },
  ): Promise<T> => {
    const namespace = scope(type, options.namespace, object.metadata.namespace);
    const name = call.named ? { name: object.metadata.name ?? '' } : {};
    const path = resourcePath(type, { namespace, ...name, subresource: options.subresource });
    const body = { ...object, apiVersion: apiVersionOf(type), kind: object.kind ?? type.kind };
    const { contentType = 'application/json' } = call;
    return json({
      method,
      path: path + queryText({ ...writeQuery(options), ...call.query }),
      body,
      contentType,
      signal: options.signal,
    });
  };
  return {
    get,
    find: async (type, name, options) => {
      try {
        return await get(type, name, options);
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    list: (type, options) => listPages(json, type, options ?? {}),
    create: (type, object, options = {}) => write('POST', type, object, options, { named: false }),
    replace: (type, object, options = {}) => write('PUT', type, object, options, { named: true }),
    apply: (type, object, options) =>
      write('PATCH', type, withoutServerFields(object), options, {
        named: true,
        contentType: 'application/apply-patch+yaml',
        query: { force: options.force === true ? 'true' : undefined },
      }),
    patch: (type, name, patch, options) => json(patchCall(type, name, patch, options, scope(type, options.namespace))),
    delete: async (type, name, options = {}) => {
      try {
        await json(deleteCall(type, name, options, scope(type, options.namespace)));
        return true;
      } catch (error) {
        if (isNotFound(error)) return false;
        throw error;
      }
    },
  };
}

type Query = Readonly<Record<string, string | undefined>>;

function queryText(query: Query): string {
  const pairs = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs).toString()}`;
}

function writeQuery(options: WriteOptions): Query {
  return { fieldManager: options.fieldManager, dryRun: options.dryRun === true ? 'All' : undefined };
}

/** An applied object must not carry managedFields; the server refuses it. */
function withoutServerFields<T extends KubeObject>(object: T): T {
  if (object.metadata.managedFields === undefined) return object;
  const { managedFields: _dropped, ...metadata } = object.metadata;
  return { ...object, metadata };
}

function patchCall(
  type: ResourceType,
  name: string,
  body: unknown,
  options: PatchOptions,
  namespace: string | undefined,
): HttpCall {
  const path = resourcePath(type, { namespace, name, subresource: options.subresource });
  const contentType = PATCH_TYPES[options.patchType];
  return { method: 'PATCH', path: path + queryText(writeQuery(options)), body, contentType, signal: options.signal };
}

function deleteCall(type: ResourceType, name: string, options: DeleteOptions, namespace: string | undefined): HttpCall {
  const { uid, resourceVersion, propagationPolicy, dryRun } = options;
  const preconditions = {
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  const body = {
    kind: 'DeleteOptions',
    apiVersion: 'v1',
    ...(Object.keys(preconditions).length === 0 ? {} : { preconditions }),
    ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
    ...(dryRun === true ? { dryRun: ['All'] } : {}),
  };
  return { method: 'DELETE', path: resourcePath(type, { namespace, name }), body, signal: options.signal };
}

interface RawList<T> {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly T[] | null;
}

/** All pages of one consistent list; items get the apiVersion and kind that lists leave out. */
async function listPages<T extends KubeObject>(
  json: <R>(call: HttpCall) => Promise<R>,
  type: ResourceType,
  options: ListOptions,
): Promise<ListResult<T>> {
  const path = resourcePath(type, { namespace: options.namespace });
  const { labelSelector, fieldSelector, limit = 500, signal } = options;
  const items: T[] = [];
  let next: string | undefined;
  for (;;) {
    const query = { labelSelector, fieldSelector, limit: String(limit), continue: next };
    const page: RawList<T> = await json({ method: 'GET', path: path + queryText(query), signal });
    for (const item of page.items ?? []) items.push({ ...item, apiVersion: apiVersionOf(type), kind: type.kind });
    next = page.metadata?.continue || undefined;
    if (next === undefined) return { items, resourceVersion: page.metadata?.resourceVersion ?? '' };
  }
}

function watchCall(type: ResourceType, options: WatchOptions): HttpCall {
  const { namespace, labelSelector, fieldSelector, resourceVersion, timeoutSeconds, signal } = options;
  const query = {
    watch: 'true',
    allowWatchBookmarks: 'true',
    labelSelector,
    fieldSelector,
    resourceVersion,
    timeoutSeconds: timeoutSeconds === undefined ? undefined : String(timeoutSeconds),
  };
  return { method: 'GET', path: resourcePath(type, { namespace }) + queryText(query), signal, stream: true };
}

function readLogs(transport: Transport, namespace: string, pod: string, options: LogOptions): Promise<string> {
  const query = {
    container: options.container,
    tailLines: options.tailLines === undefined ? undefined : String(options.tailLines),
    previous: options.previous === true ? 'true' : undefined,
  };
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/log`;
  return transport.text({ method: 'GET', path: path + queryText(query), accept: '*/*' });
}

/** JSON, or the text itself where a server answers text (/readyz); undefined for an empty body. */
function parseAnswer(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
