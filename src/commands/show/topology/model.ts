import type { Gateway } from '../../../api/types.ts';
import { parseGoDuration } from '../../../api/duration.ts';
import type { ClusterItem } from '../clusters.ts';
import type { ConnectionItem } from '../connections.ts';
import { silence } from '../freshness.ts';

/** What one cluster says of itself and of the set. */
export interface ClusterReport {
  readonly clusterId: string;
  readonly context: string;
  readonly joined: boolean;
  readonly gateways: readonly Gateway[];
  readonly connections: readonly ConnectionItem[];
  readonly known: readonly ClusterItem[];
  readonly nowMs: number;
}

/** A gateway node as -o json prints it. */
export interface TopologyGateway {
  readonly node: string;
  readonly haStatus: string;
  readonly privateIP: string;
  readonly publicIP: string;
  /** What keeps it from working; '' when nothing does. */
  readonly failure: string;
}

/** A cluster of the set. */
export interface TopologyCluster {
  readonly id: string;
  /** Of the kubeconfig; null when it is known from others only. */
  readonly context: string | null;
  readonly joined: boolean;
  readonly clusterCIDRs: readonly string[];
  readonly serviceCIDRs: readonly string[];
  readonly gateways: readonly TopologyGateway[];
}

/** An end of a cable. */
export interface CableEnd {
  readonly cluster: string;
  /** '' where there is no cable. */
  readonly gateway: string;
}

export type Health = 'connected' | 'connecting' | 'error' | 'missing';

/** A cable with what both ends say of it, or a pair of clusters that lacks one. */
export interface TopologyCable {
  readonly from: CableEnd;
  readonly to: CableEnd;
  readonly cableDriver: string;
  readonly nat: boolean;
  /** The worse of what the two ends say. */
  readonly health: Health;
  readonly message: string;
  /** The average of the end that says the larger one; null when none has been measured. */
  readonly rttMs: number | null;
}

/** Clusters and the cables between them. */
export interface Topology {
  readonly clusters: readonly TopologyCluster[];
  readonly cables: readonly TopologyCable[];
}

const ORDER: readonly Health[] = ['connected', 'connecting', 'missing', 'error'];

function healthOf(status: string): Health {
  return status === 'connected' || status === 'connecting' ? status : 'error';
}

function worse(a: Health, b: Health): Health {
  return ORDER.indexOf(a) >= ORDER.indexOf(b) ? a : b;
}

const endKey = ({ cluster, gateway }: CableEnd): string => `${cluster}/${gateway}`;

function cableOf(item: ConnectionItem): TopologyCable {
  const here = { cluster: item.cluster, gateway: item.gateway };
  const there = { cluster: item.remoteCluster, gateway: item.remoteGateway };
  const [from, to] = endKey(here) <= endKey(there) ? [here, there] : [there, here];
  const health = healthOf(item.status);
  return {
    from,
    to,
    cableDriver: item.cableDriver,
    nat: item.nat,
    health,
    message: health === 'connected' || item.message === '' ? '' : `${item.cluster}: ${item.message}`,
    rttMs: item.rtt === null ? null : (parseGoDuration(item.rtt.average) ?? null),
  };
}

function larger(a: number | null, b: number | null): number | null {
  return a === null || b === null ? (a ?? b) : Math.max(a, b);
}

function merged(a: TopologyCable, b: TopologyCable): TopologyCable {
  return {
    ...a,
    nat: a.nat || b.nat,
    health: worse(a.health, b.health),
    message: [a.message, b.message].filter((text) => text !== '').join('; '),
    rttMs: larger(a.rttMs, b.rttMs),
  };
}

