import type { LabelSelector, Node, PodSpec, Toleration } from '../../kube/objects.ts';
import { hasLabels, matchesExpression } from '../../kube/selectors.ts';

type Taint = NonNullable<NonNullable<Node['spec']>['taints']>[number];
type Expressions = NonNullable<LabelSelector['matchExpressions']>;

interface NodeAffinity {
  readonly nodeAffinity?: {
    readonly requiredDuringSchedulingIgnoredDuringExecution?: {
      readonly nodeSelectorTerms?: readonly {
        readonly matchExpressions?: Expressions;
        readonly matchFields?: Expressions;
      }[];
    };
  };
}

/** Taints every DaemonSet pod tolerates, as the DaemonSet controller of Kubernetes adds them. */
export const DAEMON_TOLERATIONS: readonly Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  ...['disk-pressure', 'memory-pressure', 'pid-pressure', 'unschedulable', 'network-unavailable'].map((taint) => ({
    key: `node.kubernetes.io/${taint}`,
    operator: 'Exists',
    effect: 'NoSchedule',
  })),
];

/** True when one of the tolerations covers the taint. */
export function tolerates(tolerations: readonly Toleration[], taint: Taint): boolean {
  return tolerations.some(
    (toleration) =>
      (toleration.effect === undefined || toleration.effect === '' || toleration.effect === taint.effect) &&
      (toleration.key === undefined || toleration.key === '' || toleration.key === taint.key) &&
      (toleration.operator === 'Exists' || (toleration.value ?? '') === (taint.value ?? '')),
  );
}

function affinityHolds(spec: PodSpec, node: Node): boolean {
  const required = (spec.affinity as NodeAffinity | undefined)?.nodeAffinity
    ?.requiredDuringSchedulingIgnoredDuringExecution;
  const terms = required?.nodeSelectorTerms;
  if (terms === undefined) return true;
  const fields = { 'metadata.name': node.metadata.name ?? '' };
  return terms.some(
    (term) =>
      (term.matchExpressions ?? []).every((expression) => matchesExpression(expression, node.metadata.labels)) &&
      (term.matchFields ?? []).every((expression) => matchesExpression(expression, fields)),
  );
}

function untoleratedTaint(node: Node, tolerations: readonly Toleration[]): Taint | undefined {
  const cordoned =
    node.spec?.unschedulable === true ? [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }] : [];
  return [...(node.spec?.taints ?? []), ...cordoned].find(
    (taint) => taint.effect !== 'PreferNoSchedule' && !tolerates(tolerations, taint),
  );
}

function tolerationsOf(spec: PodSpec): readonly Toleration[] {
  return spec.tolerations ?? [];
}

/** The first reason why a pod may not be placed on a node, undefined when it may. Readiness shows itself as taints. */
export function whyNotOn(
  node: Node,
  spec: PodSpec,
  tolerations: readonly Toleration[] = tolerationsOf(spec),
): string | undefined {
  const named = spec.nodeName ?? '';
  if (named !== '' && named !== node.metadata.name) return 'another node is named';
  if (!hasLabels(node.metadata.labels, spec.nodeSelector ?? {}) || !affinityHolds(spec, node)) {
    return "didn't match Pod's node affinity/selector";
  }
  const refused = untoleratedTaint(node, tolerations);
  return refused && `had untolerated taint {${refused.key}: ${refused.value ?? ''}}`;
}
