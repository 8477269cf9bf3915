import { dig, isObj, type Obj, obj, objs, same, text, texts, timestamp } from '../../kube/json.ts';
import { formatSelector } from '../../kube/selectors.ts';
import { patchDocument, readAs } from './bodies.ts';
import { type ResourceType } from './registry.ts';
import type { Answer, Api, ApiRequest, User } from './request.ts';
import { authorize, boundToken, grantsOf, tokenUser, writeOptions } from './request.ts';
import * as refuse from './status.ts';
import { type Resource } from './store.ts';
import { mustGet, updateObject } from './writes.ts';

/** How an object is to be deleted. */
type Deletion = Readonly<Partial<Record<'policy' | 'uid' | 'resourceVersion', string>>> & {
  readonly dryRun?: boolean;
  readonly graceSeconds?: number | undefined;
};

const POLICIES = ['Foreground', 'Background', 'Orphan', 'nil'];

function parseDeletion({ query, body }: ApiRequest): Deletion {
  let given: Obj = Object.fromEntries(query);
  try {
    given = { ...given, ...obj(JSON.parse(body.trim() || '{}')) };
  } catch {
    throw refuse.badRequest('error decoding DeleteOptions: invalid JSON');
  }
  const { orphanDependents: orphan, preconditions, dryRun, gracePeriodSeconds: grace } = given;
  const policy = text(given.propagationPolicy);
  const field = 'propagationPolicy';
  const both = refuse.badValue(field, policy, 'orphanDependents and deletionPropagation cannot be both set');
  const causes = [
    ...refuse.when(policy !== '' && orphan !== undefined, both),
    ...refuse.when(!['', ...POLICIES].includes(policy), refuse.unsupported(field, policy, POLICIES)),
  ];
  if (causes.length > 0) throw refuse.invalid('DeleteOptions', 'meta.k8s.io', '', causes);
  const { uid, resourceVersion } = obj(preconditions);
  const graceSeconds = grace === undefined ? undefined : Number(grace);
  const target = { uid: text(uid), resourceVersion: text(resourceVersion) };
  return { ...target, policy: orphan === true ? 'Orphan' : policy, dryRun: dryRun !== undefined, graceSeconds };
}

function checkPreconditions({ kind }: ResourceType, { metadata }: Resource, deletion: Deletion): void {
  const check = (what: string, wanted = '', found = '', tail = ''): void => {
    const why = `the ${what} in the precondition (${wanted}) does not match the ${what} in record (${found}). The object might have been ${tail}`;
    if (!['', found].includes(wanted)) throw refuse.conflict({ plural: kind, group: '' }, metadata.name, why);
  };
  check('UID', deletion.uid, metadata.uid, 'deleted and then recreated');
  check('ResourceVersion', deletion.resourceVersion, metadata.resourceVersion, 'modified');
}

/** Seconds a pod on a node has to stop; 0 for everything else. */
function podGrace({ kind, spec, status }: Resource, { graceSeconds }: Deletion): number {
  const { nodeName, terminationGracePeriodSeconds } = obj(spec);
  const done = ['Succeeded', 'Failed'].includes(text(obj(status).phase));
  if (kind !== 'Pod' || done || text(nodeName) === '') return 0;
  return graceSeconds ?? Number(terminationGracePeriodSeconds ?? 30);
}

const HOLDS: Readonly<Record<string, string>> = { Orphan: 'orphan', Foreground: 'foregroundDeletion' };
const CRD_CLEANUP = 'customresourcecleanup.apiextensions.k8s.io';

/** The object as it looks while it waits to be deleted; undefined when it goes at once. */
function waiting(api: Api, live: Resource, deletion: Deletion): Resource | undefined {
  const { metadata, kind, status } = live;
  const { deletionTimestamp = timestamp(api.now()), finalizers: held = [] } = metadata;
  const marked = { ...metadata, deletionTimestamp };
  if (kind === 'Namespace') return { ...live, metadata: marked, status: { ...obj(status), phase: 'Terminating' } };
  const isCrd = kind === 'CustomResourceDefinition';
  const hold = metadata.deletionTimestamp === undefined ? [isCrd ? CRD_CLEANUP : HOLDS[text(deletion.policy)]] : [];
  const finalizers = [...new Set([...held, ...texts(hold)])];
  if (isCrd) return { ...live, metadata: { ...marked, finalizers } };
  const grace = podGrace(live, deletion);
  return finalizers.length === 0 && grace === 0 ? undefined : graceful(api, live, finalizers, grace);
}

