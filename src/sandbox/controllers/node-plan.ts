import type { Condition, Lease, Node, Pod } from '../../kube/objects.ts';
import { conditionOf, isTerminating, withCondition } from './pods.ts';
import { tolerates } from './placement.ts';

type Taint = NonNullable<NonNullable<Node['spec']>['taints']>[number] & { readonly timeAdded?: string };

interface HeartbeatCondition extends Condition {
  readonly lastHeartbeatTime?: string | null;
}

const NOT_READY = 'node.kubernetes.io/not-ready';
const UNREACHABLE = 'node.kubernetes.io/unreachable';
/** How long a pod without a toleration of its own stays on a node that is lost (DefaultTolerationSeconds admission). */
const DEFAULT_TOLERATION_SECONDS = 300;

/** When the node was last heard of, in ms since 1970: its Lease, its Ready heartbeat or its creation, the latest of them. */
export function lastHeardMs(node: Node, lease: Lease | undefined): number {
  const ready: HeartbeatCondition | undefined = conditionOf(node.status?.conditions, 'Ready');
  const times = [lease?.spec?.renewTime, ready?.lastHeartbeatTime, node.metadata.creationTimestamp ?? undefined];
  // API servers write an unset time as null.
  return Math.max(0, ...times.map((time) => Date.parse(time ?? '')).filter((ms) => !Number.isNaN(ms)));
}

/** The conditions of a node nobody has heard of: Ready Unknown; undefined when they say so already. */
export function lostConditions(node: Node, now: string): readonly Condition[] | undefined {
  if (conditionOf(node.status?.conditions, 'Ready')?.status === 'Unknown') return undefined;
  const lost = {
    type: 'Ready',
    status: 'Unknown',
    reason: 'NodeStatusUnknown',
    message: 'Kubelet stopped posting node status.',
  } as const;
  return withCondition(node.status?.conditions, lost, now);
}

/**
 * The taints a node ought to have: those of others kept, ours as its Ready condition says; undefined when nothing
 * changes. A node that has not reported yet gets none: the scheduler passes it over anyway.
 */
export function desiredTaints(node: Node, now: string): readonly Taint[] | undefined {
  const ready = conditionOf(node.status?.conditions, 'Ready')?.status;
  if (ready === undefined) return undefined;
  const key = { True: undefined, False: NOT_READY, Unknown: UNREACHABLE }[ready];
  const taints: readonly Taint[] = node.spec?.taints ?? [];
  const ours = taints.filter((taint) => taint.key === NOT_READY || taint.key === UNREACHABLE);
  const effects = key === undefined ? [] : ['NoExecute', 'NoSchedule'];
  const have = ours.map((taint) => `${taint.key}:${taint.effect}`).sort();
  const want = effects.map((effect) => `${key}:${effect}`);
  if (have.join() === want.join()) return undefined;
  const added = key === undefined ? [] : effects.map((effect) => ({ key, effect, timeAdded: now }));
  return [...taints.filter((taint) => !ours.includes(taint)), ...added];
}

/** The pods of a lost node that still say they are ready. */
export function podsToMark(node: Node, pods: readonly Pod[]): readonly Pod[] {
  if (conditionOf(node.status?.conditions, 'Ready')?.status !== 'Unknown') return [];
  return pods.filter(
    (pod) =>
      pod.spec.nodeName === node.metadata.name && conditionOf(pod.status?.conditions, 'Ready')?.status === 'True',
  );
}

function expelledAtMs(pod: Pod, taint: Taint): number {
  const matching = (pod.spec.tolerations ?? []).filter((toleration) => tolerates([toleration], taint));
  const seconds = matching.map((toleration) => toleration.tolerationSeconds ?? Number.POSITIVE_INFINITY);
  const added = taint.timeAdded === undefined ? 0 : Date.parse(taint.timeAdded);
  return added + 1000 * (seconds.length === 0 ? DEFAULT_TOLERATION_SECONDS : Math.min(...seconds));
}

/** The pods whose patience with the NoExecute taints of their node is over at `nowMs`. */
export function podsToEvict(node: Node, pods: readonly Pod[], nowMs: number): readonly Pod[] {
  const taints = (node.spec?.taints ?? []).filter((taint) => taint.effect === 'NoExecute');
  return pods
    .filter((pod) => pod.spec.nodeName === node.metadata.name && !isTerminating(pod))
    .filter((pod) => taints.some((taint) => nowMs >= expelledAtMs(pod, taint)));
}
