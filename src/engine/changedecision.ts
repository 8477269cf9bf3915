/** When a gateway changes to another cable driver, together with those it is connected to. Pure. */
import type { AnnouncedChange } from '../api/driverchange.ts';

/** What the Endpoint of a cluster says of its cable driver. */
export interface ClusterDriver {
  readonly clusterId: string;
  readonly backend: string;
  readonly change?: AnnouncedChange | undefined;
}

/** A gateway of the own cluster besides this one. */
export interface GatewayDriver {
  readonly hostname: string;
  readonly backend: string;
  /** What it wants to change to. */
  readonly next?: string | undefined;
}

/** Whether a cluster waits for those it is connected to, or cuts itself off from those that have not changed. */
export type ChangeMode = 'together' | 'now';

export interface ChangeInput {
  readonly wanted: string;
  /** The driver that runs. */
  readonly inUse: string;
  readonly mode: ChangeMode;
  /** Whether this is the gateway that speaks for the cluster. */
  readonly leader: boolean;
  /** Whether what the cluster announces can be published: a driver without warm standby has no place for it. */
  readonly announces: boolean;
  /** The Endpoint of the own cluster as its API server has it; undefined: nobody can be connected with this cluster. */
  readonly own: Omit<ClusterDriver, 'clusterId'> | undefined;
  /** undefined: not known yet. */
  readonly gateways: readonly GatewayDriver[] | undefined;
  /** The wanted driver works here, as far as that can be known before it runs. */
  readonly prepared: boolean;
  /** No gateway came or went of late: one that is starting anew does not count as gone. */
  readonly steady: boolean;
  readonly others: readonly ClusterDriver[];
}

export interface ChangeDecision {
  /** The driver to run now. */
  readonly use: string;
  /** What the cluster's Endpoint is to say; undefined: nothing of a change. */
  readonly announce: AnnouncedChange | undefined;
  /** Nodes of own gateways that do not want the change yet. */
  readonly awaitedGateways: readonly string[];
  /** IDs of the clusters that have not changed, and have not said that they will. */
  readonly awaitedClusters: readonly string[];
}

/**
 * The driver for this moment. A gateway goes on with the one it has until all gateways of its cluster want the other one,
 * and every cluster that has cables to it has changed, or says that it will as soon as the others do, and sees that this
 * one says so too.
 */
export function decideDriver(input: ChangeInput): ChangeDecision {
  const { wanted, inUse, own } = input;
  const settled = { use: wanted, announce: undefined, awaitedGateways: [], awaitedClusters: [] };
  if (inUse === wanted || own === undefined || own.backend === wanted) return settled;
  const awaitedGateways = (input.gateways ?? [])
    .filter(({ backend, next }) => backend !== wanted && next !== wanted)
    .map(({ hostname }) => hostname)
    .toSorted();
  // Who uses a third driver has no cables to lose.
  const connected = input.mode === 'now' ? [] : input.others.filter(({ backend }) => backend === inUse);
  const awaitedClusters = connected
    .filter(({ change }) => change?.backend !== wanted)
    .map(({ clusterId }) => clusterId)
    .toSorted();
  const announce = isComplete(input, awaitedGateways, connected.length > 0)
    ? { backend: wanted, agreed: awaitedClusters.length === 0 }
    : undefined;
  const use = isTime(input, connected, announce) ? wanted : inUse;
  return { use, announce, awaitedGateways, awaitedClusters };
}

/** Nothing in the own cluster is in the way of the change; who has nothing to lose need not be careful. */
function isComplete(
  { prepared, steady, gateways }: ChangeInput,
  awaited: readonly string[],
  isConnected: boolean,
): boolean {
  return prepared && (steady || !isConnected) && gateways !== undefined && awaited.length === 0;
}

/** What counts of the own cluster is what its Endpoint says: all its gateways see that, and the other clusters do. */
function isTime(
  { wanted, own, announces, leader }: ChangeInput,
  connected: readonly ClusterDriver[],
  announce: AnnouncedChange | undefined,
): boolean {
  const agrees = (change: AnnouncedChange | undefined): boolean => change?.backend === wanted && change.agreed;
  if (!announces) return leader && agrees(announce);
  return agrees(own?.change) && connected.every(({ change }) => agrees(change));
}