function graceful(api: Api, live: Resource, finalizers: string[], deletionGracePeriodSeconds: number): Resource {
  const { deletionTimestamp, deletionGracePeriodSeconds: before = Infinity, generation } = live.metadata;
  const first = deletionTimestamp === undefined;
  if (!first && before <= deletionGracePeriodSeconds) return live;
  const at = timestamp(api.now() + deletionGracePeriodSeconds * 1000);
  const counted = generation === undefined ? {} : { generation: generation + Number(first) };
  const marks = { deletionTimestamp: at, deletionGracePeriodSeconds, ...counted };
  return { ...live, metadata: { ...live.metadata, ...marks, ...(finalizers.length > 0 && { finalizers }) } };
}

type Deleted = { readonly object: Resource; readonly gone: boolean };

/** Deletes or marks for deletion; answers what is left, or (gone: true) what was removed. */
export function deleteObject(api: Api, type: ResourceType, live: Resource, deletion: Deletion): Deleted {
  const { name, generation = 0, deletionTimestamp } = live.metadata;
  const dry = deletion.dryRun === true;
  checkPreconditions(type, live, deletion);
  if (type.kind === 'Namespace' && ['default', 'kube-system', 'kube-public'].includes(name))
    throw refuse.forbidden(type, name, 'this namespace may not be deleted');
  const left = waiting(api, live, deletion);
  if (left !== undefined)
    return { object: dry || same(left, live) ? left : api.store.put(type.table, left), gone: false };
  if (!dry) api.store.remove(type.table, live);
  if (type.kind !== 'Pod') return { object: live, gone: true };
  const marks = { deletionTimestamp: timestamp(api.now()), deletionGracePeriodSeconds: 0 };
  const counted = { generation: generation + Number(deletionTimestamp === undefined) };
  return { object: { ...live, metadata: { ...live.metadata, ...marks, ...counted } }, gone: true };
}

/** DELETE of one object. */
export function handleDelete(api: Api, request: ApiRequest): Answer {
  const { type } = request;
  const { object, gone } = deleteObject(api, type, mustGet(api, request), parseDeletion(request));
  if (!gone || type.returned) return { code: 200, object };
  const { name, uid } = object.metadata;
  const details = { name, ...(type.group === '' ? {} : { group: type.group }), kind: type.plural, uid };
  return { code: 200, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details } };
}

/** DELETE of everything selected; answers the list as it was before. */
export function handleDeleteCollection(api: Api, request: ApiRequest, items: readonly Resource[]): Answer {
  const listMeta = { resourceVersion: String(api.store.revision) };
  const deletion = parseDeletion(request);
  for (const object of items) deleteObject(api, request.type, object, deletion);
  return { code: 200, items, listMeta };
}

const SUCCESS = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };

function scaleOf({ metadata, spec, status }: Resource): Answer {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const { replicas, selector } = obj(spec);
  const shown = { replicas: obj(status).replicas ?? 0, selector: formatSelector(obj(selector)) };
  const meta = { name, namespace, uid, resourceVersion, creationTimestamp } as Resource['metadata'];
  const content = { metadata: meta, spec: replicas === 0 ? {} : { replicas }, status: shown };
  return { code: 200, object: { kind: 'Scale', apiVersion: 'autoscaling/v1', ...content } };
}

