import { type Api } from './api.ts';
import { boundClaims, signToken, tokenUser } from './authn.ts';
import { PLAIN, deleteObject } from './deletes.ts';
import { type Obj, type Resource, dig, isObj, obj, objs, text, texts, timestamp } from './json.ts';
import { printSelector } from './pods.ts';
import { authorize, grantsOf } from './rbac.ts';
import { type ResourceType } from './registry.ts';
import { type Answer, type ApiRequest, type User, writeOptions } from './request.ts';
import { decode } from './schema.ts';
import { ApiError, type Cause, badRequest, badValue, conflict, invalid, methodNotAllowed } from './status.ts';
import { applyObject, mustGet, parseBody, patchDocument, updateObject } from './writes.ts';

const SUCCESS: Answer = {
  code: 201,
  body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 },
};

/** The body as the named kind, known fields only. */
function readAs(api: Api, request: ApiRequest, kind: string): Obj {
  const body = parseBody(request, kind);
  return obj(
    decode(api.registry.withMeta(api.registry.schemas.get(kind) ?? {}), body, { typed: true, kind, unknown: [] }),
  );
}

const scaleOf = (object: Resource): Resource => {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const replicas = dig(object, 'spec', 'replicas');
  const metadata = { name, namespace, uid, resourceVersion, creationTimestamp } as Resource['metadata'];
  const status = {
    replicas: dig(object, 'status', 'replicas') ?? 0,
    selector: printSelector(dig(object, 'spec', 'selector')),
  };
  return { kind: 'Scale', apiVersion: 'autoscaling/v1', metadata, spec: replicas === 0 ? {} : { replicas }, status };
};

function scale(api: Api, request: ApiRequest): Answer {
  const live = mustGet(api, request);
  if (request.method === 'GET') return { code: 200, object: scaleOf(live) };
  const options = writeOptions(request, request.method === 'PUT' ? 'UpdateOptions' : 'PatchOptions');
  const apply = text(request.headers['content-type']).startsWith('application/apply-patch');
  const given =
    request.method === 'PUT' || apply
      ? readAs(api, { ...request, headers: {} }, 'Scale')
      : patchDocument(request, scaleOf(live));
  const replicas = Number(obj(given['spec'])['replicas'] ?? 0);
  if (replicas < 0)
    throw invalid('Scale', 'autoscaling', request.name, [
      badValue('spec.replicas', replicas, 'must be greater than or equal to 0'),
    ]);
  const write = { ...request, options };
  const { name, namespace } = live.metadata;
  const config = {
    kind: live.kind,
    apiVersion: live.apiVersion,
    metadata: { name, namespace } as Resource['metadata'],
    spec: { replicas },
  };
  if (apply)
    return { code: 200, object: scaleOf(applyObject(api, write, live, config, request.query.get('force') === 'true')) };
  const version = text(obj(given['metadata'])['resourceVersion']);
  const metadata = { ...live.metadata, resourceVersion: version };
  return {
    code: 200,
    object: scaleOf(updateObject(api, write, live, { ...live, metadata, spec: { ...obj(live['spec']), replicas } })),
  };
}

function bind(api: Api, request: ApiRequest): Answer {
  const node = text(dig(readAs(api, request, 'Binding'), 'target', 'name'));
  const pod = mustGet(api, request);
  const spec = obj(pod['spec']);
  if (text(spec['nodeName']) !== '')
    throw conflict(
      'pods/binding',
      '',
      request.name,
      `pod ${request.name} is already assigned to node ${JSON.stringify(spec['nodeName'])}`,
    );
  const others = objs(dig(pod, 'status', 'conditions')).filter((each) => each['type'] !== 'PodScheduled');
  const scheduled = {
    type: 'PodScheduled',
    status: 'True',
    lastProbeTime: null,
    lastTransitionTime: timestamp(api.now()),
  };
  api.store.put('pods', {
    ...pod,
    spec: { ...spec, nodeName: node },
    status: { ...obj(pod['status']), conditions: [...others, scheduled] },
  });
  return SUCCESS;
}

function evict(api: Api, request: ApiRequest): Answer {
  const grace = dig(readAs(api, request, 'Eviction'), 'deleteOptions', 'gracePeriodSeconds');
  deleteObject(api, request.type, mustGet(api, request), {
    ...PLAIN,
    graceSeconds: typeof grace === 'number' ? grace : undefined,
  });
  return SUCCESS;
}

function finalize(api: Api, request: ApiRequest): Answer {
  const given = readAs(api, request, 'Namespace') as Resource;
  const live = mustGet(api, request);
  const options = writeOptions(request, 'UpdateOptions');
  const object = updateObject(api, { ...request, options }, live, {
    ...live,
    metadata: { ...live.metadata, ...given.metadata },
    spec: given['spec'],
  });
  if (object.metadata.deletionTimestamp !== undefined && texts(obj(object['spec'])['finalizers']).length === 0)
    api.store.remove('namespaces', undefined, request.name);
  return { code: 200, object };
}

function boundObject(api: Api, { namespace }: ApiRequest, reference: Obj): Obj {
  const kind = text(reference['kind']).toLowerCase();
  const type = api.registry.must('', `${kind}s`);
  const live = mustGet(api, { type, namespace, name: text(reference['name']) });
  const { name, uid } = live.metadata;
  const node = kind === 'pod' ? api.store.get('nodes', undefined, text(obj(live['spec'])['nodeName'])) : undefined;
  return {
    [kind]: { name, uid },
    ...(node === undefined ? {} : { node: { name: node.metadata.name, uid: node.metadata.uid } }),
  };
}

