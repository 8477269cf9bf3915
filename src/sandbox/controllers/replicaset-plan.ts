import type { Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { byAge, isFinished, isPodReady, isTerminating, ownedBy, podFromTemplate } from './pods.ts';
import type { ReplicaSet } from './workload-types.ts';

/** What makes the pods of a ReplicaSet as they ought to be. */
export interface ReplicaSetPlan {
  readonly create: readonly Pod[];
  readonly remove: readonly Pod[];
  readonly status: Readonly<Record<string, number>>;
}

/** Pods to be removed first come first: without node, not ready, youngest. */
function removalOrder(a: Pod, b: Pod): number {
  const rank = (pod: Pod): number => ((pod.spec.nodeName ?? '') === '' ? 0 : isPodReady(pod) ? 2 : 1);
  return rank(a) - rank(b) || byAge(b, a);
}

/** Compares a ReplicaSet with its pods: as many as `replicas` that have not ended, the rest removed. */
export function planReplicaSet(replicaSet: ReplicaSet, allPods: readonly Pod[]): ReplicaSetPlan {
  const pods = ownedBy(replicaSet, allPods);
  const living = pods.filter((pod) => !isTerminating(pod) && !isFinished(pod));
  const wanted = isTerminating(replicaSet) ? living.length : (replicaSet.spec.replicas ?? 1);
  const ready = living.filter(isPodReady).length;
  const template = replicaSet.spec.template ?? { spec: { containers: [] } };
  return {
    create: Array.from({ length: Math.max(0, wanted - living.length) }, () =>
      podFromTemplate(replicaSet, RESOURCES.replicaSets, template, {}),
    ),
    remove: [
      ...pods.filter((pod) => isFinished(pod) && !isTerminating(pod)),
      ...living.toSorted(removalOrder).slice(0, Math.max(0, living.length - wanted)),
    ],
    status: {
      observedGeneration: replicaSet.metadata.generation ?? 0,
      replicas: living.length,
      fullyLabeledReplicas: living.length,
      readyReplicas: ready,
      availableReplicas: ready,
    },
  };
}