function scale(api: Api, request: ApiRequest): Answer {
  const live = mustGet(api, request);
  if (request.method === 'GET') return scaleOf(live);
  const put = request.method === 'PUT';
  const write = { ...request, options: writeOptions(request, put ? 'UpdateOptions' : 'PatchOptions') };
  const given = put ? readAs(request, 'Scale') : patchDocument(request, scaleOf(live).object);
  const replicas = Number(obj(given.spec).replicas ?? 0);
  const negative = refuse.badValue('spec.replicas', replicas, 'must be greater than or equal to 0');
  if (replicas < 0) throw refuse.invalid('Scale', 'autoscaling', request.name, [negative]);
  const metadata = { ...live.metadata, resourceVersion: text(obj(given.metadata).resourceVersion) };
  return scaleOf(updateObject(api, write, live, { ...live, metadata, spec: { ...obj(live.spec), replicas } }));
}

function bind(api: Api, request: ApiRequest): Answer {
  const nodeName = text(dig(readAs(request, 'Binding'), 'target', 'name'));
  const pod = mustGet(api, request);
  const { name } = request;
  const taken = text(obj(pod.spec).nodeName);
  const why = `pod ${name} is already assigned to node "${taken}"`;
  if (taken !== '') throw refuse.conflict({ plural: 'pods/binding', group: '' }, name, why);
  const others = objs(dig(pod, 'status', 'conditions')).filter(({ type }) => type !== 'PodScheduled');
  const times = { lastProbeTime: null, lastTransitionTime: timestamp(api.now()) };
  const status = { ...obj(pod.status), conditions: [...others, { type: 'PodScheduled', status: 'True', ...times }] };
  api.store.put('pods', { ...pod, spec: { ...obj(pod.spec), nodeName }, status });
  return { code: 201, body: SUCCESS };
}

function evict(api: Api, request: ApiRequest): Answer {
  const grace = dig(readAs(request, 'Eviction'), 'deleteOptions', 'gracePeriodSeconds');
  const graceSeconds = typeof grace === 'number' ? grace : undefined;
  deleteObject(api, request.type, mustGet(api, request), { graceSeconds });
  return { code: 201, body: SUCCESS };
}

function finalize(api: Api, request: ApiRequest): Answer {
  const given = readAs(request, 'Namespace') as Resource;
  const live = mustGet(api, request);
  const object = updateObject(api, { ...request, options: writeOptions(request, 'UpdateOptions') }, live, given);
  const done = object.metadata.deletionTimestamp !== undefined && texts(obj(object.spec).finalizers).length === 0;
  if (done) api.store.remove('namespaces', object);
  return { code: 200, object };
}

/** What a token bound to a pod or secret says about it. */
function boundClaims({ store }: Api, namespace: string, { kind: given, name }: Obj): Obj {
  const kind = text(given).toLowerCase();
  const live = store.get(`${kind}s`, namespace, text(name));
  if (live === undefined) throw refuse.notFound({ plural: `${kind}s`, group: '' }, text(name));
  const identity = ({ metadata }: Resource): Obj => ({ name: metadata.name, uid: metadata.uid });
  const node = store.get('nodes', undefined, text(obj(live.spec).nodeName));
  return { [kind]: identity(live), ...(node && { node: identity(node) }) };
}

