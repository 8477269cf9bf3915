import { isIP } from 'node:net';
import { dig, type Obj, obj, objs, same, text, texts, without } from '../../kube/json.ts';
import { matchesSelector } from '../../kube/selectors.ts';
import { addressAt, cidrContains } from '../../net/cidr.ts';
import { type Api, type Change, type Rules } from './request.ts';
import { badValue, type Cause, duplicate, forbidden, notAllowed, required, unsupported, when } from './status.ts';
import { type Resource } from './store.ts';

const TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Defaults of a pod spec that depend on other fields. */
function completeSpec(spec: Obj): void {
  for (const container of [...objs(spec.initContainers), ...objs(spec.containers)]) {
    const moving = /(^|\/)[^:@/]+$|:latest$/.test(text(container.image));
    container.imagePullPolicy ??= moving ? 'Always' : 'IfNotPresent';
    if (spec.hostNetwork === true) for (const port of objs(container.ports)) port.hostPort ??= port.containerPort;
  }
  const account = spec.serviceAccountName ?? spec.serviceAccount;
  if (account !== undefined) Object.assign(spec, { serviceAccountName: account, serviceAccount: account });
}

function specCauses(spec: Obj, at: string): Cause[] {
  const containers = objs(spec.containers);
  if (containers.length === 0) return [required(`${at}.containers`)];
  return containers.flatMap(({ name, image }, index) => {
    const here = `${at}.containers[${index}]`;
    const first = containers.findIndex((each) => each.name === name);
    return [
      ...when(text(name) === '', required(`${here}.name`)),
      ...when(text(image) === '', required(`${here}.image`)),
      ...when(first < index && image !== undefined, duplicate(`${here}.name`, name)),
    ];
  });
}

function qosClass(spec: Obj): string {
  const all = [...objs(spec.containers), ...objs(spec.initContainers)].map(({ resources }) => obj(resources));
  if (all.every(({ limits, requests }) => limits === undefined && requests === undefined)) return 'BestEffort';
  const fixed = all.every(({ limits, requests }) => {
    const { cpu, memory } = obj(limits);
    return cpu !== undefined && memory !== undefined && same({ ...obj(limits), ...obj(requests) }, limits);
  });
  return fixed ? 'Guaranteed' : 'Burstable';
}

