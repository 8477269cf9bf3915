import { dig, type Obj, obj, objs, same, text, texts } from '../../kube/json.ts';
import { parseCidr } from '../../net/cidr.ts';
import { crdRules } from './crd.ts';
import patterns from './patterns.json' with { type: 'json' };
import { type ResourceType } from './registry.ts';
import { type Api, authorize, lookUp, notHeld, type Change, type Rules } from './request.ts';
import { badValue, type Cause, forbidden, notAllowed, required, when } from './status.ts';
import { type Resource } from './store.ts';
import { ipCauses, podRules, serviceRules, workloadRules } from './workloads.ts';

const RBAC = 'rbac.authorization.k8s.io';
const IMMUTABLE = 'field is immutable';
const ACCOUNT = 'kubernetes.io/service-account.name';

/** Causes for keys of data, and for changes of what `immutable` froze. */
function dataCauses(_: Api, { next, live }: Change): Cause[] {
  const keys = ['data', 'binaryData'].flatMap((field) =>
    Object.keys(obj(next[field])).flatMap((key) => matching(`${field}[${key}]`, key, 'configKey')),
  );
  const frozen = live?.immutable === true ? ['immutable', 'data', 'binaryData'] : [];
  const changed = frozen.filter((field) => !same(live?.[field], next[field]));
  return [...keys, ...changed.map((field) => notAllowed(field, `${IMMUTABLE} when \`immutable\` is set`))];
}

