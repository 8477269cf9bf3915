import { type KeyObject, randomUUID } from 'node:crypto';
import { type Obj, obj, objs, text, texts } from '../../kube/json.ts';
import { readJwt, signJwt } from '../jwt.ts';
import { type Registry, type ResourceType } from './registry.ts';
import { ApiError, type Cause, invalid, required, unsupported, when } from './status.ts';
import { type Resource, type Store } from './store.ts';

const AUTHN = 'authentication.kubernetes.io';
const RBAC = 'rbac.authorization.k8s.io';

/** Who the administrator's token stands for. */
export const ADMIN: User = { name: 'admin', groups: ['system:masters', 'system:authenticated'] };

/** Extra user information about the objects a token is bound to; undefined when one of them is gone. */
function boundExtra({ store }: Api, bound: Obj, namespace: string): Record<string, string[]> | undefined {
  const extra: Record<string, string[]> = {};
  for (const kind of ['node', 'pod', 'secret']) {
    const { name, uid } = obj(bound[kind]);
    if (name === undefined) continue;
    if (kind !== 'node' && store.get(`${kind}s`, namespace, text(name))?.metadata.uid !== uid) return undefined;
    extra[`${AUTHN}/${kind}-name`] = [text(name)];
    extra[`${AUTHN}/${kind}-uid`] = [text(uid)];
  }
  return extra;
}

/** Which service account a token speaks of, and for the kind kept in a Secret that Secret's name. */
function identityOf(claims: Obj): { namespace: string; name: string; uid: string; secret?: string } {
  const { namespace, serviceaccount } = obj(claims['kubernetes.io']);
  const { name, uid } = obj(serviceaccount);
  if (claims.iss !== 'kubernetes/serviceaccount')
    return { namespace: text(namespace), name: text(name), uid: text(uid) };
  const claim = (key: string): string => text(claims[`kubernetes.io/serviceaccount/${key}`]);
  const account = { name: claim('service-account.name'), uid: claim('service-account.uid') };
  return { ...account, namespace: claim('namespace'), secret: claim('secret.name') };
}

/** The service account behind a token and the audiences it is for; undefined when it is not (or no longer) good. */
export function tokenUser(api: Api, token: string): { user: User; audiences: string[] } | undefined {
  if (token === api.adminToken) return { user: ADMIN, audiences: [api.issuer] };
  const claims = obj(readJwt(api.signingKey, token));
  const { namespace, name, uid, secret } = identityOf(claims);
  const expired = Number(claims.exp ?? Infinity) * 1000 < api.now();
  const secretGone = secret !== undefined && api.store.get('secrets', namespace, secret) === undefined;
  const bound = boundExtra(api, obj(claims['kubernetes.io']), namespace);
  const account = api.store.get('serviceaccounts', namespace, name);
  if (account?.metadata.uid !== uid || expired || secretGone || bound === undefined) return undefined;
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
  const user = { name: `system:serviceaccount:${namespace}:${name}`, uid, groups };
  if (secret !== undefined) return { user, audiences: [api.issuer] };
  const extra = { [`${AUTHN}/credential-id`]: [`JTI=${text(claims.jti)}`], ...bound };
  return { user: { ...user, extra }, audiences: texts(claims.aud) };
}

/** A token for a service account that ends in `seconds`, or with what it is bound to. */
export function boundToken(api: Api, account: Resource, aud: readonly string[], seconds: number, bound: Obj): string {
  const { namespace, name, uid } = account.metadata;
  const iat = Math.floor(api.now() / 1000);
  const sub = `system:serviceaccount:${namespace}:${name}`;
  const own = { 'kubernetes.io': { namespace, serviceaccount: { name, uid }, ...bound } };
  const times = { exp: iat + seconds, iat, nbf: iat };
  return signJwt(api.signingKey, { aud, ...times, iss: api.issuer, jti: randomUUID(), sub, ...own });
}

/** Who sends a request with this Authorization header; 401 for a bearer token nobody knows. */
export function authenticate(api: Api, authorization = ''): User {
  const token = /^Bearer (.+)$/i.exec(authorization)?.[1];
  if (token === undefined) return { name: 'system:anonymous', groups: ['system:unauthenticated'] };
  const found = tokenUser(api, token);
  if (found?.audiences.includes(api.issuer) !== true) throw new ApiError(401, 'Unauthorized', 'Unauthorized');
  return found.user;
}

/** A question to the authorizer; without a `plural` it is about the `path`. */
type Question = Omit<RequestInfo, 'version'>;

const covers = (granted: unknown, wanted: string): boolean =>
  texts(granted).some((each) => each === '*' || each === wanted);
const resourceOf = ({ plural, subresource }: Question): string =>
  subresource === '' ? plural : `${plural}/${subresource}`;

