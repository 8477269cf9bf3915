import { type Api, type Change, type Rules } from './api.ts';
import { crdRules } from './crd.ts';
import { type Obj, type Resource, dig, obj, objs, same, text, texts, without } from './json.ts';
import { daemonSetRules, deploymentRules, podRules, replicaSetRules } from './pods.ts';
import { authorize, escalation, referredRules } from './rbac.ts';
import { serviceRules } from './services.ts';
import { type Cause, badValue, forbidden, notAllowed, required, unsupported } from './status.ts';
import { cidrCauses, dataKeyCauses, ipCauses, ruleCauses } from './validation.ts';

const RBAC = 'rbac.authorization.k8s.io';

const frozen = (live: Resource | undefined, next: Resource, ...fields: readonly string[]): Cause[] =>
  live?.['immutable'] !== true
    ? []
    : fields
        .filter((field) => !same(live[field], next[field]))
        .map((field) => notAllowed(field, 'field is immutable when `immutable` is set'));

const configMapRules: Rules = {
  validate: (_, { next, live }) => [
    ...dataKeyCauses('data', next['data']),
    ...dataKeyCauses('binaryData', next['binaryData']),
    ...frozen(live, next, 'immutable', 'data', 'binaryData'),
  ],
};

const TOKEN_SECRET = 'kubernetes.io/service-account-token';
const SECRET_KEYS: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
};

const secretRules: Rules = {
  prepare: (_, { next }) => {
    const given = Object.entries(obj(next['stringData'])).map(([key, value]) => [
      key,
      Buffer.from(text(value)).toString('base64'),
    ]);
    if (given.length > 0) next['data'] = { ...obj(next['data']), ...(Object.fromEntries(given) as Obj) };
    delete next['stringData'];
  },
  validate: (_, { next, live }) => {
    const type = text(next['type']);
    const causes = [...dataKeyCauses('data', next['data']), ...frozen(live, next, 'immutable', 'data')];
    for (const key of SECRET_KEYS[type] ?? [])
      if (obj(next['data'])[key] === undefined) causes.push(required(`data[${key}]`));
    const account = 'kubernetes.io/service-account.name';
    if (type === TOKEN_SECRET && (next.metadata.annotations?.[account] ?? '') === '')
      causes.push(required(`metadata.annotations[${account}]`));
    if (live !== undefined && live['type'] !== type) causes.push(badValue('type', type, 'field is immutable'));
    return causes;
  },
};

const namespaceRules: Rules = {
  prepare: (_, { next, live }) => {
    next.metadata.labels = { ...next.metadata.labels, 'kubernetes.io/metadata.name': next.metadata.name };
    const finalizers = texts(obj(next['spec'])['finalizers']);
    next['spec'] =
      live === undefined ? { finalizers: [...new Set([...finalizers, 'kubernetes'])] } : (next['spec'] ?? live['spec']);
    if (live === undefined) next['status'] = { phase: 'Active' };
  },
};

const nodeRules: Rules = {
  prepare: (_, { next, live }) => {
    const spec = obj(next['spec']);
    if (spec['podCIDR'] !== undefined) spec['podCIDRs'] ??= [spec['podCIDR']];
    if (live !== undefined) return;
    const taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' };
    if (!objs(spec['taints']).some((each) => each['key'] === taint.key))
      spec['taints'] = [...objs(spec['taints']), taint];
  },
  validate: (_, { next, live }) => {
    const cidrs = texts(dig(next, 'spec', 'podCIDRs'));
    const before = texts(dig(live, 'spec', 'podCIDRs'));
    const causes = cidrs.flatMap((cidr, index) => cidrCauses(`spec.podCIDRs[${index}]`, cidr));
    if (before.length > 0 && !same(before, cidrs))
      causes.push(notAllowed('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'));
    return causes;
  },
};

const eventRules: Rules = {
  putCreates: true,
  validate: (_, { next }) => {
    const given = text(dig(next, 'involvedObject', 'namespace'));
    const good = given === next.metadata.namespace || (given === '' && next.metadata.namespace === 'default');
    return good ? [] : [badValue('involvedObject.namespace', given, 'does not match event.namespace')];
  },
};

const endpointSliceRules: Rules = {
  validate: (_, { next, live }) => {
    const kinds = ['FQDN', 'IPv4', 'IPv6'];
    const type = text(next['addressType']);
    if (type === '') return [required('addressType')];
    if (!kinds.includes(type)) return [];
    const causes = objs(next['endpoints']).flatMap((endpoint, index) =>
      texts(endpoint['addresses']).flatMap((address, position) =>
        type === 'FQDN' ? [] : ipCauses(`endpoints[${index}].addresses[${position}]`, address),
      ),
    );
    if (live !== undefined && live['addressType'] !== type)
      causes.push(badValue('addressType', type, 'field is immutable'));
    return causes;
  },
};

