import { type Api, type Change, type Rules } from './api.ts';
import { type Obj, type Resource, copy, dig, obj, objs, same, text, texts, without } from './json.ts';
import { objectSelector } from './selectors.ts';
import { type Cause, badValue, duplicate, forbidden, notAllowed, required } from './status.ts';

const TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Defaults of a pod spec that depend on other fields. */
function completeSpec(spec: Obj): void {
  for (const container of [...objs(spec['initContainers']), ...objs(spec['containers'])]) {
    const image = text(container['image']);
    const moving = /:latest$/.test(image) || !/:[^/]*$/.test(image.split('@')[0] ?? '');
    container['imagePullPolicy'] ??= moving && !image.includes('@') ? 'Always' : 'IfNotPresent';
    if (spec['hostNetwork'] === true)
      for (const port of objs(container['ports'])) port['hostPort'] ??= port['containerPort'];
  }
  const account = spec['serviceAccountName'] ?? spec['serviceAccount'];
  if (account !== undefined) Object.assign(spec, { serviceAccountName: account, serviceAccount: account });
}

function specCauses(spec: Obj, at: string): Cause[] {
  const containers = objs(spec['containers']);
  const seen = new Set<string>();
  const causes: Cause[] = containers.length === 0 ? [required(`${at}.containers`)] : [];
  containers.forEach((container, index) => {
    const here = `${at}.containers[${index}]`;
    const name = text(container['name']);
    if (name === '') causes.push(required(`${here}.name`));
    else if (seen.has(name)) causes.push(duplicate(`${here}.name`, name));
    seen.add(name);
    if (text(container['image']) === '') causes.push(required(`${here}.image`));
  });
  const volumes = new Set(objs(spec['volumes']).map((volume) => volume['name']));
  containers.forEach((container, index) =>
    objs(container['volumeMounts']).forEach((mount, position) => {
      if (volumes.has(mount['name'])) return;
      const field = `${at}.containers[${index}].volumeMounts[${position}].name`;
      causes.push({ reason: 'FieldValueNotFound', message: `Not found: ${JSON.stringify(mount['name'])}`, field });
    }),
  );
  return causes;
}

function qosClass(spec: Obj): string {
  const all = [...objs(spec['containers']), ...objs(spec['initContainers'])].map((container) =>
    obj(container['resources']),
  );
  if (all.every(({ limits, requests }) => limits === undefined && requests === undefined)) return 'BestEffort';
  const fixed = all.every(({ limits, requests }) => {
    const { cpu, memory } = obj(limits);
    return cpu !== undefined && memory !== undefined && same({ ...obj(limits), ...obj(requests) }, limits);
  });
  return fixed ? 'Guaranteed' : 'Burstable';
}

/** Mounts the token, CA and namespace of the service account as admission does. */
function mountToken(spec: Obj, account: Resource): void {
  const wanted = spec['automountServiceAccountToken'] ?? account['automountServiceAccountToken'] ?? true;
  if (wanted === false) return;
  const name = `kube-api-access-${Math.random().toString(36).slice(2, 7)}`;
  const bare = [...objs(spec['containers']), ...objs(spec['initContainers'])].filter(
    (container) => !objs(container['volumeMounts']).some((mount) => mount['mountPath'] === TOKEN_PATH),
  );
  if (bare.length === 0) return;
  for (const container of bare)
    container['volumeMounts'] = [...objs(container['volumeMounts']), { name, readOnly: true, mountPath: TOKEN_PATH }];
  const sources = [
    { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    {
      downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] },
    },
  ];
  spec['volumes'] = [...objs(spec['volumes']), { name, projected: { sources, defaultMode: 420 } }];
}

function admitPod({ store }: Api, { type, next, live }: Change): void {
  if (live !== undefined) return;
  const { name, namespace } = next.metadata;
  const spec = obj(next['spec']);
  const account = text(spec['serviceAccountName'] ?? 'default');
  const found = store.get('serviceaccounts', namespace, account);
  if (found === undefined)
    throw forbidden(
      type,
      name,
      `error looking up service account ${namespace}/${account}: serviceaccount "${account}" not found`,
    );
  Object.assign(spec, { serviceAccountName: account, serviceAccount: account });
  mountToken(spec, found);
  const tolerations = objs(spec['tolerations']);
  for (const state of ['not-ready', 'unreachable']) {
    const key = `node.kubernetes.io/${state}`;
    const covered = tolerations.some(
      (each) => [key, undefined, ''].includes(each['key'] as string) && each['effect'] !== 'NoSchedule',
    );
    if (!covered) tolerations.push({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 });
  }
  const chosen = store.get('scheduling.k8s.io/priorityclasses', undefined, text(spec['priorityClassName']));
  const priority =
    chosen?.['value'] ??
    ({ 'system-node-critical': 2_000_001_000, 'system-cluster-critical': 2_000_000_000 } as Obj)[
      text(spec['priorityClassName'])
    ] ??
    0;
  Object.assign(spec, {
    tolerations,
    priority,
    preemptionPolicy: chosen?.['preemptionPolicy'] ?? 'PreemptLowerPriority',
  });
}

