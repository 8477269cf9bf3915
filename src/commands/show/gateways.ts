import { parseAvailability, type Availability, type Failover } from '../../api/availability.ts';
import { parsePendingChange, type PendingChange } from '../../api/driverchange.ts';
import { CABLE_DRIVER_ANNOTATION } from '../../api/names.ts';
import type { Gateway } from '../../api/types.ts';
import { formatDuration } from '../duration.ts';
import type { Column } from '../output.ts';
import { readGateways } from './connections.ts';
import { silence } from './freshness.ts';
import { shown, type View } from './view.ts';

/** A gateway node, as -o json prints it. */
interface GatewayItem {
  readonly cluster: string;
  readonly node: string;
  readonly haStatus: string;
  /** Whether it could take over: `ready`, why not, or empty for the active one and for one that does not say. */
  readonly standby: string;
  /** Since when it is active or passive; RFC 3339, empty when it does not say. */
  readonly since: string;
  /** How it became active, null when it did not take over from another one. */
  readonly lastFailover: Failover | null;
  readonly summary: string;
  readonly connections: number;
  readonly connected: number;
  readonly failure: string;
  readonly version: string;
  readonly privateIP: string;
  readonly publicIP: string;
  readonly cableDriver: string;
  /** The driver it changes to, and what it waits for; null when it does not. */
  readonly driverChange: PendingChange | null;
  /** What carries the packets, e.g. "WireGuard, kernel"; empty when the gateway does not say. */
  readonly implementation: string;
  /** What the driver publishes about itself, e.g. ports and keys. */
  readonly cableConfig: Readonly<Record<string, string>>;
}

/** The row of a Gateway object. */
function gatewayItem(cluster: string, gateway: Gateway, nowMs: number): GatewayItem {
  const { metadata, status } = gateway;
  const failure = silence(gateway, nowMs) ?? status.statusFailure;
  const connected = status.connections.filter((connection) => connection.status === 'connected').length;
  const total = status.connections.length;
  const driverChange = parsePendingChange(metadata) ?? null;
  const part = partOf(gateway, { connected, total, failure });
  return {
    cluster,
    node: metadata.name ?? status.localEndpoint.hostname,
    haStatus: status.haStatus,
    ...part,
    summary: [part.summary, ...describeChange(driverChange)].join('; '),
    connections: total,
    connected,
    failure,
    version: status.version,
    privateIP: status.localEndpoint.private_ip,
    publicIP: status.localEndpoint.public_ip,
    cableDriver: status.localEndpoint.backend,
    driverChange,
    implementation: metadata.annotations?.[CABLE_DRIVER_ANNOTATION] ?? '',
    cableConfig: status.localEndpoint.backend_config ?? {},
  };
}

/** What is to come, for people. */
function describeChange(change: PendingChange | null): readonly string[] {
  if (change === null) return [];
  const { to, clusters, gateways } = change;
  const awaited = [...gateways, ...clusters];
  return [
    awaited.length === 0 ? `changes to ${to} in a moment` : `changes to ${to} together with ${awaited.join(', ')}`,
  ];
}

/** The part of a gateway among those of its cluster. */
function partOf(
  gateway: Gateway,
  { connected, total, failure }: { readonly connected: number; readonly total: number; readonly failure: string },
): Pick<GatewayItem, 'standby' | 'since' | 'lastFailover' | 'summary'> {
  const availability = parseAvailability(gateway);
  const since = availability?.since ?? '';
  if (gateway.status.haStatus === 'active') {
    const summary = failure === '' ? summarise(connected, total) : failure;
    return { standby: '', since, lastFailover: availability?.lastFailover ?? null, summary };
  }
  const summary = failure === '' ? describeStandby(availability) : failure;
  return { standby: standbyOf(availability), since, lastFailover: null, summary };
}

function standbyOf(availability: Availability | undefined): string {
  if (availability === undefined) return '';
  return availability.ready ? 'ready' : availability.reason;
}

function describeStandby(availability: Availability | undefined): string {
  if (availability === undefined) return 'no connections';
  return availability.ready ? 'ready to take over' : `not ready to take over: ${availability.reason}`;
}

function describeFailover(failover: Failover | null, nowMs: number): string {
  if (failover === null) return '';
  const { at, from, cause, durationMs } = failover;
  return `${ageOf(at, nowMs)} ago from ${from} in ${durationMs} ms: ${cause}`;
}

/** Time since then, for people; empty when it is not known. */
function ageOf(time: string, nowMs: number): string {
  const thenMs = Date.parse(time);
  return Number.isNaN(thenMs) ? '' : formatDuration(Math.max(0, nowMs - thenMs));
}

function summarise(connected: number, total: number): string {
  if (total === 0) return 'no connections';
  return connected === total
    ? `all connections (${total}) are established`
    : `${connected} of ${total} connections are established`;
}

function columnsAt(nowMs: number): readonly Column<GatewayItem>[] {
  return [
    { header: 'NODE', value: ({ node }) => node, maxWidth: 30 },
    { header: 'HA STATUS', value: ({ haStatus }) => haStatus },
    { header: 'SINCE', value: ({ since }) => ageOf(since, nowMs) },
    { header: 'SUMMARY', value: ({ summary }) => summary },
    { header: 'LAST FAIL-OVER', value: ({ lastFailover }) => describeFailover(lastFailover, nowMs) },
    ...WIDE_COLUMNS,
  ];
}

const WIDE_COLUMNS: readonly Column<GatewayItem>[] = [
  { header: 'VERSION', value: ({ version }) => version, wideOnly: true },
  { header: 'PRIVATE IP', value: ({ privateIP }) => privateIP, wideOnly: true },
  { header: 'PUBLIC IP', value: ({ publicIP }) => publicIP, wideOnly: true },
  { header: 'CABLE DRIVER', value: ({ cableDriver }) => cableDriver, wideOnly: true },
  { header: 'IMPLEMENTATION', value: ({ implementation }) => implementation, wideOnly: true },
  {
    header: 'CABLE CONFIG',
    value: ({ cableConfig }) => Object.entries(cableConfig).map(([key, value]) => `${key}=${value}`),
    wideOnly: true,
  },
];

/** `subctl show gateways`. */
export const gatewaysView: View = {
  name: 'gateways',
  summary: 'gateway nodes and which of them is active',
  joinedOnly: true,
  empty: 'no gateways found',
  emptyIsFailure: false,
  read: async (cluster) =>
    shown(
      (await readGateways(cluster)).map((gateway) => gatewayItem(cluster.clusterId, gateway, cluster.nowMs)),
      columnsAt(cluster.nowMs),
      ({ node }) => `gateway.submariner.io/${node}`,
    ),
};
