import { parseAvailability, type Availability, type Failover } from '../../api/availability.ts';
import type { IkeSaState, WireguardPeerState } from '../../api/daemonstate.ts';
import { parseGoDuration } from '../../api/duration.ts';
import type { Connection, Gateway } from '../../api/types.ts';
import type { Metric, Sample } from '../../runtime/metrics.ts';
import type { Cable } from '../drivers/driver.ts';
import { cableOfChild } from '../drivers/ipsec-connections.ts';
import { PUBLIC_KEY } from '../drivers/wireguard-device.ts';

type Labels = Readonly<Record<string, string>>;

/** All that the metrics of connections are made of. */
export interface ConnectionFacts {
  readonly gateway: Gateway | undefined;
  /** Number of Gateway objects in the cluster. */
  readonly gateways: number;
  readonly startedAtMs: number;
  /** Runs of the cables loop. */
  readonly syncs: number;
  /** Milliseconds since the epoch. */
  readonly connectedSince: (connection: Connection) => number | undefined;
  /** By cable name. */
  readonly rxBytes: ReadonlyMap<string, number>;
  readonly txBytes: ReadonlyMap<string, number>;
  /** Undefined while this gateway does not talk to the broker, as a standby. */
  readonly brokerConnected: boolean | undefined;
}

const STATUSES = ['connected', 'connecting', 'error'] as const;

function shownIp({ public_ip: publicIp, private_ip: privateIp }: Connection['endpoint']): string {
  return publicIp === '' ? privateIp : publicIp;
}

/** The labels upstream gives to series of a connection. */
function connectionLabels({ localEndpoint: local }: Gateway['status'], { endpoint }: Connection): Labels {
  return {
    cable_driver: local.backend,
    local_cluster: local.cluster_id,
    local_hostname: local.hostname,
    local_endpoint_ip: shownIp(local),
    remote_cluster: endpoint.cluster_id,
    remote_hostname: endpoint.hostname,
    remote_endpoint_ip: shownIp(endpoint),
  };
}

interface Row {
  readonly labels: Labels;
  readonly connection: Connection;
}

function series(rows: readonly Row[], valueOf: (connection: Connection) => number | undefined): readonly Sample[] {
  return rows.flatMap(({ labels, connection }) => {
    const value = valueOf(connection);
    return value === undefined ? [] : [{ labels, value }];
  });
}

function latencySeconds({ latencyRTT }: Connection): number | undefined {
  const ms = latencyRTT === undefined ? undefined : parseGoDuration(latencyRTT.last);
  return ms === undefined || ms === 0 ? undefined : ms / 1000;
}

function connectionMetrics(facts: ConnectionFacts, rows: readonly Row[]): readonly Metric[] {
  const bytes = (totals: ReadonlyMap<string, number>) => (connection: Connection) =>
    totals.get(connection.endpoint.cable_name);
  const since = (connection: Connection): number | undefined => {
    const ms = facts.connectedSince(connection);
    return ms === undefined ? undefined : Math.floor(ms / 1000);
  };
  const withStatus = rows.map(({ labels, connection }) => ({
    labels: { ...labels, status: connection.status },
    value: 1,
  }));
  return [
    {
      name: 'submariner_connections',
      type: 'gauge',
      help: 'Connections to other clusters with their status; always 1, a connection has one status at a time.',
      samples: withStatus,
    },
    {
      name: 'submariner_gateway_rx_bytes',
      type: 'counter',
      help: 'Bytes received through a tunnel.',
      samples: series(rows, bytes(facts.rxBytes)),
    },
    {
      name: 'submariner_gateway_tx_bytes',
      type: 'counter',
      help: 'Bytes sent through a tunnel.',
      samples: series(rows, bytes(facts.txBytes)),
    },
    {
      name: 'submariner_connection_established_timestamp',
      type: 'gauge',
      help: 'Since when a connection is connected, in seconds since the epoch.',
      samples: series(rows, since),
    },
    {
      name: 'submariner_connection_latency_seconds',
      type: 'gauge',
      help: 'Last round-trip time of a probe through a tunnel.',
      samples: series(rows, latencySeconds),
    },
  ];
}

