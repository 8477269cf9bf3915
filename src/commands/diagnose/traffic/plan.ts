import { PROBER_PORT, type ProbeTarget } from '../../../host/prober/protocol.ts';
import type { Place } from './model.ts';

/** A node of a cluster as far as test packets need it. */
export interface TrafficNode {
  readonly name: string;
  /** The node's test pod; undefined when it has none. */
  readonly podAddress: string | undefined;
}

/** A cluster between which and others packets are sent. */
export interface TrafficCluster {
  readonly clusterId: string;
  /** Gateways first. */
  readonly nodes: readonly TrafficNode[];
  /** Addresses at which gateways of other clusters are probed. */
  readonly gateways: readonly Peer[];
  /** The node of its own active gateway, and where that sends its tunnel packets. */
  readonly tunnels: { readonly from: string | undefined; readonly to: readonly Peer[] };
}

/** A gateway of another cluster, at one of its addresses. */
export interface Peer {
  readonly cluster: string;
  readonly node: string;
  readonly address: string;
}

/** All that one source is to send. */
export interface Errand {
  readonly from: Place;
  readonly sends: readonly { readonly to: Place; readonly target: ProbeTarget }[];
}

/** Destinations of one source: all when there are few, else the first (a gateway's) and two others in turn. */
export function chooseTargets<T>(all: readonly T[], sourceIndex: number): readonly T[] {
  const [first, ...others] = all;
  if (first === undefined || all.length <= 3) return all;
  const turn = [0, 1].map((step) => others[(sourceIndex * 2 + step) % others.length]);
  return [first, ...turn.filter((one) => one !== undefined)];
}

const STREAM = { port: PROBER_PORT, upBytes: 65_536, downBytes: 65_536 } as const;
/** Enough small ones to see loss; sizes that fit the usual paths whole, and one that has to be sent in fragments. */
const BURSTS = [
  { bytes: 84, count: 20 },
  { bytes: 1200, count: 5 },
  { bytes: 1400, count: 5 },
  { bytes: 3000, count: 3 },
] as const;
const PINGS = { count: 5 } as const;

type Send = Errand['sends'][number];

function tunnelSends({ tunnels }: TrafficCluster, node: string): readonly Send[] {
  if (tunnels.from !== node) return [];
  return tunnels.to.map((peer, index) => ({
    to: { ...peer, kind: 'underlay' },
    target: { id: `u${index}`, address: peer.address, pathMtu: {} },
  }));
}

function nodeSends(gateways: readonly Place[], pods: readonly Place[]): readonly Send[] {
  const toGateways = gateways.map((to, index) => ({
    to,
    target: { id: `g${index}`, address: to.address, icmp: PINGS, pathMtu: {} },
  }));
  const toPods = pods.map((to, index) => ({
    to,
    target: { id: `p${index}`, address: to.address, icmp: PINGS, tcp: STREAM },
  }));
  return [...toGateways, ...toPods];
}

function podSends(pods: readonly Place[]): readonly Send[] {
  return pods.map((to, index) => ({
    to,
    target: {
      id: `p${index}`,
      address: to.address,
      tcp: STREAM,
      udp: { port: PROBER_PORT, bursts: BURSTS, ask: true },
    },
  }));
}

function podsOf({ clusterId, nodes }: TrafficCluster): readonly Place[] {
  return nodes.flatMap(({ name, podAddress }) =>
    podAddress === undefined ? [] : [{ cluster: clusterId, node: name, kind: 'pod' as const, address: podAddress }],
  );
}

function errandsOf(cluster: TrafficCluster, others: readonly TrafficCluster[]): readonly Errand[] {
  const gateways = cluster.gateways.map((gateway): Place => ({ ...gateway, kind: 'gateway' }));
  return cluster.nodes.flatMap((node, index) => {
    const pods = others.flatMap((other) => chooseTargets(podsOf(other), index));
    const base = { cluster: cluster.clusterId, node: node.name };
    const fromNode: Errand = {
      from: { ...base, kind: 'node', address: '' },
      sends: [...nodeSends(gateways, pods), ...tunnelSends(cluster, node.name)],
    };
    if (node.podAddress === undefined || pods.length === 0) return [fromNode];
    return [fromNode, { from: { ...base, kind: 'pod', address: node.podAddress }, sends: podSends(pods) }];
  });
}

/** Who sends what to whom: from every node and every test pod to the gateways and test pods of every other cluster. */
export function planTraffic(clusters: readonly TrafficCluster[]): readonly Errand[] {
  return clusters
    .flatMap((cluster) =>
      errandsOf(
        cluster,
        clusters.filter((other) => other !== cluster),
      ),
    )
    .filter(({ sends }) => sends.length > 0);
}
