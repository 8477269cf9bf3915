import { type Api, type Change, type Rules } from './api.ts';
import { crdRules } from './crd.ts';
import { type Obj, dig, obj, objs, same, text, texts } from './json.ts';
import { podRules, workloadRules } from './pods.ts';
import { authorize, holdsAll, referredRules } from './rbac.ts';
import { serviceRules } from './services.ts';
import { type Cause, badValue, forbidden, notAllowed, required } from './status.ts';
import { dataKeyCauses, ipCauses, ruleCauses } from './validation.ts';

const RBAC = 'rbac.authorization.k8s.io';
const IMMUTABLE = 'field is immutable';

/** Causes for keys of data, and for changes of what `immutable` froze. */
function dataCauses({ next, live }: Change): Cause[] {
  const keys = ['data', 'binaryData'].flatMap((field) => dataKeyCauses(field, next[field]));
  const changed = ['immutable', 'data', 'binaryData'].filter(
    (field) => live?.immutable === true && !same(live[field], next[field]),
  );
  return [...keys, ...changed.map((field) => notAllowed(field, `${IMMUTABLE} when \`immutable\` is set`))];
}

const TOKEN_SECRET = 'kubernetes.io/service-account-token';
const ACCOUNT = 'kubernetes.io/service-account.name';

const secretRules: Rules = {
  prepare: (_, { next }) => {
    const given = Object.entries(obj(next.stringData)).map(([key, value]) => [
      key,
      Buffer.from(text(value)).toString('base64'),
    ]);
    if (given.length > 0) next.data = { ...obj(next.data), ...(Object.fromEntries(given) as Obj) };
    delete next.stringData;
  },
  validate: (_, change) => {
    const { next, live } = change;
    const causes = dataCauses(change);
    const missing =
      next.type === 'kubernetes.io/tls'
        ? ['tls.crt', 'tls.key'].filter((key) => obj(next.data)[key] === undefined)
        : [];
    causes.push(...missing.map((key) => required(`data[${key}]`)));
    const unnamed = next.type === TOKEN_SECRET && (next.metadata.annotations?.[ACCOUNT] ?? '') === '';
    if (unnamed) causes.push(required(`metadata.annotations[${ACCOUNT}]`));
    return live === undefined || live.type === next.type ? causes : [...causes, badValue('type', next.type, IMMUTABLE)];
  },
};

const namespaceRules: Rules = {
  prepare: (_, { next, live }) => {
    next.metadata.labels = { ...next.metadata.labels, 'kubernetes.io/metadata.name': next.metadata.name };
    if (live !== undefined) return;
    next.spec = { finalizers: [...new Set([...texts(obj(next.spec).finalizers), 'kubernetes'])] };
    next.status = { phase: 'Active' };
  },
};

const isCidr = (value: string): boolean =>
  ipCauses('', value.split('/')[0]).length === 0 && /^[^/]+\/\d{1,3}$/.test(value);

const nodeRules: Rules = {
  prepare: (_, { next, live }) => {
    const spec = obj(next.spec);
    if (spec.podCIDR !== undefined) spec.podCIDRs ??= [spec.podCIDR];
    const taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' };
    if (live === undefined) spec.taints = [...objs(spec.taints).filter(({ key }) => key !== taint.key), taint];
  },
  validate: (_, { next }) => {
    const words = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';
    const cidrs = texts(dig(next, 'spec', 'podCIDRs'));
    return cidrs.flatMap((cidr, index) => (isCidr(cidr) ? [] : [badValue(`spec.podCIDRs[${index}]`, cidr, words)]));
  },
};

const eventRules: Rules = {
  putCreates: true,
  validate: (_, { next }) => {
    const given = text(dig(next, 'involvedObject', 'namespace')) || 'default';
    return given === next.metadata.namespace
      ? []
      : [badValue('involvedObject.namespace', given, 'does not match event.namespace')];
  },
};

const endpointSliceRules: Rules = {
  validate: (_, { next }) => {
    if (next.addressType === undefined) return [required('addressType')];
    const addresses = next.addressType === 'FQDN' ? [] : objs(next.endpoints).map((each) => texts(each.addresses));
    return addresses.flatMap((each, index) =>
      each.flatMap((ip, at) => ipCauses(`endpoints[${index}].addresses[${at}]`, ip)),
    );
  },
};

/** 403 for granting rules the user does not hold, unless the user may escalate or bind. */
function refuseEscalation({ store }: Api, { type, next, user }: Change, verb: string, rules: readonly Obj[]): void {
  const { name, namespace = '' } = next.metadata;
  const asked = { verb, group: RBAC, plural: type.plural, subresource: '', namespace, name };
  if (holdsAll(store, user, namespace, rules) || authorize(store, user, asked).allowed) return;
  const groups = user.groups.map((group) => JSON.stringify(group)).join(' ');
  const who = `user "${user.name}" (groups=[${groups}])`;
  throw forbidden(
    type,
    name,
    `${who} is attempting to grant RBAC permissions not currently held:\n${JSON.stringify(rules)}`,
  );
}

const roleRules: Rules = {
  putCreates: true,
  prepare: (api, change) => refuseEscalation(api, change, 'escalate', objs(change.next.rules)),
  validate: (_, { next }) => ruleCauses(next.rules),
};

const bindingRules: Rules = {
  putCreates: true,
  prepare: (api, change) => {
    const { roleRef, subjects, metadata } = change.next;
    obj(roleRef).apiGroup ??= RBAC;
    for (const subject of objs(subjects)) if (subject.kind !== 'ServiceAccount') subject.apiGroup ??= RBAC;
    refuseEscalation(api, change, 'bind', referredRules(api.store, obj(roleRef), metadata.namespace ?? ''));
  },
  validate: (_, { next, live }) => {
    const { apiGroup, kind, name } = obj(next.roleRef);
    const causes = ['kind', 'name']
      .filter((key) => text(obj(next.roleRef)[key]) === '')
      .map((key) => required(`roleRef.${key}`));
    const printed = { APIGroup: apiGroup, Kind: kind, Name: name };
    const moved = live !== undefined && !same(live.roleRef, next.roleRef);
    return moved ? [...causes, badValue('roleRef', printed, 'cannot change roleRef')] : causes;
  },
};

const TABLE: Readonly<Record<string, Rules>> = {
  ConfigMap: { validate: (_, change) => dataCauses(change) },
  Secret: secretRules,
  Namespace: namespaceRules,
  Node: nodeRules,
  Pod: podRules,
  Service: serviceRules,
  Endpoints: { putCreates: true },
  EndpointSlice: endpointSliceRules,
  Event: eventRules,
  Deployment: workloadRules,
  DaemonSet: workloadRules,
  ReplicaSet: workloadRules,
  Role: roleRules,
  ClusterRole: roleRules,
  RoleBinding: bindingRules,
  ClusterRoleBinding: bindingRules,
  Lease: { conditional: true, putCreates: true },
  CustomResourceDefinition: crdRules,
};

/** The rules of a built-in kind; kinds without special rules have none. */
export const rulesOf = (kind: string): Rules => TABLE[kind] ?? {};