const CHANGEABLE: readonly string[] = [
  'activeDeadlineSeconds',
  'tolerations',
  'terminationGracePeriodSeconds',
  'nodeName',
  'schedulingGates',
  'nodeSelector',
];
const POD_CHANGES =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

/** The part of a pod spec that never changes. */
function fixedSpec(spec: Obj): Obj {
  const fixed = copy(without(spec, ...CHANGEABLE.filter((key) => key !== 'nodeName' && key !== 'nodeSelector')));
  for (const container of [...objs(fixed['containers']), ...objs(fixed['initContainers'])]) delete container['image'];
  return fixed;
}

function validatePod(_: Api, { next, live }: Change): Cause[] {
  const spec = obj(next['spec']);
  const causes = specCauses(spec, 'spec');
  if (live === undefined || same(fixedSpec(spec), fixedSpec(obj(live['spec'])))) return causes;
  return [...causes, notAllowed('spec', POD_CHANGES)];
}

/** Rules of pods. */
export const podRules: Rules = {
  prepare: (_, { next, live }) => {
    const spec = obj(next['spec']);
    completeSpec(spec);
    spec['enableServiceLinks'] ??= true;
    const status = obj(next['status']);
    if (live === undefined) next['status'] = { phase: 'Pending', qosClass: qosClass(spec) };
    else if (status['podIP'] !== undefined && status['podIPs'] === undefined)
      status['podIPs'] = [{ ip: status['podIP'] }];
  },
  admit: admitPod,
  validate: validatePod,
};

function validateWorkload(_: Api, { next, live }: Change): Cause[] {
  const spec = obj(next['spec']);
  const template = obj(spec['template']);
  const labels = obj(dig(template, 'metadata', 'labels'));
  const causes: Cause[] = [];
  if (spec['selector'] === undefined && next.kind !== 'DaemonSet') causes.push(required('spec.selector'));
  const empty = Object.keys(obj(spec['selector'])).length === 0;
  if (empty || !objectSelector(spec['selector'])(labels))
    causes.push(badValue('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'));
  causes.push(...specCauses(obj(template['spec']), 'spec.template.spec'));
  if (live !== undefined && !same(spec['selector'], dig(live, 'spec', 'selector')))
    causes.push(badValue('spec.selector', spec['selector'], 'field is immutable'));
  return causes;
}

const rollout = (next: Resource, field: string, limits: Obj): void => {
  const strategy = obj(obj(next['spec'])[field]);
  if (strategy['type'] === 'RollingUpdate')
    strategy['rollingUpdate'] = { ...limits, ...obj(strategy['rollingUpdate']) };
};

/** Rules of Deployments. */
export const deploymentRules: Rules = {
  prepare: (_, { next }) => {
    completeSpec(obj(dig(next, 'spec', 'template', 'spec')));
    rollout(next, 'strategy', { maxUnavailable: '25%', maxSurge: '25%' });
  },
  validate: validateWorkload,
};

const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation';

/** Rules of DaemonSets. */
export const daemonSetRules: Rules = {
  prepare: (_, { next, live }) => {
    completeSpec(obj(dig(next, 'spec', 'template', 'spec')));
    rollout(next, 'updateStrategy', { maxUnavailable: 1, maxSurge: 0 });
    const before = Number(live?.metadata.annotations?.[TEMPLATE_GENERATION] ?? 0);
    const changed = live === undefined || !same(dig(live, 'spec', 'template'), dig(next, 'spec', 'template'));
    next.metadata.annotations = {
      ...next.metadata.annotations,
      [TEMPLATE_GENERATION]: String(before + (changed ? 1 : 0)),
    };
  },
  validate: validateWorkload,
};

/** Rules of ReplicaSets. */
export const replicaSetRules: Rules = {
  prepare: (_, { next }) => completeSpec(obj(dig(next, 'spec', 'template', 'spec'))),
  validate: validateWorkload,
};

/** "a=b,c in (d)" for a LabelSelector, as scale subresources and tables print it. */
export function printSelector(selector: unknown): string {
  const { matchLabels, matchExpressions } = obj(selector);
  const words = Object.entries(obj(matchLabels)).map(([key, value]) => `${key}=${text(value)}`);
  for (const { key, operator, values } of objs(matchExpressions)) {
    const set = `(${texts(values).join(',')})`;
    const forms: Obj = {
      In: `${text(key)} in ${set}`,
      NotIn: `${text(key)} notin ${set}`,
      Exists: key,
      DoesNotExist: `!${text(key)}`,
    };
    words.push(text(forms[text(operator)]));
  }
  return words.sort().join(',');
}
