import type { PeerReport } from './ha/report.ts';
import type { LocalGateway } from './local.ts';

/** Whether a gateway could carry its cluster's traffic at once. */
export interface Readiness {
  readonly ready: boolean;
  /** Why not; '' when it could. */
  readonly reason: string;
}

/** So long a gateway waits for a cluster that the active one hears and it has not heard yet. */
const COMING_MS = 15_000;

export interface ReadinessInputs {
  /** Monotonic. */
  readonly nowMs: number;
  readonly local: LocalGateway | undefined;
  /** It is being stopped. */
  readonly leaves: boolean;
  readonly leader: boolean;
  readonly clusterId: string;
  /** undefined: its cluster does not announce it. */
  readonly slot: number | undefined;
  /** IDs of the clusters that announce their gateways. */
  readonly warmClusters: ReadonlySet<string>;
  /** cable_name and node of another gateway that is active. */
  readonly activeName: string | undefined;
  readonly activeNode: string | undefined;
  readonly reports: readonly PeerReport[];
  /** cable_name of the gateway that packets for a cluster go to, by cluster ID. */
  readonly uses: ReadonlyMap<string, string>;
}

/** The first thing that keeps a gateway from taking over. Pure. */
export function readiness(inputs: ReadinessInputs): Readiness {
  const reason = obstacle(inputs) ?? '';
  return { ready: reason === '', reason };
}

function obstacle(inputs: ReadinessInputs): string | undefined {
  const { local, leader, leaves, slot } = inputs;
  if (leaves) return 'it is being stopped';
  if (local === undefined) return 'the node was not looked at yet';
  const { ready, failures, driver } = local;
  if (!ready || driver === undefined) return failures[0] ?? 'its cable driver does not work';
  if (leader) return undefined;
  if (driver.slots < 2)
    return `its cable driver (${driver.description}) keeps no cables on standby here; it takes over with new ones`;
  if (slot === undefined) return 'it has no cables on standby: the active gateway does not announce it (yet)';
  return silenceOf(inputs);
}

function silenceOf({
  nowMs,
  warmClusters,
  activeName,
  activeNode,
  reports,
  clusterId,
  uses,
}: ReadinessInputs): string | undefined {
  const active = reports.find(({ cableName }) => cableName === activeName);
  if (activeNode !== undefined && active?.state === 'waiting')
    return `it has heard nothing of the active gateway ${activeNode} (UDP port 4491 between the gateway nodes)`;
  const others = reports.filter((report) => report.clusterId !== clusterId);
  const alive = new Set(others.filter(({ state }) => state === 'alive').map((report) => report.clusterId));
  const mute = [...warmClusters].filter((id) => !alive.has(id));
  if (warmClusters.size > 0 && alive.size === 0)
    return `no other cluster answers through its cables (${mute.toSorted().join(', ')})`;
  // It has only begun; one that never answers may be cut off from this gateway alone, and nothing is better without it.
  const heardThere = new Set(active?.state === 'alive' ? active.hears : []);
  const coming = mute.filter((id) => {
    const its = others.filter((report) => report.clusterId === id);
    const began = its.every(({ state, sinceMs }) => state === 'waiting' && nowMs - sinceMs < COMING_MS);
    return began && its.some(({ cableName }) => heardThere.has(cableName));
  });
  if (coming.length > 0)
    return `its cables to ${coming.toSorted().join(', ')} have not answered yet, those of the active gateway have`;
  // Who never answers is soon not used any more.
  const heard = new Set(others.flatMap(({ state, cableName }) => (state === 'alive' ? [cableName] : [])));
  const early = [...uses].flatMap(([id, name]) => (alive.has(id) && !heard.has(name) ? [id] : []));
  if (early.length > 0)
    return `its cable to the active gateway of ${early.toSorted().join(', ')} has not answered yet, only one on standby has`;
  return undefined;
}