const secretRules: Rules = {
  prepare: (_, { next }) => {
    for (const [key, value] of Object.entries(obj(next.stringData)))
      next.data = { ...obj(next.data), [key]: Buffer.from(text(value)).toString('base64') };
    delete next.stringData;
  },
  validate: (api, change) => {
    const { next, live } = change;
    const { type, data, metadata } = next;
    const keys = type === 'kubernetes.io/tls' ? ['tls.crt', 'tls.key'] : [];
    const missing = keys.filter((key) => obj(data)[key] === undefined).map((key) => required(`data[${key}]`));
    const unnamed = type === 'kubernetes.io/service-account-token' && (metadata.annotations?.[ACCOUNT] ?? '') === '';
    const moved = when(live !== undefined && live.type !== type, badValue('type', type, IMMUTABLE));
    const account = required(`metadata.annotations[${ACCOUNT}]`);
    return [...dataCauses(api, change), ...missing, ...when(unnamed, account), ...moved];
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

const nodeRules: Rules = {
  prepare: (_, { next, live }) => {
    const spec = obj(next.spec);
    if (spec.podCIDR !== undefined) spec.podCIDRs ??= [spec.podCIDR];
    const taint = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' };
    if (live === undefined) spec.taints = [...objs(spec.taints).filter(({ key }) => key !== taint.key), taint];
  },
  validate: (_, { next }) => {
    const words = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';
    return texts(dig(next, 'spec', 'podCIDRs')).flatMap((cidr, index) =>
      when(parseCidr(cidr) === undefined, badValue(`spec.podCIDRs[${index}]`, cidr, words)),
    );
  },
};

const eventRules: Rules = {
  validate: (_, { next }) => {
    const given = text(dig(next, 'involvedObject', 'namespace')) || 'default';
    const cause = badValue('involvedObject.namespace', given, 'does not match event.namespace');
    return [...when(given !== next.metadata.namespace, cause)];
  },
};

const endpointSliceRules: Rules = {
  validate: (_, { next: { addressType, endpoints } }) => {
    if (addressType === undefined) return [required('addressType')];
    const addresses = addressType === 'FQDN' ? [] : objs(endpoints).map((each) => texts(each.addresses));
    const at = (index: number, which: number): string => `endpoints[${index}].addresses[${which}]`;
    return addresses.flatMap((each, index) => each.flatMap((ip, which) => ipCauses(at(index, which), ip)));
  },
};

/** 403 for granting rules the user does not hold, unless the user may escalate or bind. */
function refuseEscalation({ store }: Api, { type, next, user }: Change, verb: string, rules: readonly Obj[]): void {
  const { name, namespace = '' } = next.metadata;
  const asked = { verb, group: RBAC, plural: type.plural, subresource: '', namespace, name, path: '' };
  const missing = authorize(store, user, asked).allowed ? [] : notHeld(store, user, namespace, rules);
  if (missing.length === 0) return;
  const who = `user "${user.name}" (groups=[${user.groups.map((group) => JSON.stringify(group)).join(' ')}])`;
  const words = `${who} is attempting to grant RBAC permissions not currently held:`;
  throw forbidden(type, name, `${words}\n${missing.join('\n')}`);
}

const roleRules: Rules = {
  prepare: (api, change) => refuseEscalation(api, change, 'escalate', objs(change.next.rules)),
  validate: (_, { next }) => ruleCauses(next.rules),
};

const bindingRules: Rules = {
  prepare: (api, change) => {
    const { roleRef, subjects, metadata } = change.next;
    obj(roleRef).apiGroup ??= RBAC;
    for (const subject of objs(subjects)) if (subject.kind !== 'ServiceAccount') subject.apiGroup ??= RBAC;
    refuseEscalation(api, change, 'bind', objs(lookUp(api.store, obj(roleRef), metadata.namespace ?? '')));
  },
  validate: (_, { next, live }) => {
    const given = obj(next.roleRef);
    const missing = ['kind', 'name'].filter((key) => text(given[key]) === '').map((key) => required(`roleRef.${key}`));
    const printed: Obj = { APIGroup: given.apiGroup, Kind: given.kind, Name: given.name };
    const moved = live !== undefined && !same(live.roleRef, given);
    return [...missing, ...when(moved, badValue('roleRef', printed, 'cannot change roleRef'))];
  },
};

const workloads = { Deployment: workloadRules, DaemonSet: workloadRules, ReplicaSet: workloadRules };
const access = { Role: roleRules, ClusterRole: roleRules, RoleBinding: bindingRules, ClusterRoleBinding: bindingRules };
const content = { ConfigMap: { validate: dataCauses }, Secret: secretRules, Event: eventRules };
const network = { Node: nodeRules, Pod: podRules, Service: serviceRules, EndpointSlice: endpointSliceRules };
const cluster = { CustomResourceDefinition: crdRules, Namespace: namespaceRules };
const TABLE: Readonly<Record<string, Rules>> = { ...workloads, ...access, ...content, ...network, ...cluster };

/** The rules of a built-in kind; kinds without special rules have none. */
export const rulesOf = (kind: string): Rules => TABLE[kind] ?? {};

function matching(field: string, value: string, name: keyof typeof patterns): Cause[] {
  const { pattern, words, max } = patterns[name];
  if (value.length > max) return [badValue(field, value, `must be no more than ${max} bytes`)];
  const fits = new RegExp(`^${pattern}$`, 'u').test(value);
  return fits ? [] : [badValue(field, value, `${words}, regex used for validation is '${pattern}')`)];
}

function nameCauses({ plural, group }: ResourceType, name: string): readonly Cause[] {
  const field = 'metadata.name';
  if (name === '') return [required(field, 'name or generateName is required')];
  if (group.startsWith('rbac.')) return when(/[/%]/.test(name), badValue(field, name, "may not contain '/'"));
  return matching(field, name, ['namespaces', 'services'].includes(plural) ? 'label' : 'subdomain');
}

/** What is wrong with an object's metadata, also with its change. */
export function metaCauses(type: ResourceType, { metadata }: Resource, live?: Resource): Cause[] {
  const { name, labels = {}, annotations = {}, finalizers = [], ownerReferences = [] } = metadata;
  const keyCauses = (field: string, keys: Obj): Cause[] =>
    Object.keys(keys).flatMap((key) => matching(field, key.slice(key.indexOf('/') + 1), 'qualifiedName'));
  const bare = (name: string): boolean => !/\/|^(orphan|foregroundDeletion|kubernetes)$/.test(name);
  const words = 'name is neither a standard finalizer name nor is it fully qualified';
  return [
    ...(live === undefined ? [] : updateCauses(live.metadata, metadata)),
    ...nameCauses(type, name),
    ...keyCauses('metadata.labels', labels),
    ...Object.values(labels).flatMap((value) => matching('metadata.labels', value, 'labelValue')),
    ...keyCauses('metadata.annotations', annotations),
    ...ownerCauses('metadata.ownerReferences', ownerReferences),
    ...finalizers.flatMap((each, at) => when(bare(each), badValue(`metadata.finalizers[${at}]`, each, words))),
  ];
}

const NEEDED = ['apiVersion', 'kind', 'name', 'uid'];

function ownerCauses(field: string, owners: readonly Obj[]): Cause[] {
  const missing = owners.flatMap((owner) => NEEDED.filter((key) => text(owner[key]) === ''));
  const causes = missing.map((key) => badValue(`${field}.${key}`, '', 'must not be empty'));
  const [first, second] = owners.filter((owner) => owner.controller === true);
  if (first === undefined || second === undefined) return causes;
  const pair = [first, second].map(({ kind, name }) => `${text(kind)}/${text(name)}`).join(' and ');
  const words = `Only one reference can have Controller set to true. Found "true" in references for ${pair}`;
  return [...causes, badValue(field, owners, words)];
}

/** What an update of metadata may not do; Kubernetes says each of it twice. */
function updateCauses(before: Resource['metadata'], metadata: Resource['metadata']): Cause[] {
  const added = (metadata.finalizers ?? []).filter((each) => !before.finalizers?.includes(each));
  const listed = added.map((each) => JSON.stringify(each)).join(', ');
  const words = `no new finalizers can be added if the object is being deleted, found new finalizers []string{${listed}}`;
  const late = before.deletionTimestamp !== undefined && added.length > 0;
  return [
    ...when(metadata.uid !== before.uid, badValue('metadata.uid', metadata.uid, 'field is immutable')),
    ...when(late, notAllowed('metadata.finalizers', words)),
  ].flatMap((cause) => [cause, cause]);
}

/** Causes for the rules of a role. */
const ruleCauses = (rules: unknown): Cause[] =>
  objs(rules).flatMap((rule, index) => {
    const needed = texts(rule.nonResourceURLs).length > 0 ? ['verbs'] : ['verbs', 'apiGroups', 'resources'];
    const missing = needed.filter((key) => texts(rule[key]).length === 0);
    return missing.map((key) => required(`rules[${index}].${key}`, `${key} must contain at least one value`));
  });
