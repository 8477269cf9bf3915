import type { Node, Pod } from '../../kube/objects.ts';
import { conditionOf, isFinished, isTerminating } from './pods.ts';
import { whyNotOn } from './placement.ts';

/** Where a waiting pod goes, or why it goes nowhere. */
export type Placement = { readonly pod: Pod; readonly node: string } | { readonly pod: Pod; readonly reason: string };

function ownerOf(pod: Pod): string {
  return pod.metadata.ownerReferences?.find((reference) => reference.controller === true)?.uid ?? '';
}

function describeRefusals(refusals: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const refusal of refusals) counts.set(refusal, (counts.get(refusal) ?? 0) + 1);
  const reasons = [...counts].map(([reason, count]) => `${count} node(s) ${reason}`).sort();
  return `0/${refusals.length} nodes are available${reasons.length === 0 ? '' : `: ${reasons.join(', ')}`}.`;
}

function whyNotHere(node: Node, pod: Pod): string | undefined {
  const reported = conditionOf(node.status?.conditions, 'Ready') !== undefined;
  return reported ? whyNotOn(node, pod.spec) : 'had not reported yet';
}

/** True when the pod waits for a node. */
export function isWaiting(pod: Pod): boolean {
  return (pod.spec.nodeName ?? '') === '' && !isTerminating(pod) && !isFinished(pod);
}

/**
 * A node for every waiting pod: the one with the fewest pods of the same owner, then with the fewest pods, then the
 * first by name, so that replicas spread over the nodes.
 */
export function planPlacements(pods: readonly Pod[], nodes: readonly Node[]): readonly Placement[] {
  const placed = pods
    .filter((pod) => (pod.spec.nodeName ?? '') !== '' && !isFinished(pod))
    .map((pod) => ({ node: pod.spec.nodeName ?? '', owner: ownerOf(pod) }));
  const names = nodes.toSorted((a, b) => (a.metadata.name ?? '').localeCompare(b.metadata.name ?? ''));
  return pods.filter(isWaiting).map((pod) => {
    const owner = ownerOf(pod);
    const judged = names.map((node) => ({ name: node.metadata.name ?? '', refusal: whyNotHere(node, pod) }));
    const load = (node: string): number => {
      const here = placed.filter((other) => other.node === node);
      const siblings = owner === '' ? 0 : here.filter((other) => other.owner === owner).length;
      return siblings * 10_000 + here.length;
    };
    const best = judged
      .filter(({ refusal }) => refusal === undefined)
      .toSorted((a, b) => load(a.name) - load(b.name))[0];
    if (best === undefined) return { pod, reason: describeRefusals(judged.map(({ refusal }) => refusal ?? '')) };
    placed.push({ node: best.name, owner });
    return { pod, node: best.name };
  });
}
