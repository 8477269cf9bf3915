import type { DaemonSet, Node, Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { shortHash } from './json.ts';
import { DAEMON_TOLERATIONS, tolerates, whyNotOn } from './placement.ts';
import { byAge, isFinished, isPodReady, isTerminating, ownedBy, podCount, podFromTemplate } from './pods.ts';

/** What makes the pods of a DaemonSet as they ought to be. */
export interface DaemonSetPlan {
  readonly create: readonly Pod[];
  readonly remove: readonly Pod[];
  readonly status: Readonly<Record<string, number>>;
}

interface NodeRow {
  readonly node: Node;
  /** A pod has to be started here when there is none. */
  readonly wanted: boolean;
  /** A pod that is here may stay: taints against scheduling do not drive pods out. */
  readonly tolerated: boolean;
  /** The pods here that have not ended, oldest first; those on their way out too. */
  readonly pods: readonly Pod[];
}

/** Label with the revision of the template a pod was made of. */
export const REVISION_LABEL = 'controller-revision-hash';

function describeNodes(daemonSet: DaemonSet, nodes: readonly Node[], pods: readonly Pod[]): readonly NodeRow[] {
  const spec = daemonSet.spec.template.spec;
  const tolerations = [...(spec.tolerations ?? []), ...DAEMON_TOLERATIONS];
  return nodes.map((node) => {
    const withoutTaints = { ...node, spec: {} };
    const expels = (node.spec?.taints ?? []).some(
      (taint) => taint.effect === 'NoExecute' && !tolerates(tolerations, taint),
    );
    return {
      node,
      wanted: whyNotOn(node, spec, tolerations) === undefined,
      tolerated: whyNotOn(withoutTaints, spec) === undefined && !expels,
      pods: pods.filter((pod) => pod.spec.nodeName === node.metadata.name && !isFinished(pod)).toSorted(byAge),
    };
  });
}

function newPod(daemonSet: DaemonSet, node: Node, revision: string): Pod {
  const pod = podFromTemplate(daemonSet, RESOURCES.daemonSets, daemonSet.spec.template, { [REVISION_LABEL]: revision });
  const tolerations = [...(pod.spec.tolerations ?? []), ...DAEMON_TOLERATIONS];
  return { ...pod, spec: { ...pod.spec, nodeName: node.metadata.name ?? '', tolerations } };
}

/** Old pods to remove now, so that never more than maxUnavailable nodes are without a ready pod because of it. */
function outdatedPods(daemonSet: DaemonSet, rows: readonly NodeRow[], revision: string): readonly Pod[] {
  const strategy = daemonSet.spec.updateStrategy;
  if (strategy?.type === 'OnDelete') return [];
  const wanted = rows.filter((row) => row.wanted);
  const limit = Math.max(1, podCount(strategy?.rollingUpdate?.maxUnavailable, wanted.length, 1, 'up'));
  const old = wanted.flatMap(({ pods }) =>
    pods.filter((pod) => !isTerminating(pod) && pod.metadata.labels?.[REVISION_LABEL] !== revision),
  );
  const broken = old.filter((pod) => !isPodReady(pod));
  const unavailable = wanted.filter(({ pods }) => !pods.some(isPodReady)).length;
  return [...broken, ...old.filter(isPodReady).slice(0, Math.max(0, limit - unavailable))];
}

function statusOf(daemonSet: DaemonSet, rows: readonly NodeRow[], revision: string): DaemonSetPlan['status'] {
  const wanted = rows.filter((row) => row.wanted);
  const count = (test: (pod: Pod) => boolean): number => wanted.filter(({ pods }) => pods.some(test)).length;
  const ready = count(isPodReady);
  return {
    observedGeneration: daemonSet.metadata.generation ?? 0,
    desiredNumberScheduled: wanted.length,
    currentNumberScheduled: count(() => true),
    numberMisscheduled: rows.filter((row) => !row.wanted && row.pods.length > 0).length,
    updatedNumberScheduled: count((pod) => pod.metadata.labels?.[REVISION_LABEL] === revision && !isTerminating(pod)),
    numberReady: ready,
    numberAvailable: ready,
    numberUnavailable: wanted.length - ready,
  };
}

/** Compares a DaemonSet with the nodes and with its pods: one pod for each node that fits, made of the newest template. */
export function planDaemonSet(daemonSet: DaemonSet, nodes: readonly Node[], allPods: readonly Pod[]): DaemonSetPlan {
  const revision = shortHash(daemonSet.spec.template);
  const pods = ownedBy(daemonSet, allPods);
  const rows = describeNodes(daemonSet, nodes, pods);
  const status = statusOf(daemonSet, rows, revision);
  if (isTerminating(daemonSet)) return { create: [], remove: [], status };
  const misplaced = rows.flatMap((row) =>
    row.wanted || row.tolerated ? row.pods.filter((pod) => !isTerminating(pod)).slice(1) : row.pods,
  );
  const ended = pods.filter(isFinished);
  const remove = new Set(
    [...misplaced, ...ended, ...outdatedPods(daemonSet, rows, revision)].filter((pod) => !isTerminating(pod)),
  );
  return {
    create: rows
      .filter((row) => row.wanted && row.pods.length === 0)
      .map((row) => newPod(daemonSet, row.node, revision)),
    remove: [...remove],
    status,
  };
}