function requestToken(api: Api, request: ApiRequest): Answer {
  const spec = obj(readAs(api, request, 'TokenRequest')['spec']);
  const account = mustGet(api, request);
  const audiences = texts(spec['audiences']).length > 0 ? texts(spec['audiences']) : [api.issuer];
  const seconds = Number(spec['expirationSeconds'] ?? 3600);
  const short = badValue('spec.expirationSeconds', seconds, 'may not specify a duration less than 10 minutes');
  if (seconds < 600) throw invalid('TokenRequest', 'authentication.k8s.io', '', [short]);
  const reference = spec['boundObjectRef'] ?? null;
  const bound = isObj(reference) ? boundObject(api, request, reference) : {};
  const token = signToken(api, boundClaims(api, account, audiences, seconds, bound));
  const { name, namespace, uid } = account.metadata;
  const body = {
    ...{ kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1' },
    metadata: { name, namespace, uid, creationTimestamp: timestamp(api.now()) },
    spec: { audiences, expirationSeconds: seconds, boundObjectRef: reference },
    status: { token, expirationTimestamp: timestamp(api.now() + seconds * 1000) },
  };
  return { code: 201, body };
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

const userInfo = ({ name, uid, groups, extra }: User): Obj => ({
  username: name,
  ...(uid === undefined ? {} : { uid }),
  groups,
  ...(extra === undefined ? {} : { extra }),
});

function reviewToken(api: Api, spec: Obj): Obj {
  const token = text(spec['token']);
  if (token === '') throw badRequest('token is required for TokenReview in authentication');
  const wanted = texts(spec['audiences']).length > 0 ? texts(spec['audiences']) : [api.issuer];
  const admin =
    token === api.adminToken
      ? { user: { name: 'admin', groups: ['system:masters', 'system:authenticated'] }, audiences: wanted }
      : undefined;
  const found = admin ?? tokenUser(api, token);
  if (found === undefined) return { user: {}, error: 'invalid bearer token' };
  const audiences = wanted.filter((each) => found.audiences.includes(each));
  if (audiences.length === 0)
    return {
      user: {},
      error: `token audiences ${JSON.stringify(found.audiences)} is invalid for the target audiences ${JSON.stringify(wanted)}`,
    };
  return { authenticated: true, user: userInfo(found.user), audiences };
}

function reviewAccess(api: Api, { namespace, type }: ApiRequest, spec: Obj, user: User): Obj {
  const { resourceAttributes, nonResourceAttributes } = spec;
  const causes: Cause[] = [];
  if ((resourceAttributes === undefined) === (nonResourceAttributes === undefined))
    causes.push(
      badValue(
        'spec.resourceAttributes',
        resourceAttributes,
        'exactly one of nonResourceAttributes or resourceAttributes must be specified',
      ),
    );
  if (causes.length > 0) throw invalid('', 'authorization.k8s.io', '', causes);
  const given = obj(resourceAttributes ?? nonResourceAttributes);
  const get = (key: string): string => text(given[key]);
  const where = type.namespaced ? namespace : get('namespace');
  const asked = {
    verb: get('verb'),
    group: get('group'),
    plural: get('resource'),
    subresource: get('subresource'),
    namespace: where,
    name: get('name'),
  };
  const { allowed, reason } = authorize(
    api.store,
    user,
    nonResourceAttributes === undefined ? asked : { ...asked, path: get('path') },
  );
  return reason === '' ? { allowed } : { allowed, reason };
}

function reviewRules(api: Api, spec: Obj, user: User): Obj {
  const namespace = text(spec['namespace']);
  if (namespace === '') throw badRequest('no namespace on request');
  const admin = {
    rules: [
      { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
      { verbs: ['*'], nonResourceURLs: ['*'] },
    ] as Obj[],
  };
  const { grants, errors } = grantsOf(api.store, user, namespace);
  const rules = [...(user.groups.includes('system:masters') ? [admin] : []), ...grants].flatMap((grant) => grant.rules);
  const resourceRules = rules.filter((rule) => rule['resources'] !== undefined);
  const nonResourceRules = rules.filter((rule) => rule['nonResourceURLs'] !== undefined);
  return {
    resourceRules,
    nonResourceRules,
    incomplete: errors.length > 0,
    ...(errors.length > 0 ? { evaluationError: errors.join(', ') } : {}),
  };
}

/** Whether a resource only answers questions and stores nothing. */
export const isReview = ({ group }: ResourceType): boolean =>
  group === 'authentication.k8s.io' || group === 'authorization.k8s.io';

/** POST of a review: the question with its answer in status. */
export function handleReview(api: Api, request: ApiRequest): Answer {
  const { kind, group } = request.type;
  const body = readAs(api, request, kind);
  const spec = obj(body['spec']);
  const head = { kind, apiVersion: `${group}/v1`, metadata: {} };
  const subject: User = { name: text(spec['user']), groups: texts(spec['groups']) };
  switch (kind) {
    case 'SelfSubjectReview':
      return {
        code: 201,
        body: {
          ...head,
          metadata: { creationTimestamp: timestamp(api.now()) },
          status: { userInfo: userInfo(request.user) },
        },
      };
    case 'TokenReview':
      return { code: 201, body: { ...head, spec, status: reviewToken(api, spec) } };
    case 'SelfSubjectRulesReview':
      return { code: 201, body: { ...head, spec: {}, status: reviewRules(api, spec, request.user) } };
    case 'SelfSubjectAccessReview':
      return { code: 201, body: { ...head, spec, status: reviewAccess(api, request, spec, request.user) } };
    case 'SubjectAccessReview':
    case 'LocalSubjectAccessReview':
      return { code: 201, body: { ...head, spec, status: reviewAccess(api, request, spec, subject) } };
    default:
      throw new ApiError(501, `${kind} is not supported by this API server`, { reason: 'NotImplemented' });
  }
}