/** Pairs of clusters that should have a cable and of which neither end tells of one. */
function missingCables(reports: readonly ClusterReport[], cables: readonly TopologyCable[]): readonly TopologyCable[] {
  const pairOf = (a: string, b: string): string => JSON.stringify([a, b].sort());
  const found = new Set(cables.map(({ from, to }) => pairOf(from.cluster, to.cluster)));
  const wanted = reports
    .filter(({ joined }) => joined)
    .flatMap(({ clusterId, known }) =>
      known.filter((one) => one.clusterId !== clusterId).map((one) => pairOf(clusterId, one.clusterId)),
    );
  return [...new Set(wanted)]
    .filter((pair) => !found.has(pair))
    .map((pair) => {
      const [a = '', b = ''] = JSON.parse(pair) as readonly string[];
      return {
        from: { cluster: a, gateway: '' },
        to: { cluster: b, gateway: '' },
        cableDriver: '',
        nat: false,
        health: 'missing',
        message: 'no gateway tells of a cable',
        rttMs: null,
      };
    });
}

function gatewayOf(gateway: Gateway, nowMs: number): TopologyGateway {
  const { haStatus, localEndpoint, statusFailure } = gateway.status;
  return {
    node: gateway.metadata.name ?? localEndpoint.hostname,
    haStatus,
    privateIP: localEndpoint.private_ip,
    publicIP: localEndpoint.public_ip,
    failure: silence(gateway, nowMs) ?? statusFailure,
  };
}

/** Clusters that were looked at, with what they say of themselves. */
function ownCluster(report: ClusterReport): TopologyCluster {
  const own = report.known.find(({ clusterId }) => clusterId === report.clusterId);
  return {
    id: report.clusterId,
    context: report.context,
    joined: report.joined,
    clusterCIDRs: own?.clusterCIDRs ?? [],
    serviceCIDRs: own?.serviceCIDRs ?? [],
    gateways: report.gateways
      .map((gateway) => gatewayOf(gateway, report.nowMs))
      .sort((a, b) => (a.node < b.node ? -1 : 1)),
  };
}

/** A cluster known from others, with the gateways that cables lead to. */
function foreignCluster(known: ClusterItem, cables: readonly TopologyCable[]): TopologyCluster {
  const ends = cables.flatMap(({ from, to }) => [from, to]);
  const nodes = ends.filter(({ cluster }) => cluster === known.clusterId).map(({ gateway }) => gateway);
  return {
    id: known.clusterId,
    context: null,
    joined: true,
    clusterCIDRs: known.clusterCIDRs,
    serviceCIDRs: known.serviceCIDRs,
    gateways: [...new Set(nodes)]
      .filter((node) => node !== '')
      .sort()
      .map((node) => ({ node, haStatus: '', privateIP: '', publicIP: '', failure: '' })),
  };
}

/** Puts together what the clusters say: each cable once, each cluster once, also those known from others only. */
export function buildTopology(reports: readonly ClusterReport[]): Topology {
  const byEnds = new Map<string, TopologyCable>();
  for (const cable of reports.flatMap(({ connections }) => connections.map(cableOf))) {
    const key = `${endKey(cable.from)} ${endKey(cable.to)}`;
    const known = byEnds.get(key);
    byEnds.set(key, known === undefined ? cable : merged(known, cable));
  }
  const cables = [...byEnds.values(), ...missingCables(reports, [...byEnds.values()])];
  const own = reports.map(ownCluster);
  const ids = new Set(own.map(({ id }) => id));
  const known = new Map(reports.flatMap((report) => report.known.map((item) => [item.clusterId, item] as const)));
  const foreign = [...known.values()].filter(({ clusterId }) => !ids.has(clusterId));
  const nameOf = ({ from, to }: TopologyCable): string => `${endKey(from)} ${endKey(to)}`;
  return {
    clusters: [...own, ...foreign.map((item) => foreignCluster(item, cables))].sort((a, b) => (a.id < b.id ? -1 : 1)),
    cables: cables.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)),
  };
}

/** `driver, 1.23 ms` as far as it is known. */
export function cableLabel({ cableDriver, rttMs, health }: TopologyCable): string {
  const rtt = rttMs === null || health !== 'connected' ? '' : `${rttMs.toFixed(rttMs < 10 ? 2 : 0)} ms`;
  return [cableDriver, rtt].filter((text) => text !== '').join(', ') || health;
}