/** Whether one rule allows what is asked. */
function ruleAllows(rule: Obj, asked: Question): boolean {
  const { verbs, apiGroups, resources, resourceNames, nonResourceURLs } = rule;
  const { verb, group, plural, subresource, name, path } = asked;
  const fits = (url: string): boolean => url === path || (url.endsWith('*') && path.startsWith(url.slice(0, -1)));
  if (!covers(verbs, verb)) return false;
  if (plural === '') return texts(nonResourceURLs).some(fits);
  const named = texts(resourceNames).length === 0 || texts(resourceNames).includes(name);
  const listed = covers(resources, resourceOf(asked)) || texts(resources).includes(`*/${subresource}`);
  return named && covers(apiGroups, group) && listed;
}

function isSubject({ kind, name, namespace }: Obj, user: User, home = ''): boolean {
  if (kind !== 'ServiceAccount') return kind === 'Group' ? user.groups.includes(text(name)) : name === user.name;
  return user.name === `system:serviceaccount:${text(namespace) || home || ' '}:${text(name)}`;
}

/** The rules of the role a binding refers to, or the text of the lookup error. */
export function lookUp(store: Store, roleRef: Obj, namespace: string): Obj[] | string {
  const kind = text(roleRef.kind).toLowerCase();
  const role = store.get(`${RBAC}/${kind}s`, kind === 'role' ? namespace : undefined, text(roleRef.name));
  return role === undefined ? `${kind}.${RBAC} "${text(roleRef.name)}" not found` : objs(role.rules);
}

/** Everything bound to a user that counts in a namespace ('' is the cluster scope), and lookup errors. */
export function grantsOf(store: Store, user: User, namespace: string): { rules: Obj[]; errors: string[] } {
  const local = namespace === '' ? [] : store.list(`${RBAC}/rolebindings`, namespace);
  const found = [...store.list(`${RBAC}/clusterrolebindings`), ...local]
    .filter(({ metadata, subjects }) => objs(subjects).some((each) => isSubject(each, user, metadata.namespace)))
    .map(({ roleRef }) => lookUp(store, obj(roleRef), namespace));
  const rules = found.flatMap((each) => (typeof each === 'string' ? [] : each));
  if (user.groups.includes('system:masters')) rules.push({ verbs: ['*'], apiGroups: ['*'], resources: ['*'] });
  return { rules, errors: found.filter((each) => typeof each === 'string') };
}

/** Decides by RBAC; the group system:masters may do everything. `reason` holds lookup errors, or that RBAC allowed it. */
export function authorize(store: Store, user: User, asked: Question): { allowed: boolean; reason: string } {
  if (user.groups.includes('system:masters')) return { allowed: true, reason: '' };
  const { rules, errors } = grantsOf(store, user, asked.namespace);
  if (rules.some((rule) => ruleAllows(rule, asked)))
    return { allowed: true, reason: 'RBAC: allowed by a role binding' };
  const words = errors.length > 1 ? `[${errors.join(', ')}]` : text(errors[0]);
  return { allowed: false, reason: words === '' ? '' : `RBAC: ${words}` };
}

/** Every choice of one item from each list. */
const choices = (lists: readonly string[][]): string[][] =>
  lists.reduce<string[][]>((found, list) => found.flatMap((one) => list.map((each) => [...one, each])), [[]]);

/** The rights that rules give and the user does not hold, a line for each kind of thing, as Go prints rules. */
export function notHeld(store: Store, user: User, namespace: string, rules: readonly Obj[]): readonly string[] {
  const held = grantsOf(store, user, namespace).rules;
  const any = (values: unknown): string[] => (texts(values).length === 0 ? [''] : texts(values));
  const asked = rules.flatMap(({ verbs, apiGroups, resources, resourceNames, nonResourceURLs }) =>
    choices([any(apiGroups), any(resources), any(resourceNames), any(nonResourceURLs), any(verbs)]),
  );
  const missing = asked.filter(([group = '', resource = '', name = '', path = '', verb = '']) => {
    const [plural = '', subresource = ''] = resource.split('/');
    return !held.some((rule) => ruleAllows(rule, { verb, group, plural, subresource, name, path, namespace }));
  });
  const things = Map.groupBy(missing, (each) => JSON.stringify(each.slice(0, 4)));
  return [...things.values()].map((each) =>
    printRule(
      each[0] ?? [],
      each.map((one) => one[4]),
    ),
  );
}

function printRule([group, resource, name = '', path = '']: readonly string[], Verbs: readonly unknown[]): string {
  const named = name === '' ? {} : { ResourceNames: [name] };
  const what = path === '' ? { APIGroups: [group], Resources: [resource], ...named } : { NonResourceURLs: [path] };
  const parts = Object.entries({ ...what, Verbs }).map(([key, value]) => `${key}:${JSON.stringify(value)}`);
  return `{${parts.join(', ')}}`;
}

/** The words of a denied request. */
export function denial(user: User, asked: Question, reason: string): string {
  const { verb, group, plural, namespace, path } = asked;
  const tail = reason === '' ? '' : `: ${reason}`;
  if (plural === '') return `User "${user.name}" cannot ${verb} path "${path}"${tail}`;
  const scope = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  return `User "${user.name}" cannot ${verb} resource "${resourceOf(asked)}" in API group "${group}" ${scope}${tail}`;
}

