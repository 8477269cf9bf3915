import { type Api, type Change, type Rules } from './api.ts';
import { type Obj, type Resource, dig, obj, objs, same, text, texts, without } from './json.ts';
import { objectSelector } from './selectors.ts';
import { type Cause, badValue, duplicate, forbidden, notAllowed, required } from './status.ts';

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
    const causes = ['name', 'image']
      .filter((key) => text(containers[index]?.[key]) === '')
      .map((key) => required(`${here}.${key}`));
    const first = containers.findIndex((each) => each.name === name);
    return first < index && image !== undefined ? [...causes, duplicate(`${here}.name`, name)] : causes;
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
  const containers = [...objs(spec.containers), ...objs(spec.initContainers)];
  const bare = containers.filter(
    ({ volumeMounts }) => !objs(volumeMounts).some(({ mountPath }) => mountPath === TOKEN_PATH),
  );
  if ((spec.automountServiceAccountToken ?? account.automountServiceAccountToken) === false || bare.length === 0)
    return;
  const name = `kube-api-access-${Math.random().toString(36).slice(2, 7)}`;
  for (const container of bare)
    container.volumeMounts = [...objs(container.volumeMounts), { name, readOnly: true, mountPath: TOKEN_PATH }];
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
  const preemptionPolicy = chosen?.preemptionPolicy ?? 'PreemptLowerPriority';
  const rest = {
    tolerations,
    priority: chosen?.value ?? 0,
    preemptionPolicy,
    enableServiceLinks: spec.enableServiceLinks ?? true,
  };
  Object.assign(spec, { serviceAccountName: account, serviceAccount: account, ...rest });
}

const CHANGEABLE = ['activeDeadlineSeconds', 'tolerations', 'terminationGracePeriodSeconds'];
const POD_CHANGES =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

/** The part of a pod spec that never changes. */
const fixedSpec = (spec: Obj): Obj => ({
  ...without(spec, ...CHANGEABLE),
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
  const limits =
    strategy === undefined ? { maxUnavailable: 1, maxSurge: 0 } : { maxUnavailable: '25%', maxSurge: '25%' };
  if (rollout.type === 'RollingUpdate') rollout.rollingUpdate = { ...limits, ...obj(rollout.rollingUpdate) };
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
    const labels = obj(dig(template, 'metadata', 'labels'));
    const fits = Object.keys(obj(selector)).length > 0 && objectSelector(selector)(labels);
    const mismatch = badValue('spec.template.metadata.labels', labels, '`selector` does not match template `labels`');
    const causes = [...(fits ? [] : [mismatch]), ...specCauses(obj(obj(template).spec), 'spec.template.spec')];
    const moved = live !== undefined && !same(selector, dig(live, 'spec', 'selector'));
    return moved ? [...causes, badValue('spec.selector', selector, 'field is immutable')] : causes;
  },
};

/** "a=b,c in (d)" for a LabelSelector, as scale subresources and tables print it. */
export function printSelector(selector: unknown): string {
  const { matchLabels, matchExpressions } = obj(selector);
  const words = Object.entries(obj(matchLabels)).map(([key, value]) => `${key}=${text(value)}`);
  for (const { key, operator, values } of objs(matchExpressions)) {
    const name = text(key);
    const set = `${text(operator).toLowerCase()} (${texts(values).join(',')})`;
    words.push(text(operator).endsWith('In') ? `${name} ${set}` : `${operator === 'Exists' ? '' : '!'}${name}`);
  }
  return words.join(',');
}