/** Mounts the token, CA and namespace of the service account as admission does. */
function mountToken(spec: Obj, account: Resource): void {
  const mountsOf = ({ volumeMounts }: Obj): Obj[] => objs(volumeMounts);
  const bare = [...objs(spec.containers), ...objs(spec.initContainers)].filter(
    (container) => !mountsOf(container).some(({ mountPath }) => mountPath === TOKEN_PATH),
  );
  const wanted = (spec.automountServiceAccountToken ?? account.automountServiceAccountToken) !== false;
  if (!wanted || bare.length === 0) return;
  const name = `kube-api-access-${Math.random().toString(36).slice(2, 7)}`;
  const mount = { name, readOnly: true, mountPath: TOKEN_PATH };
  for (const container of bare) container.volumeMounts = [...mountsOf(container), mount];
  const fieldRef = { apiVersion: 'v1', fieldPath: 'metadata.namespace' };
  const sources = [
    { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    { downwardAPI: { items: [{ path: 'namespace', fieldRef }] } },
  ];
  spec.volumes = [...objs(spec.volumes), { name, projected: { sources, defaultMode: 420 } }];
}

/** What admission makes of a new pod: service account, tolerations, priority; 403 without the service account. */
function admitPod({ store }: Api, { type, next }: Change): void {
  const { name, namespace } = next.metadata;
  const spec = obj(next.spec);
  const account = text(spec.serviceAccountName) || 'default';
  const found = store.get('serviceaccounts', namespace, account);
  const missing = `error looking up service account ${namespace}/${account}: serviceaccount "${account}" not found`;
  if (found === undefined) throw forbidden(type, name, missing);
  mountToken(spec, found);
  const tolerations = objs(spec.tolerations);
  for (const key of ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'])
    if (!tolerations.some((each) => (each.key ?? key) === key && each.effect !== 'NoSchedule'))
      tolerations.push({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 });
  const chosen = store.get('scheduling.k8s.io/priorityclasses', undefined, text(spec.priorityClassName));
  const { value: priority = 0, preemptionPolicy = 'PreemptLowerPriority' } = obj(chosen);
  const names = { serviceAccountName: account, serviceAccount: account };
  Object.assign(spec, { tolerations, priority, preemptionPolicy, ...names });
  spec.enableServiceLinks ??= true;
}

const POD_CHANGES =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

/** The part of a pod spec that never changes. */
const fixedSpec = (spec: Obj): Obj => ({
  ...without(spec, 'activeDeadlineSeconds', 'tolerations', 'terminationGracePeriodSeconds'),
  containers: objs(spec.containers).map((each) => without(each, 'image')),
});

/** Rules of pods. */
export const podRules: Rules = {
  prepare: (api, change) => {
    const { next, live } = change;
    completeSpec(obj(next.spec));
    const { podIP, podIPs } = obj(next.status);
    if (podIP !== undefined && podIPs === undefined) obj(next.status).podIPs = [{ ip: podIP }];
    if (live !== undefined) return;
    admitPod(api, change);
    next.status = { phase: 'Pending', qosClass: qosClass(obj(next.spec)) };
  },
  validate: (_, { next, live }) => {
    const causes = specCauses(obj(next.spec), 'spec');
    const fixed = live === undefined || same(fixedSpec(obj(next.spec)), fixedSpec(obj(live.spec)));
    return fixed ? causes : [...causes, notAllowed('spec', POD_CHANGES)];
  },
};

const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation';

function prepareWorkload({ next, live }: Change): void {
  const { template, strategy, updateStrategy } = obj(next.spec);
  completeSpec(obj(obj(template).spec));
  const rollout = obj(strategy ?? updateStrategy);
  const [maxUnavailable, maxSurge] = strategy === undefined ? [1, 0] : ['25%', '25%'];
  const limits = { maxUnavailable, maxSurge, ...obj(rollout.rollingUpdate) };
  if (rollout.type === 'RollingUpdate') rollout.rollingUpdate = limits;
  if (next.kind !== 'DaemonSet') return;
  const before = Number(live?.metadata.annotations?.[TEMPLATE_GENERATION] ?? 0);
  const generation = before + (same(dig(live, 'spec', 'template'), template) ? 0 : 1);
  next.metadata.annotations = { ...next.metadata.annotations, [TEMPLATE_GENERATION]: String(generation) };
}

/** Rules of Deployments, ReplicaSets and DaemonSets. */
export const workloadRules: Rules = {
  prepare: (_, change) => prepareWorkload(change),
  validate: (_, { next, live }) => {
    const { selector, template } = obj(next.spec);
    const labels = obj(dig(template, 'metadata', 'labels')) as Record<string, string>;
    const fits = Object.keys(obj(selector)).length > 0 && matchesSelector(obj(selector), labels);
    const mismatch = badValue('spec.template.metadata.labels', labels, '`selector` does not match template `labels`');
    const moved = live !== undefined && !same(selector, dig(live, 'spec', 'selector'));
    return [
      ...when(!fits, mismatch),
      ...specCauses(obj(obj(template).spec), 'spec.template.spec'),
      ...when(moved, badValue('spec.selector', selector, 'field is immutable')),
    ];
  },
};

const portCauses = (field: string, value: unknown): readonly Cause[] => {
  const cause = badValue(field, value, 'must be between 1 and 65535, inclusive');
  return when(!(Number(value) >= 1 && Number(value) <= 65535), cause);
};

/** Cause for a text that is no IP address. */
export const ipCauses = (field: string, value: unknown): readonly Cause[] => {
  const cause = badValue(field, value, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)');
  return when(isIP(text(value)) === 0, cause);
};

const hasAddress = (spec: Obj): boolean => spec.type !== 'ExternalName' && spec.clusterIP !== 'None';
const hasNodePorts = ({ type }: Obj): boolean => type === 'NodePort' || type === 'LoadBalancer';

const fillIn = (items: Obj[], defaults: (item: Obj) => Obj): void =>
  items.forEach((item) => void Object.assign(item, { ...defaults(item), ...item }));

function prepare(_: Api, { next, live }: Change): void {
  const spec = obj(next.spec);
  const before = obj(live?.spec);
  fillIn(objs(spec.ports), ({ port }) => ({ targetPort: port }));
  fillIn(objs(dig(next, 'status', 'loadBalancer', 'ingress')), () => ({ ipMode: 'VIP' }));
  if (spec.type === 'ExternalName') return;
  const { clusterIP, clusterIPs = [clusterIP] } = hasAddress(before) ? { ...before, ...spec } : spec;
  if (clusterIP !== undefined) Object.assign(spec, { clusterIP, clusterIPs });
  const outside = hasNodePorts(spec) ? { externalTrafficPolicy: 'Cluster' } : {};
  const nodePorts = spec.type === 'LoadBalancer' ? { allocateLoadBalancerNodePorts: true } : {};
  const inside = { ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack', internalTrafficPolicy: 'Cluster' };
  next.spec = { ...inside, ...outside, ...nodePorts, ...spec };
}

const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];

const portsCauses = (ports: readonly Obj[]): Cause[] =>
  ports.flatMap(({ name, port, protocol, targetPort }, index) => {
    const at = `spec.ports[${index}]`;
    const first = ports.findIndex((each) => each.port === port && each.protocol === protocol);
    const printed = { Name: '', Protocol: protocol, AppProtocol: null, Port: port, TargetPort: 0, NodePort: 0 };
    return [
      ...when(text(name) === '' && ports.length > 1, required(`${at}.name`)),
      ...portCauses(`${at}.port`, port),
      ...when(!PROTOCOLS.includes(text(protocol)), unsupported(`${at}.protocol`, protocol, PROTOCOLS)),
      ...(typeof targetPort === 'number' ? portCauses(`${at}.targetPort`, targetPort) : []),
      ...when(first < index, duplicate(at, printed)),
    ];
  });

function addressCauses(spec: Obj, before: Obj): readonly Cause[] {
  const ips = texts(spec.clusterIPs);
  const [kept = ips[0]] = texts(before.clusterIPs);
  const field = 'spec.clusterIPs[0]';
  if (ips[0] === undefined || ips[0] === 'None') return [];
  if (kept !== ips[0]) return [badValue(field, ips, 'may not change once set')];
  return isIP(kept) === 6 ? [badValue(field, ips, 'IPv6 is not configured on this cluster')] : ipCauses(field, kept);
}

/** Gives the Service the address it lacks, or says why the one it asks for cannot be had. */
function allocateAddress({ serviceCidr, store }: Api, spec: Obj, dryRun: boolean): readonly Cause[] {
  const taken = new Set(store.list('services').flatMap((other) => texts(obj(other.spec).clusterIPs)));
  const size = 2 ** (32 - Number(serviceCidr.split('/')[1]));
  if (spec.clusterIP === undefined) {
    let n = Math.min(256, Math.max(2, Math.floor(size / 16)));
    while (taken.has(addressAt(serviceCidr, n) ?? '')) n += 1;
    const ip = addressAt(serviceCidr, n);
    Object.assign(spec, { clusterIP: ip, clusterIPs: [ip] });
    return when(n >= size - 1, badValue('spec.clusterIPs', null, 'failed to allocate a serviceIP: range is full'));
  }
  const ip = text(spec.clusterIP);
  const cause = (why: string): Cause => badValue('spec.clusterIPs', [ip], `failed to allocate IP ${ip}: ${why}`);
  if (cidrContains(serviceCidr, ip)) return when(taken.has(ip), cause('provided IP is already allocated'));
  if (!dryRun) return [cause('the provided network does not match the current range')];
  return [cause(`the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${serviceCidr}`)];
}

function allocateNodePorts({ store }: Api, { metadata, spec }: Change['next']): Cause[] {
  const others = store.list('services').filter((other) => other.metadata.uid !== metadata.uid);
  const taken = new Set(others.flatMap((other) => objs(obj(other.spec).ports).map(({ nodePort }) => nodePort)));
  return objs(obj(spec).ports).flatMap((port, index) => {
    let free = 30_000;
    while (taken.has(free)) free += 1;
    const given = Number((port.nodePort ??= free));
    const outside = given < 30_000 || given > 32_767;
    const range = 'provided port is not in the valid range. The range of valid ports is 30000-32767';
    const why = outside ? range : 'provided port is already allocated';
    const causes = when(outside || taken.has(given), badValue(`spec.ports[${index}].nodePort`, given, why));
    taken.add(given);
    return causes;
  });
}

/** Rules of Services; addresses come from the service CIDR, node ports from 30000-32767. */
export const serviceRules: Rules = {
  prepare,
  validate: (api, { next, live, dryRun }) => {
    const spec = obj(next.spec);
    if (spec.type === 'ExternalName') return [...when(text(spec.externalName) === '', required('spec.externalName'))];
    const ports = objs(spec.ports);
    const none = when(ports.length === 0 && hasAddress(spec), required('spec.ports'));
    const causes = [...none, ...portsCauses(ports), ...addressCauses(spec, obj(live?.spec))];
    if (causes.length > 0 || !hasAddress(spec)) return causes;
    const address = dig(live, 'spec', 'clusterIP') === undefined ? allocateAddress(api, spec, dryRun) : [];
    return hasNodePorts(spec) ? [...address, ...allocateNodePorts(api, next)] : [...address];
  },
};