function requestToken(api: Api, request: ApiRequest): Answer {
  const given = obj(readAs(request, 'TokenRequest').spec);
  const account = mustGet(api, request);
  const audiences = texts(given.audiences).length > 0 ? texts(given.audiences) : [api.issuer];
  const expirationSeconds = Number(given.expirationSeconds ?? 3600);
  const short = refuse.badValue(
    'spec.expirationSeconds',
    expirationSeconds,
    'may not specify a duration less than 10 minutes',
  );
  if (expirationSeconds < 600) throw refuse.invalid('TokenRequest', 'authentication.k8s.io', '', [short]);
  const boundObjectRef = given.boundObjectRef ?? null;
  const bound = isObj(boundObjectRef) ? boundClaims(api, request.namespace, boundObjectRef) : {};
  const { name, namespace, uid } = account.metadata;
  const metadata = { name, namespace, uid, creationTimestamp: timestamp(api.now()) };
  const token = boundToken(api, account, audiences, expirationSeconds, bound);
  const status = { token, expirationTimestamp: timestamp(api.now() + expirationSeconds * 1000) };
  const head = { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', metadata };
  return { code: 201, body: { ...head, spec: { audiences, expirationSeconds, boundObjectRef }, status } };
}

type Handler = (api: Api, request: ApiRequest) => Answer;
const HANDLERS: Readonly<Record<string, Handler>> = {
  scale,
  binding: bind,
  eviction: evict,
  finalize,
  token: requestToken,
};

/** Answers a subresource other than status; those that are listed but not served are refused with 405. */
export function handleSubresource(api: Api, request: ApiRequest): Answer {
  const handler = HANDLERS[request.subresource];
  if (handler === undefined) throw refuse.methodNotAllowed();
  return handler(api, request);
}

const userInfo = ({ name, ...rest }: User): Obj => ({ username: name, ...rest });

function reviewToken(api: Api, { token, audiences: wanted }: Obj): Obj {
  if (text(token) === '') throw refuse.badRequest('token is required for TokenReview in authentication');
  const targets = texts(wanted).length > 0 ? texts(wanted) : [api.issuer];
  const found = tokenUser(api, text(token));
  const audiences = targets.filter((each) => found?.audiences.includes(each));
  if (found === undefined) return { user: {}, error: 'invalid bearer token' };
  if (audiences.length === 0) return { user: {}, error: `the token is not for the audiences ${targets.join(', ')}` };
  return { authenticated: true, user: userInfo(found.user), audiences };
}

function reviewAccess(api: Api, { namespace, type }: ApiRequest, spec: Obj, user: User): Obj {
  const { resourceAttributes, nonResourceAttributes } = spec;
  const why = 'exactly one of nonResourceAttributes or resourceAttributes must be specified';
  if ((resourceAttributes === undefined) === (nonResourceAttributes === undefined))
    throw refuse.invalid('', 'authorization.k8s.io', '', [
      refuse.badValue('spec.resourceAttributes', resourceAttributes, why),
    ]);
  const given = obj(resourceAttributes ?? nonResourceAttributes);
  const [verb, path, group, name] = [text(given.verb), text(given.path), text(given.group), text(given.name)];
  const [plural, subresource, space] = [text(given.resource), text(given.subresource), text(given.namespace)];
  const asked = { verb, path, group, plural, subresource, name, namespace: type.namespaced ? namespace : space };
  const { allowed, reason } = authorize(api.store, user, asked);
  return reason === '' ? { allowed } : { allowed, reason };
}

function reviewRules(api: Api, { namespace }: Obj, user: User): Obj {
  if (text(namespace) === '') throw refuse.badRequest('no namespace on request');
  const { rules, errors } = grantsOf(api.store, user, text(namespace));
  const resourceRules = rules.filter((rule) => rule.resources !== undefined);
  const nonResourceRules = rules.filter((rule) => rule.nonResourceURLs !== undefined);
  const failed = errors.length > 0 ? { evaluationError: errors.join(', ') } : {};
  return { resourceRules, nonResourceRules, incomplete: errors.length > 0, ...failed };
}

/** Whether a resource only answers questions and stores nothing. */
export const isReview = ({ group }: ResourceType): boolean => /^auth(entic|oriz)ation\.k8s\.io$/.test(group);

/** POST of a review: the question with its answer in status. */
export function handleReview(api: Api, request: ApiRequest): Answer {
  const { type, user } = request;
  const spec = obj(readAs(request, type.kind).spec);
  const head = { kind: type.kind, apiVersion: `${type.group}/v1`, metadata: {} };
  const answer = (status: Obj, shown = spec): Answer => ({ code: 201, body: { ...head, spec: shown, status } });
  if (type.kind === 'TokenReview') return answer(reviewToken(api, spec));
  if (type.kind === 'SelfSubjectRulesReview') return answer(reviewRules(api, spec, user), {});
  if (type.kind === 'SelfSubjectAccessReview') return answer(reviewAccess(api, request, spec, user));
  if (type.kind !== 'SelfSubjectReview')
    return answer(reviewAccess(api, request, spec, { name: text(spec.user), groups: texts(spec.groups) }));
  const metadata = { creationTimestamp: timestamp(api.now()) };
  return { code: 201, body: { ...head, metadata, status: { userInfo: userInfo(user) } } };
}