function gatewayMetrics(facts: ConnectionFacts, rows: readonly Row[]): readonly Metric[] {
  const { gateway, gateways, startedAtMs, syncs, brokerConnected } = facts;
  const local = gateway?.status.localEndpoint;
  const here = local === undefined ? {} : { local_cluster: local.cluster_id, local_hostname: local.hostname };
  const short = STATUSES.map((status) => ({
    labels: { cable_driver: local?.backend ?? '', status },
    value: rows.filter(({ connection }) => connection.status === status).length,
  }));
  const requested = rows.map(({ labels, connection }) => ({
    labels: {
      ...here,
      remote_cluster: labels['remote_cluster'] ?? '',
      remote_hostname: labels['remote_hostname'] ?? '',
      status: connection.status,
    },
    value: 1,
  }));
  const gauge = (name: string, help: string, samples: readonly Sample[]): Metric => ({
    name,
    type: 'gauge',
    help,
    samples,
  });
  return [
    gauge('submariner_connections_short', 'Number of connections by status.', local === undefined ? [] : short),
    gauge('submariner_requested_connections', 'Connections this gateway is to have; always 1.', requested),
    gauge('submariner_gateways', 'Gateways of this cluster.', [{ value: gateways }]),
    gauge('submariner_gateway_creation_timestamp', 'Start of this gateway, in seconds since the epoch.', [
      { labels: here, value: Math.floor(startedAtMs / 1000) },
    ]),
    gauge('submariner_gateway_active', 'Whether this gateway is the active one.', [
      { labels: here, value: Number(gateway?.status.haStatus === 'active') },
    ]),
    gauge(
      'submariner_gateway_failing',
      'Whether this gateway reports a failure.',
      gateway === undefined ? [] : [{ labels: here, value: Number(gateway.status.statusFailure !== '') }],
    ),
    gauge(
      'submariner_broker_connected',
      'Whether changes arrive from the broker now.',
      brokerConnected === undefined ? [] : [{ value: Number(brokerConnected) }],
    ),
    {
      name: 'submariner_gateway_sync_iterations',
      type: 'counter',
      help: 'Looks at the cables of this gateway.',
      samples: [{ value: syncs }],
    },
  ];
}

/** What a gateway says of its part in high availability, and of its cables to active and standby gateways. */
function availabilityMetrics(availability: Availability | undefined, here: Labels): readonly Metric[] {
  const { cables = [], lastFailover } = availability ?? {};
  const gauge = (name: string, help: string, samples: readonly Sample[]): Metric => ({
    name,
    type: 'gauge',
    help,
    samples,
  });
  const ends = ({ cluster, gateway }: (typeof cables)[number]): Labels => ({
    ...here,
    remote_cluster: cluster,
    remote_hostname: gateway,
  });
  const probed = cables.filter(({ state }) => state !== 'not probed');
  const failover = (valueOf: (last: Failover) => number): readonly Sample[] =>
    lastFailover === undefined ? [] : [{ labels: here, value: valueOf(lastFailover) }];
  return [
    gauge(
      'submariner_gateway_ready',
      'Whether this gateway carries the traffic, or could at once.',
      availability === undefined ? [] : [{ labels: here, value: Number(availability.ready) }],
    ),
    gauge(
      'submariner_gateway_cable_alive',
      'Whether the gateway at the other end of a cable, active or standby, is heard.',
      probed.map((cable) => ({ labels: ends(cable), value: Number(cable.state === 'alive') })),
    ),
    gauge(
      'submariner_gateway_cable_carries',
      'Whether the packets for a remote cluster go through a cable.',
      cables.map((cable) => ({ labels: ends(cable), value: Number(cable.carries) })),
    ),
    gauge(
      'submariner_gateway_failover_timestamp',
      'When this gateway became the active one, in seconds since the epoch.',
      failover(({ at }) => Math.floor(Date.parse(at) / 1000)),
    ),
    gauge(
      'submariner_gateway_failover_duration_seconds',
      'From the first sign of trouble until this gateway was announced as the active one.',
      failover(({ durationMs }) => durationMs / 1000),
    ),
  ];
}

/** Metrics of a gateway and its connections, under upstream's names where it has one; only what holds now has a series. */
export function engineMetrics(facts: ConnectionFacts): readonly Metric[] {
  const status = facts.gateway?.status;
  const rows = (status?.connections ?? []).map((connection): Row => ({
    labels: status === undefined ? {} : connectionLabels(status, connection),
    connection,
  }));
  const { cluster_id: cluster = '', hostname = '' } = status?.localEndpoint ?? {};
  const here = { local_cluster: cluster, local_hostname: hostname };
  const availability = facts.gateway === undefined ? undefined : parseAvailability(facts.gateway);
  return [
    ...connectionMetrics(facts, rows),
    ...gatewayMetrics(facts, rows),
    ...availabilityMetrics(availability, here),
  ];
}

/** Counters by cable and source: an SA, which is replaced from time to time, or a WireGuard peer. */
export function cableCounters(
  direction: 'rxBytes' | 'txBytes',
  tunnels: { readonly ike: readonly IkeSaState[]; readonly peers: readonly WireguardPeerState[] },
  cables: readonly Pick<Cable, 'name' | 'remoteConfig'>[],
): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const byKey = new Map(cables.map(({ name, remoteConfig }) => [remoteConfig[PUBLIC_KEY], name]));
  const found = [
    ...tunnels.ike.flatMap(({ children }) =>
      children.map((child) => ({ cable: cableOfChild(child.name), source: child.id, value: child[direction] })),
    ),
    ...tunnels.peers.map((peer) => ({
      cable: byKey.get(peer.publicKey),
      source: `${peer.link}/${peer.publicKey}`,
      value: peer[direction],
    })),
  ];
  const counters = new Map<string, Map<string, number>>();
  for (const { cable, source, value } of found) {
    if (cable === undefined) continue;
    const sources = counters.get(cable) ?? new Map<string, number>();
    counters.set(cable, sources.set(source, value));
  }
  return counters;
}