/** The parts of one running server that handlers share. */
export interface Api {
  readonly store: Store;
  readonly registry: Registry;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** IPv4 range of ClusterIPs. */
  readonly serviceCidr: string;
  readonly issuer: string;
  readonly signingKey: KeyObject;
  readonly adminToken: string;
}

/** Who sends a request. */
export interface User {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** What a URL and method ask for, before anything is looked up; all '' outside /api and /apis. */
export type RequestInfo = Readonly<
  Record<'verb' | 'path' | 'group' | 'version' | 'plural' | 'namespace' | 'name' | 'subresource', string>
>;

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
export type WriteOptions = { readonly dryRun: boolean; readonly manager: string; readonly validation: string };

/** One write as the rules of a kind see it; `next` may still be changed, `live` not. */
export interface Change {
  readonly type: ResourceType;
  readonly next: Resource;
  readonly live?: Resource | undefined;
  readonly user: User;
  readonly dryRun: boolean;
}

/** The rules of one kind beyond its schema. */
export interface Rules {
  /** Fills in what depends on other fields, or refuses with an ApiError; runs before validation. */
  readonly prepare?: (api: Api, change: Change) => void;
  readonly validate?: (api: Api, change: Change) => Cause[];
}

const METHODS = new Map(Object.entries({ GET: 'get', HEAD: 'get', POST: 'create', PUT: 'update' }));

/** Takes a URL apart the way Kubernetes' request info resolver does. */
export function parseRequest(method: string, { pathname: path, searchParams }: URL): RequestInfo {
  const parts = path.split('/').filter((part) => part !== '');
  const verb = METHODS.get(method) ?? method.toLowerCase();
  if (parts[0] === 'api') parts.splice(1, 0, '');
  const [root = '', group = '', version = '', ...rest] = parts.map(decodeURIComponent);
  const old = rest[0] === 'watch';
  const place = parsePlace(/^apis?$/.test(root) ? rest.slice(Number(old)) : []);
  if (place.plural === '') return { ...place, verb, path, group: '', version: '' };
  const all = { ...place, path, group, version, verb };
  return place.name === '' ? { ...all, ...collective(searchParams, old, verb) } : all;
}

/** What a request that names no object asks for; a list or watch of exactly one name counts as naming it. */
function collective(query: URLSearchParams, old: boolean, verb: string): { name: string; verb: string } {
  if (verb !== 'get') return { name: '', verb: verb === 'delete' ? 'deletecollection' : verb };
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

/** The media type of a request's body, '' when it is not said. */
export const mediaOf = ({ headers }: ApiRequest): string =>
  (headers['content-type']?.toString().split(';')[0] ?? '').trim();

/** The query options of a write; 422 for values that do not exist. */
export function writeOptions({ query, headers }: ApiRequest, kind: string, apply = false): WriteOptions {
  const get = (key: string): string => query.get(key) ?? '';
  const dryRun = query.getAll('dryRun').filter((value) => value !== '');
  const wrong = dryRun.some((value) => value !== 'All');
  const validation = get('fieldValidation');
  const known = ['', 'Ignore', 'Strict', 'Warn'];
  const causes = [
    ...when(wrong, unsupported('dryRun', dryRun, ['All'])),
    ...when(apply && get('fieldManager') === '', required('fieldManager', 'is required for apply patch')),
    ...when(!known.includes(validation), unsupported('fieldValidation', validation, known)),
  ];
  if (causes.length > 0) throw invalid(kind, 'meta.k8s.io', '', causes);
  const manager = get('fieldManager') || String(headers['user-agent']).replace(/\/.*/s, '');
  return { dryRun: dryRun.length > 0, manager, validation };
}

const FORMS = ['Table', 'PartialObjectMetadata', 'PartialObjectMetadataList'];
const MEDIA = 'application/json, application/yaml, application/vnd.kubernetes.protobuf';

/** The form an answer is wanted in ('' is plain JSON) from an Accept header; 406 when nothing in it can be had. */
export function negotiate(header = '*/*'): string {
  for (const clause of header.split(',')) {
    const [media = '', ...params] = clause.split(';').map((part) => part.trim());
    const { as = '', v, g } = Object.fromEntries(params.map((param) => param.split('='))) as Record<string, string>;
    const known = as === '' || (FORMS.includes(as) && `${v}.${g}` === 'v1.meta.k8s.io');
    if (known && ['application/json', 'application/*', '*/*', ''].includes(media)) return as;
  }
  const streams = 'application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch';
  const words = `406: Not Acceptable\n\nAvailable representations: ${MEDIA}, ${streams}`;
  if (!header.includes('as=')) throw new ApiError(406, words, 'NotAcceptable', {});
  throw new ApiError(406, `only the following media types are accepted: ${MEDIA}`, 'NotAcceptable');
}
