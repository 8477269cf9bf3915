import type { EndpointSpec } from '../../../api/types.ts';
import { NAT_DISCOVERY_PORT, TUNNEL_PORT } from '../../../api/names.ts';
import { OVERLAY } from '../../../net/ownership.ts';
import type { CountRule } from '../../../host/prober/protocol.ts';
import type { Shot, ShotEnd } from './model.ts';

/** A cluster as far as its UDP ports go. */
export interface ShotCluster {
  readonly clusterId: string;
  readonly gateway: string | undefined;
  /** Nodes that can send, with their address on the network of the nodes. */
  readonly nodes: readonly { readonly name: string; readonly address: string }[];
  /** Its Endpoint. */
  readonly endpoint: EndpointSpec | undefined;
  /** Addresses under which gateways of other clusters are reached, by cluster. */
  readonly reached: ReadonlyMap<string, string>;
}

/** How often each packet is sent. */
export const SHOTS = 5;
/** Sizes that our own packets on these ports do not have; each shot has its own. */
const FIRST_BYTES = 101;

function portOf(endpoint: EndpointSpec | undefined, key: string, initial: number): number {
  const port = Number(endpoint?.backend_config?.[key]);
  return Number.isInteger(port) && port > 0 ? port : initial;
}

type Draft = Omit<Shot, 'id' | 'bytes'>;

function endOf({ clusterId, nodes }: ShotCluster, node: string): ShotEnd | undefined {
  const found = nodes.find(({ name }) => name === node);
  return found === undefined ? undefined : { cluster: clusterId, node, address: found.address };
}

/** Between the gateway of a cluster and its other nodes, both directions. */
function overlayShots(cluster: ShotCluster): readonly Draft[] {
  const gateway = cluster.gateway === undefined ? undefined : endOf(cluster, cluster.gateway);
  if (gateway === undefined) return [];
  const others = cluster.nodes.filter(({ name }) => name !== gateway.node);
  return others.flatMap(({ name, address }) => {
    const node: ShotEnd = { cluster: cluster.clusterId, node: name, address };
    const common = { purpose: 'overlay' as const, port: OVERLAY.udpPort };
    return [
      { ...common, from: node, to: gateway },
      { ...common, from: gateway, to: node },
    ];
  });
}

/** From the gateway of one cluster to that of another. */
function tunnelShots(a: ShotCluster, b: ShotCluster): readonly Draft[] {
  const from = endOf(a, a.gateway ?? '');
  const to = endOf(b, b.gateway ?? '');
  if (from === undefined || to === undefined) return [];
  const at = { from, to: { ...to, address: a.reached.get(b.clusterId) ?? to.address } };
  return [
    { ...at, purpose: 'tunnel', port: portOf(b.endpoint, 'udp-port', TUNNEL_PORT) },
    { ...at, purpose: 'NAT discovery', port: portOf(b.endpoint, 'natt-discovery-port', NAT_DISCOVERY_PORT) },
  ];
}

/** All packets to be sent; each has a size of its own, so that every counter knows whose it sees. */
export function planShots(clusters: readonly ShotCluster[]): readonly Shot[] {
  const drafts = clusters.flatMap((a) => [
    ...overlayShots(a),
    ...clusters.flatMap((b) => (a === b ? [] : tunnelShots(a, b))),
  ]);
  return drafts.map((draft, index) => ({ ...draft, id: `s${index}`, bytes: FIRST_BYTES + index }));
}

/** What is to be counted on a node. */
export function rulesAt(
  shots: readonly Shot[],
  at: { readonly cluster: string; readonly node: string },
): readonly CountRule[] {
  const isHere = (end: ShotEnd): boolean => end.cluster === at.cluster && end.node === at.node;
  return shots.flatMap(({ id, from, to, port, bytes }): readonly CountRule[] => [
    ...(isHere(from) ? [{ id: `${id}-left`, hook: 'postrouting' as const, port, bytes }] : []),
    ...(isHere(to)
      ? [
          { id: `${id}-arrived`, hook: 'prerouting' as const, port, bytes },
          { id: `${id}-accepted`, hook: 'input' as const, port, bytes },
        ]
      : []),
  ]);
}
