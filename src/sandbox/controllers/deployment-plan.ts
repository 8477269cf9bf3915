import type { Condition } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { shortHash } from './json.ts';
import { byAge, controllerReference, isTerminating, ownedBy, podCount, withCondition } from './pods.ts';
import type { ReplicaSet, RollingDeployment } from './workload-types.ts';

/** What brings a Deployment one step nearer to its newest template. */
export interface DeploymentPlan {
  readonly create: readonly ReplicaSet[];
  readonly scale: readonly { readonly replicaSet: ReplicaSet; readonly replicas: number }[];
  readonly remove: readonly ReplicaSet[];
  readonly status: Readonly<Record<string, unknown>>;
}

const HASH_LABEL = 'pod-template-hash';
const REVISION = 'deployment.kubernetes.io/revision';

function revisionOf(replicaSet: ReplicaSet): number {
  return Number(replicaSet.metadata.annotations?.[REVISION] ?? 0);
}

function newReplicaSet(deployment: RollingDeployment, hash: string, revision: number, replicas: number): ReplicaSet {
  const { template, selector } = deployment.spec;
  const labels = { ...template.metadata?.labels, [HASH_LABEL]: hash };
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${deployment.metadata.name ?? ''}-${hash}`,
      ...(deployment.metadata.namespace === undefined ? {} : { namespace: deployment.metadata.namespace }),
      labels,
      annotations: { [REVISION]: String(revision) },
      ownerReferences: [controllerReference(deployment, RESOURCES.deployments)],
    },
    spec: {
      replicas,
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [HASH_LABEL]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
}

const sum = (sets: readonly ReplicaSet[], of: (set: ReplicaSet) => number | undefined): number =>
  sets.reduce((total, set) => total + (of(set) ?? 0), 0);

/** The size of the newest ReplicaSet now, within what maxSurge leaves free. */
function newSize(deployment: RollingDeployment, current: number, old: readonly ReplicaSet[]): number {
  const wanted = deployment.spec.replicas ?? 1;
  const oldReplicas = sum(old, (set) => set.spec.replicas);
  if (deployment.spec.strategy?.type === 'Recreate')
    return sum(old, (set) => set.status?.replicas) + oldReplicas === 0 ? wanted : current;
  const surge = podCount(deployment.spec.strategy?.rollingUpdate?.maxSurge, wanted, '25%', 'up');
  const room = wanted + surge - oldReplicas - current;
  return Math.min(wanted, current + Math.max(0, room));
}

/** The sizes of the older ReplicaSets now: pods that are not ready go first, ready ones as maxUnavailable allows. */
function oldSizes(
  deployment: RollingDeployment,
  newest: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
): DeploymentPlan['scale'] {
  const wanted = deployment.spec.replicas ?? 1;
  const { type, rollingUpdate } = deployment.spec.strategy ?? {};
  if (type === 'Recreate') return old.map((replicaSet) => ({ replicaSet, replicas: 0 }));
  const surge = podCount(rollingUpdate?.maxSurge, wanted, '25%', 'up');
  const maxUnavailable = podCount(rollingUpdate?.maxUnavailable, wanted, '25%', 'down');
  const leastAvailable = wanted - (surge === 0 ? Math.max(1, maxUnavailable) : maxUnavailable);
  let spare =
    (newest?.status?.availableReplicas ?? 0) + sum(old, (set) => set.status?.availableReplicas) - leastAvailable;
  return old.toSorted(byAge).map((replicaSet) => {
    const replicas = replicaSet.spec.replicas ?? 0;
    const broken = Math.max(0, replicas - (replicaSet.status?.availableReplicas ?? 0));
    const healthy = Math.min(replicas - broken, Math.max(0, spare));
    spare -= healthy;
    return { replicaSet, replicas: replicas - broken - healthy };
  });
}

function availability(deployment: RollingDeployment, available: number): Omit<Condition, 'lastTransitionTime'> {
  const wanted = deployment.spec.replicas ?? 1;
  const least = wanted - podCount(deployment.spec.strategy?.rollingUpdate?.maxUnavailable, wanted, '25%', 'down');
  return available >= least
    ? {
        type: 'Available',
        status: 'True',
        reason: 'MinimumReplicasAvailable',
        message: 'Deployment has minimum availability.',
      }
    : {
        type: 'Available',
        status: 'False',
        reason: 'MinimumReplicasUnavailable',
        message: 'Deployment does not have minimum availability.',
      };
}

function progress(deployment: RollingDeployment, complete: boolean): Omit<Condition, 'lastTransitionTime'> {
  const name = deployment.metadata.name ?? '';
  return complete
    ? {
        type: 'Progressing',
        status: 'True',
        reason: 'NewReplicaSetAvailable',
        message: `Deployment "${name}" has successfully progressed.`,
      }
    : {
        type: 'Progressing',
        status: 'True',
        reason: 'ReplicaSetUpdated',
        message: `Deployment "${name}" is progressing.`,
      };
}

function statusOf(
  deployment: RollingDeployment,
  newest: ReplicaSet | undefined,
  sets: readonly ReplicaSet[],
  now: string,
): DeploymentPlan['status'] {
  const wanted = deployment.spec.replicas ?? 1;
  const replicas = sum(sets, (set) => set.status?.replicas);
  const available = sum(sets, (set) => set.status?.availableReplicas);
  const updated = newest?.status?.replicas ?? 0;
  const complete = updated === wanted && available >= wanted && replicas === updated;
  return {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas,
    updatedReplicas: updated,
    readyReplicas: sum(sets, (set) => set.status?.readyReplicas),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, wanted - available),
    conditions: withCondition(
      withCondition(deployment.status?.conditions, availability(deployment, available), now),
      progress(deployment, complete),
      now,
    ),
  };
}

/** Compares a Deployment with its ReplicaSets; `now` is RFC 3339 for conditions that change. */
export function planDeployment(
  deployment: RollingDeployment,
  allSets: readonly ReplicaSet[],
  now: string,
): DeploymentPlan {
  const sets = ownedBy(deployment, allSets).filter((set) => !isTerminating(set));
  const hash = shortHash(deployment.spec.template);
  const newest = sets.find((set) => set.metadata.labels?.[HASH_LABEL] === hash);
  const old = sets.filter((set) => set !== newest);
  const status = statusOf(deployment, newest, sets, now);
  if (isTerminating(deployment) || deployment.spec.paused === true)
    return { create: [], scale: [], remove: [], status };
  const size = newSize(deployment, Math.min(newest?.spec.replicas ?? 0, deployment.spec.replicas ?? 1), old);
  const revision = 1 + Math.max(0, ...old.map(revisionOf));
  const sizes = [
    ...(newest === undefined ? [] : [{ replicaSet: newest, replicas: size }]),
    ...oldSizes(deployment, newest, old),
  ];
  const idle = old.filter((set) => (set.spec.replicas ?? 0) === 0 && (set.status?.replicas ?? 0) === 0);
  const surplus = Math.max(0, idle.length - (deployment.spec.revisionHistoryLimit ?? 10));
  return {
    create: newest === undefined ? [newReplicaSet(deployment, hash, revision, size)] : [],
    scale: sizes.filter(({ replicaSet, replicas }) => replicaSet.spec.replicas !== replicas),
    remove: idle.toSorted((a, b) => revisionOf(a) - revisionOf(b)).slice(0, surplus),
    status,
  };
}
