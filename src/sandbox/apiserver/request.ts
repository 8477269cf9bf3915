import { type Resource } from './json.ts';
import { type ResourceType } from './registry.ts';
import { type Cause, ApiError, invalid, notAllowed, required, unsupported } from './status.ts';

/** Who sends a request. */
export interface User {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** What a URL and method ask for, before anything is looked up. */
export interface RequestInfo {
  readonly verb: string;
  readonly path: string;
  /** False for discovery, health and everything outside /api and /apis. */
  readonly isResource: boolean;
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
}

/** A request for a resource that exists. */
export interface ApiRequest extends RequestInfo {
  readonly method: string;
  readonly type: ResourceType;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly user: User;
  /** Texts for Warning headers, filled while the request is handled. */
  readonly warnings: string[];
}

/** How an object is changed and by whom. */
export interface WriteOptions {
  readonly dryRun: boolean;
  readonly manager: string;
  readonly strict: boolean;
  readonly warn: boolean;
}

const METHODS: Readonly<Record<string, string>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** Takes a URL apart the way Kubernetes' request info resolver does. */
export function parseRequest(method: string, url: URL): RequestInfo {
  const path = url.pathname;
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decodeURIComponent);
  const verb = METHODS[method] ?? method.toLowerCase();
  const core = parts[0] === 'api';
  const rest = core ? parts.slice(2) : parts.slice(3);
  const none = { group: '', version: '', plural: '', namespace: '', name: '', subresource: '' };
  if ((!core && parts[0] !== 'apis') || rest.length === 0) return { ...none, verb, path, isResource: false };
  const watched = rest[0] === 'watch';
  if (watched) rest.shift();
  const [group = '', version = ''] = core ? ['', parts[1]] : [parts[1], parts[2]];
  const place = parsePlace(rest);
  const listing = verb === 'get' && place.name === '';
  const asWatch = watched || /^(true|1)$/.test(url.searchParams.get('watch') ?? '');
  return {
    ...{ ...place, path, group, version, isResource: true },
    name: place.name === '' ? selectedName(verb, url) : place.name,
    verb: listing ? (asWatch ? 'watch' : 'list') : verb === 'delete' && place.name === '' ? 'deletecollection' : verb,
  };
}

/** A list or watch of exactly one name counts as naming it; the handler still sees it as a list. */
function selectedName(verb: string, url: URL): string {
  if (verb !== 'get') return '';
  return /^metadata\.name==?([^,!=]+)$/.exec(url.searchParams.get('fieldSelector') ?? '')?.[1] ?? '';
}

function parsePlace(rest: readonly string[]): Pick<RequestInfo, 'namespace' | 'plural' | 'name' | 'subresource'> {
  const [first = '', second = '', third = '', fourth = '', ...more] = rest;
  const own =
    first === 'namespaces' && (rest.length <= 2 || ((third === 'status' || third === 'finalize') && fourth === ''));
  if (own) return { namespace: second, plural: first, name: second, subresource: third };
  if (first === 'namespaces') return { namespace: second, plural: third, name: fourth, subresource: more.join('/') };
  return { namespace: '', plural: first, name: second, subresource: rest.slice(2).join('/') };
}

/** The query options of a write; 422 for values that do not exist. */
export function writeOptions(request: ApiRequest, kind: string, apply = false): WriteOptions {
  const { query } = request;
  const causes: Cause[] = [];
  const dryRun = query.getAll('dryRun').filter((value) => value !== '');
  if (dryRun.some((value) => value !== 'All')) causes.push(unsupported('dryRun', dryRun, ['All']));
  const manager = query.get('fieldManager') ?? '';
  if (apply && manager === '') causes.push(required('fieldManager', 'is required for apply patch'));
  if (!apply && query.has('force') && kind === 'PatchOptions')
    causes.push(notAllowed('force', 'may not be specified for non-apply patch'));
  const validation = query.get('fieldValidation') ?? '';
  const known = ['', 'Ignore', 'Strict', 'Warn'];
  if (!known.includes(validation)) causes.push(unsupported('fieldValidation', validation, known));
  if (causes.length > 0) throw invalid(kind, 'meta.k8s.io', '', causes);
  return {
    dryRun: dryRun.length > 0,
    manager: manager === '' ? (String(request.headers['user-agent'] ?? 'unknown').split('/')[0] ?? '') : manager,
    strict: validation === 'Strict',
    warn: validation === '' || validation === 'Warn',
  };
}

/** The form an answer is wanted in. */
export interface Accepted {
  readonly as: '' | 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList' | 'APIGroupDiscoveryList';
}

/** Picks the first acceptable clause of an Accept header, 406 when there is none; only JSON is spoken. */
export function negotiate(header: string | undefined): Accepted {
  if (header === undefined || header === '') return { as: '' };
  for (const clause of header.split(',')) {
    const [media = '', ...params] = clause.trim().split(';');
    if (!/^(application\/(json|\*)|\*\/\*)$/.test(media.trim())) continue;
    const given = new Map(params.map((param) => param.trim().split('=') as [string, string]));
    const as = given.get('as') ?? '';
    if (as === '') return { as: '' };
    const wanted = `${as}.${given.get('v')}.${given.get('g')}`;
    if (wanted === 'APIGroupDiscoveryList.v2.apidiscovery.k8s.io') return { as: 'APIGroupDiscoveryList' };
    const known = /^(Table|PartialObjectMetadata|PartialObjectMetadataList)\.v1\.meta\.k8s\.io$/.exec(wanted);
    if (known !== null) return { as: known[1] as Accepted['as'] };
  }
  if (header.includes('as='))
    throw new ApiError(
      406,
      'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf',
      { reason: 'NotAcceptable' },
    );
  throw new ApiError(
    406,
    '406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch',
    { reason: 'NotAcceptable', details: {} },
  );
}

/** What a handler answers; `object` and `items` can still be turned into a Table. */
export interface Answer {
  readonly code: number;
  readonly object?: Resource;
  readonly items?: readonly Resource[];
  readonly listMeta?: Readonly<Record<string, unknown>>;
  /** Any other JSON body. */
  readonly body?: unknown;
}
