import { GATEWAY_LABEL } from '../../api/names.ts';
import type { Node } from '../../kube/objects.ts';
import { ExpectedError, UsageError } from '../../runtime/errors.ts';

/** What the flags say about gateway nodes. */
export interface GatewayWishes {
  /** --gateway-nodes */
  readonly named: readonly string[];
  /** --gateways */
  readonly count: number | undefined;
  /** --label-gateway */
  readonly mayLabel: boolean;
}

/** What to do about gateway nodes: label some, or ask which. */
export type GatewayPlan =
  | { readonly kind: 'settled'; readonly already: readonly string[]; readonly label: readonly string[] }
  | { readonly kind: 'ask'; readonly candidates: readonly string[] };

/** Decides which nodes become gateways. Throws UsageError or ExpectedError when the wishes cannot be met. */
export function planGatewayNodes(nodes: readonly Node[], wishes: GatewayWishes): GatewayPlan {
  const already = nodes.filter(isGateway).map(nameOf).sort();
  const candidates = nodes
    .filter((node) => isWorker(node) && !isGateway(node))
    .map(nameOf)
    .sort();
  if (wishes.named.length > 0) return settled(already, planNamed(nodes, wishes.named));
  if (wishes.count !== undefined) return settled(already, planCount(already, candidates, wishes.count));
  if (already.length > 0 || !wishes.mayLabel) return settled(already, []);
  if (candidates.length === 0) {
    throw new ExpectedError(`no node can be a gateway: ${describeNodes(nodes)}`, {
      hint: 'Add a worker, or name a node with --gateway-nodes. Nothing was changed.',
    });
  }
  return candidates.length === 1 ? settled(already, candidates) : { kind: 'ask', candidates };
}

function settled(already: readonly string[], label: readonly string[]): GatewayPlan {
  return { kind: 'settled', already, label: label.filter((name) => !already.includes(name)) };
}

function planNamed(nodes: readonly Node[], named: readonly string[]): readonly string[] {
  const unknown = named.filter((name) => !nodes.some((node) => nameOf(node) === name));
  if (unknown.length > 0) {
    throw new UsageError(
      `--gateway-nodes: the cluster has no node ${unknown.join(', ')}; it has ${nodes.map(nameOf).sort().join(', ')}`,
    );
  }
  return [...new Set(named)];
}

function planCount(already: readonly string[], candidates: readonly string[], count: number): readonly string[] {
  const needed = Math.max(0, count - already.length);
  if (needed > candidates.length) {
    const have = already.length + candidates.length;
    throw new UsageError(
      `--gateways ${count}: only ${have} ${have === 1 ? 'node' : 'nodes'} can be a gateway: ${[...already, ...candidates].join(', ') || 'none'}`,
    );
  }
  return candidates.slice(0, needed);
}

function describeNodes(nodes: readonly Node[]): string {
  if (nodes.length === 0) return 'the cluster has no nodes';
  return `${nodes.map(nameOf).sort().join(', ')} ${nodes.length === 1 ? 'is' : 'are'} reserved for the control plane, unschedulable or not ready`;
}

function nameOf(node: Node): string {
  return node.metadata.name ?? '';
}

function isGateway(node: Node): boolean {
  return node.metadata.labels?.[GATEWAY_LABEL] === 'true';
}

/** Ready, schedulable and not tainted for the control plane; the only node of a small cluster counts although it runs the control plane. */
function isWorker(node: Node): boolean {
  if (node.spec?.unschedulable === true) return false;
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready !== undefined && ready.status !== 'True') return false;
  const taints = node.spec?.taints ?? [];
  return !taints.some(({ key }) => /^node-role\.kubernetes\.io\/(?:control-plane|master|etcd|controlplane)$/.test(key));
}
