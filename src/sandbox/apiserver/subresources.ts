import { type Api } from './api.ts';
import { boundToken } from './authn.ts';
import { isApply, parseBody, patchDocument } from './bodies.ts';
import { deleteObject } from './deletes.ts';
import { type Obj, type Resource, dig, isObj, obj, objs, text, texts, timestamp } from './json.ts';
import { printSelector } from './pods.ts';
import { type Answer, type ApiRequest, writeOptions } from './request.ts';
import { decode } from './schema.ts';
import { badValue, conflict, invalid, methodNotAllowed, notFound } from './status.ts';
import { applyObject, mustGet, updateObject } from './writes.ts';

const SUCCESS: Answer = {
  code: 201,
  body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 },
};

/** The body as the named kind, known fields only. */
export function readAs({ registry }: Api, request: ApiRequest, kind: string): Obj {
  const schema = registry.withMeta(registry.schemas.get(kind));
  return obj(decode(schema, parseBody(request, kind), { typed: true, kind, unknown: [] }, ''));
}

function scaleOf({ metadata, spec, status }: Resource): Resource {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const { replicas, selector } = obj(spec);
  const shown = { replicas: obj(status).replicas ?? 0, selector: printSelector(selector) };
  const meta = { name, namespace, uid, resourceVersion, creationTimestamp } as Resource['metadata'];
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: meta,
    spec: replicas === 0 ? {} : { replicas },
    status: shown,
  };
}

function scale(api: Api, request: ApiRequest): Answer {
  const live = mustGet(api, request);
  if (request.method === 'GET') return { code: 200, object: scaleOf(live) };
  const put = request.method === 'PUT';
  const apply = isApply(request);
  const options = writeOptions(request, put ? 'UpdateOptions' : 'PatchOptions', apply);
  const given =
    put || apply ? readAs(api, { ...request, headers: {} }, 'Scale') : patchDocument(request, scaleOf(live));
  const replicas = Number(obj(given.spec).replicas ?? 0);
  const negative = badValue('spec.replicas', replicas, 'must be greater than or equal to 0');
  if (replicas < 0) throw invalid('Scale', 'autoscaling', request.name, [negative]);
  const write = { ...request, options };
  const { name, namespace } = live.metadata;
  const config = {
    ...live,
    metadata: { name, namespace } as Resource['metadata'],
    spec: { replicas },
    status: undefined,
  };
  if (apply)
    return { code: 200, object: scaleOf(applyObject(api, write, live, config, request.query.get('force') === 'true')) };
  const metadata = { ...live.metadata, resourceVersion: text(obj(given.metadata).resourceVersion) };
  return {
    code: 200,
    object: scaleOf(updateObject(api, write, live, { ...live, metadata, spec: { ...obj(live.spec), replicas } })),
  };
}

function bind(api: Api, request: ApiRequest): Answer {
  const nodeName = text(dig(readAs(api, request, 'Binding'), 'target', 'name'));
  const pod = mustGet(api, request);
  const { name } = request;
  const taken = text(obj(pod.spec).nodeName);
  if (taken !== '')
    throw conflict({ plural: 'pods/binding', group: '' }, name, `pod ${name} is already assigned to node "${taken}"`);
  const others = objs(dig(pod, 'status', 'conditions')).filter(({ type }) => type !== 'PodScheduled');
  const scheduled = {
    type: 'PodScheduled',
    status: 'True',
    lastProbeTime: null,
    lastTransitionTime: timestamp(api.now()),
  };
  const status = { ...obj(pod.status), conditions: [...others, scheduled] };
  api.store.put('pods', { ...pod, spec: { ...obj(pod.spec), nodeName }, status });
  return SUCCESS;
}

function evict(api: Api, request: ApiRequest): Answer {
  const grace = dig(readAs(api, request, 'Eviction'), 'deleteOptions', 'gracePeriodSeconds');
  deleteObject(api, request.type, mustGet(api, request), {
    graceSeconds: typeof grace === 'number' ? grace : undefined,
  });
  return SUCCESS;
}

function finalize(api: Api, request: ApiRequest): Answer {
  const given = readAs(api, request, 'Namespace') as Resource;
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
  if (live === undefined) throw notFound({ plural: `${kind}s`, group: '' }, text(name));
  const identity = ({ metadata }: Resource): Obj => ({ name: metadata.name, uid: metadata.uid });
  const node = store.get('nodes', undefined, text(obj(live.spec).nodeName));
  return { [kind]: identity(live), ...(node === undefined ? {} : { node: identity(node) }) };
}

function requestToken(api: Api, request: ApiRequest): Answer {
  const spec = obj(readAs(api, request, 'TokenRequest').spec);
  const account = mustGet(api, request);
  const audiences = texts(spec.audiences).length > 0 ? texts(spec.audiences) : [api.issuer];
  const seconds = Number(spec.expirationSeconds ?? 3600);
  const short = badValue('spec.expirationSeconds', seconds, 'may not specify a duration less than 10 minutes');
  if (seconds < 600) throw invalid('TokenRequest', 'authentication.k8s.io', '', [short]);
  const reference = spec.boundObjectRef ?? null;
  const bound = isObj(reference) ? boundClaims(api, request.namespace, reference) : {};
  const { name, namespace, uid } = account.metadata;
  const metadata = { name, namespace, uid, creationTimestamp: timestamp(api.now()) };
  const token = boundToken(api, account, audiences, seconds, bound);
  const status = { token, expirationTimestamp: timestamp(api.now() + seconds * 1000) };
  const shown = { audiences, expirationSeconds: seconds, boundObjectRef: reference };
  return {
    code: 201,
    body: { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', metadata, spec: shown, status },
  };
}

const HANDLERS: Readonly<Record<string, (api: Api, request: ApiRequest) => Answer>> = {
  scale,
  binding: bind,
  eviction: evict,
  finalize,
  token: requestToken,
};

/** Answers a subresource other than status; those that are listed but not served are refused with 405. */
export function handleSubresource(api: Api, request: ApiRequest): Answer {
  const handler = HANDLERS[request.subresource];
  if (handler === undefined) throw methodNotAllowed();
  return handler(api, request);
}
