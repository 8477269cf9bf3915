import { type Obj, type Resource } from './json.ts';
import { type ResourceType } from './registry.ts';
import { ApiError, type Cause, invalid, required, unsupported } from './status.ts';

/** Who sends a request. */
export interface User {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** What a URL and method ask for, before anything is looked up; all '' outside /api and /apis. */
export interface RequestInfo {
  readonly verb: string;
  readonly path: string;
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

/** What a handler answers: an object or items of the request's type (can become a Table), or any other JSON body. */
export interface Answer {
  readonly code: number;
  readonly object?: Resource;
  readonly items?: readonly Resource[];
  readonly listMeta?: Obj;
  readonly body?: unknown;
}

/** How an object is changed and by whom. */
export interface WriteOptions {
  readonly dryRun: boolean;
  readonly manager: string;
  readonly validation: string;
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
export function parseRequest(method: string, { pathname: path, searchParams }: URL): RequestInfo {
  const parts = path.split('/').filter((part) => part !== '');
  const verb = METHODS[method] ?? method.toLowerCase();
  if (parts[0] === 'api') parts.splice(1, 0, '');
  const [root = '', ...[group = '', version = '', ...rest]] = parts.map(decodeURIComponent);
  const nothing = { group: '', version: '', plural: '', namespace: '', name: '', subresource: '' };
  if (!/^apis?$/.test(root) || rest.length === 0) return { ...nothing, verb, path };
  const old = rest[0] === 'watch';
  const place = parsePlace(rest.slice(Number(old)));
  const all = { ...place, path, group, version, verb };
  if (place.name !== '') return all;
  return { ...all, ...(verb === 'get' ? parseListing(searchParams, old) : COLLECTIVE[verb]) };
}

const COLLECTIVE: Readonly<Record<string, { verb: string }>> = { delete: { verb: 'deletecollection' } };

/** A list or watch; of exactly one name it counts as naming it. */
function parseListing(query: URLSearchParams, old: boolean): { name: string; verb: string } {
  const [, name = ''] = /^metadata\.name==?([^,!=]+)$/.exec(query.get('fieldSelector') ?? '') ?? [];
  return { name, verb: old || /^(true|1)$/.test(query.get('watch') ?? '') ? 'watch' : 'list' };
}

function parsePlace(rest: readonly string[]): Pick<RequestInfo, 'namespace' | 'plural' | 'name' | 'subresource'> {
  const [first = '', second = '', third = '', fourth = '', ...more] = rest;
  const own = rest.length <= 2 || (rest.length === 3 && ['status', 'finalize'].includes(third));
  if (first !== 'namespaces')
    return { namespace: '', plural: first, name: second, subresource: rest.slice(2).join('/') };
  if (own) return { namespace: second, plural: first, name: second, subresource: third };
  return { namespace: second, plural: third, name: fourth, subresource: more.join('/') };
}

/** The query options of a write; 422 for values that do not exist. */
export function writeOptions({ query, headers }: ApiRequest, kind: string, apply = false): WriteOptions {
  const get = (key: string): string => query.get(key) ?? '';
  const dryRun = query.getAll('dryRun').filter((value) => value !== '');
  const validation = get('fieldValidation');
  const known = ['', 'Ignore', 'Strict', 'Warn'];
  const causes: Cause[] = [];
  if (dryRun.some((value) => value !== 'All')) causes.push(unsupported('dryRun', dryRun, ['All']));
  if (apply && get('fieldManager') === '') causes.push(required('fieldManager', 'is required for apply patch'));
  if (!known.includes(validation)) causes.push(unsupported('fieldValidation', validation, known));
  if (causes.length > 0) throw invalid(kind, 'meta.k8s.io', '', causes);
  const manager = get('fieldManager') || String(headers['user-agent']).replace(/\/.*/s, '');
  return { dryRun: dryRun.length > 0, manager, validation };
}

const FORMS: Readonly<Record<string, string>> = {
  Table: 'v1.meta.k8s.io',
  PartialObjectMetadata: 'v1.meta.k8s.io',
  PartialObjectMetadataList: 'v1.meta.k8s.io',
  APIGroupDiscoveryList: 'v2.apidiscovery.k8s.io',
};
const MEDIA = 'application/json, application/yaml, application/vnd.kubernetes.protobuf';

/** The form an answer is wanted in ('' is plain JSON) from an Accept header; 406 when nothing in it can be had. */
export function negotiate(header = ''): string {
  for (const clause of header === '' ? ['*/*'] : header.split(',')) {
    const [media = '', ...params] = clause.split(';').map((part) => part.trim());
    if (!['application/json', 'application/*', '*/*'].includes(media)) continue;
    const given = Object.fromEntries(params.map((param) => param.split('='))) as Record<string, string>;
    if (given.as === undefined) return '';
    if (FORMS[given.as] === `${given.v}.${given.g}`) return given.as;
  }
  if (header.includes('as='))
    throw new ApiError(406, `only the following media types are accepted: ${MEDIA}`, 'NotAcceptable');
  const streams = 'application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch';
  throw new ApiError(
    406,
    `406: Not Acceptable\n\nAvailable representations: ${MEDIA}, ${streams}`,
    'NotAcceptable',
    {},
  );
}