/** Refuses rules the user does not hold, unless the user may escalate. */
function refuseEscalation({ store }: Api, { type, next, user }: Change, rules: readonly Obj[], verb: string): void {
  const { name, namespace = '' } = next.metadata;
  const why = escalation(store, user, namespace, rules);
  if (why === undefined) return;
  const roleRef = obj(next['roleRef']);
  const [plural, target] =
    verb === 'bind' ? [`${text(roleRef['kind']).toLowerCase()}s`, text(roleRef['name'])] : [type.plural, name];
  const asked = { verb, group: RBAC, plural, subresource: '', namespace, name: target };
  if (!authorize(store, user, asked).allowed) throw forbidden(type, name, why);
}

const roleRules: Rules = {
  putCreates: true,
  admit: (api, change) => {
    if (!same(change.live?.['rules'], change.next['rules']))
      refuseEscalation(api, change, objs(change.next['rules']), 'escalate');
  },
  validate: (_, { next }) => ruleCauses(next['rules']),
};

const bindingRules: Rules = {
  putCreates: true,
  prepare: (_, { next }) => {
    const roleRef = obj(next['roleRef']);
    roleRef['apiGroup'] ??= RBAC;
    for (const subject of objs(next['subjects']))
      if (subject['kind'] !== 'ServiceAccount') subject['apiGroup'] ??= RBAC;
  },
  admit: (api, change) => {
    const { next, live } = change;
    const unchanged =
      live !== undefined && same(live['subjects'], next['subjects']) && same(live['roleRef'], next['roleRef']);
    if (!unchanged)
      refuseEscalation(
        api,
        change,
        referredRules(api.store, obj(next['roleRef']), next.metadata.namespace ?? ''),
        'bind',
      );
  },
  validate: (_, { next, live }) => {
    const roleRef = obj(next['roleRef']);
    const kinds = next.kind === 'RoleBinding' ? ['ClusterRole', 'Role'] : ['ClusterRole'];
    const causes: Cause[] = [];
    if (!kinds.includes(text(roleRef['kind']))) causes.push(unsupported('roleRef.kind', roleRef['kind'], kinds));
    if (text(roleRef['name']) === '') causes.push(required('roleRef.name'));
    objs(next['subjects']).forEach(({ kind, name, namespace }, index) => {
      if (text(name) === '') causes.push(required(`subjects[${index}].name`));
      if (kind === 'ServiceAccount' && next.kind === 'ClusterRoleBinding' && text(namespace) === '')
        causes.push(required(`subjects[${index}].namespace`));
    });
    const printed = { APIGroup: roleRef['apiGroup'], Kind: roleRef['kind'], Name: roleRef['name'] };
    if (live !== undefined && !same(live['roleRef'], roleRef))
      causes.push(badValue('roleRef', printed, 'cannot change roleRef'));
    return causes;
  },
};

const TABLE: Readonly<Record<string, Rules>> = {
  ConfigMap: configMapRules,
  Secret: secretRules,
  Namespace: namespaceRules,
  Node: nodeRules,
  Pod: podRules,
  Service: serviceRules,
  Endpoints: { putCreates: true },
  EndpointSlice: endpointSliceRules,
  Event: eventRules,
  Deployment: deploymentRules,
  DaemonSet: daemonSetRules,
  ReplicaSet: replicaSetRules,
  Lease: { conditional: true, putCreates: true },
  Role: roleRules,
  ClusterRole: roleRules,
  RoleBinding: bindingRules,
  ClusterRoleBinding: bindingRules,
  CustomResourceDefinition: crdRules,
};

/** The rules of a built-in kind; kinds without special rules have none. */
export const rulesOf = (kind: string): Rules => TABLE[kind] ?? {};

const RENAMED: readonly (readonly [core: string, newer: string])[] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
  ['reportingComponent', 'reportingController'],
];

/** An event as events.k8s.io shows it. */
export function toNewEvent(event: Resource): Resource {
  const result: Resource = { ...event, apiVersion: 'events.k8s.io/v1' };
  for (const [core, newer] of RENAMED) {
    delete result[core];
    if (event[core] !== undefined && event[core] !== '') result[newer] = event[core];
  }
  return text(event['reportingInstance']) === '' ? without(result, 'reportingInstance') : result;
}

/** An event of events.k8s.io as it is stored. */
export function fromNewEvent(event: Obj): Obj {
  const result: Obj = { ...event, apiVersion: 'v1' };
  for (const [core, newer] of RENAMED) {
    delete result[newer];
    if (event[newer] !== undefined) result[core] = event[newer];
  }
  return result;
}
