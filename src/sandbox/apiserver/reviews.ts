import { type Api } from './api.ts';
import { ADMIN, tokenUser } from './authn.ts';
import { type Obj, obj, text, texts, timestamp } from './json.ts';
import { authorize, grantsOf } from './rbac.ts';
import { type ResourceType } from './registry.ts';
import { type Answer, type ApiRequest, type User } from './request.ts';
import { badRequest, badValue, invalid } from './status.ts';
import { readAs } from './subresources.ts';

const userInfo = ({ name, ...rest }: User): Obj => ({ username: name, ...rest });

function reviewToken(api: Api, { token: given, audiences: wanted }: Obj): Obj {
  const token = text(given);
  if (token === '') throw badRequest('token is required for TokenReview in authentication');
  const targets = texts(wanted).length > 0 ? texts(wanted) : [api.issuer];
  const found = token === api.adminToken ? { user: ADMIN, audiences: targets } : tokenUser(api, token);
  const audiences = targets.filter((each) => found?.audiences.includes(each));
  if (found === undefined) return { user: {}, error: 'invalid bearer token' };
  if (audiences.length === 0) return { user: {}, error: `the token is not for the audiences ${targets.join(', ')}` };
  return { authenticated: true, user: userInfo(found.user), audiences };
}

function reviewAccess(api: Api, { namespace, type }: ApiRequest, spec: Obj, user: User): Obj {
  const { resourceAttributes, nonResourceAttributes } = spec;
  const why = 'exactly one of nonResourceAttributes or resourceAttributes must be specified';
  if ((resourceAttributes === undefined) === (nonResourceAttributes === undefined))
    throw invalid('', 'authorization.k8s.io', '', [badValue('spec.resourceAttributes', resourceAttributes, why)]);
  const given = obj(resourceAttributes ?? nonResourceAttributes);
  const get = (key: string): string => text(given[key]);
  const target = { plural: get('resource'), subresource: get('subresource'), name: get('name') };
  const place = {
    namespace: type.namespaced ? namespace : get('namespace'),
    path: nonResourceAttributes === undefined ? undefined : get('path'),
  };
  const { allowed, reason } = authorize(api.store, user, {
    verb: get('verb'),
    group: get('group'),
    ...target,
    ...place,
  });
  return reason === '' ? { allowed } : { allowed, reason };
}

function reviewRules(api: Api, { namespace }: Obj, user: User): Obj {
  if (text(namespace) === '') throw badRequest('no namespace on request');
  const { rules, errors } = grantsOf(api.store, user, text(namespace));
  const all = { verbs: ['*'], apiGroups: ['*'], resources: ['*'] };
  if (user.groups.includes('system:masters')) rules.push(all);
  const [resourceRules, nonResourceRules] = ['resources', 'nonResourceURLs'].map((key) =>
    rules.filter((rule) => rule[key] !== undefined),
  );
  const failed = errors.length > 0 ? { evaluationError: errors.join(', ') } : {};
  return { resourceRules, nonResourceRules, incomplete: errors.length > 0, ...failed };
}

/** Whether a resource only answers questions and stores nothing. */
export const isReview = ({ group }: ResourceType): boolean => /^auth(entic|oriz)ation\.k8s\.io$/.test(group);

/** POST of a review: the question with its answer in status. */
export function handleReview(api: Api, request: ApiRequest): Answer {
  const { type, user } = request;
  const spec = obj(readAs(api, request, type.kind).spec);
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
