import { CABLE_DRIVER_ANNOTATION } from '../../api/names.ts';
import type { Gateway } from '../../api/types.ts';
import type { Column } from '../output.ts';
import { readGateways } from './connections.ts';
import { silence } from './freshness.ts';
import { shown, type View } from './view.ts';

/** A gateway node, as -o json prints it. */
interface GatewayItem {
  readonly cluster: string;
  readonly node: string;
  readonly haStatus: string;
  readonly summary: string;
  readonly connections: number;
  readonly connected: number;
  readonly failure: string;
  readonly version: string;
  readonly privateIP: string;
  readonly publicIP: string;
  readonly cableDriver: string;
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
  return {
    cluster,
    node: metadata.name ?? status.localEndpoint.hostname,
    haStatus: status.haStatus,
    summary: failure === '' ? summarise(connected, total) : failure,
    connections: total,
    connected,
    failure,
    version: status.version,
    privateIP: status.localEndpoint.private_ip,
    publicIP: status.localEndpoint.public_ip,
    cableDriver: status.localEndpoint.backend,
    implementation: metadata.annotations?.[CABLE_DRIVER_ANNOTATION] ?? '',
    cableConfig: status.localEndpoint.backend_config ?? {},
  };
}

function summarise(connected: number, total: number): string {
  if (total === 0) return 'no connections';
  return connected === total
    ? `all connections (${total}) are established`
    : `${connected} of ${total} connections are established`;
}

const COLUMNS: readonly Column<GatewayItem>[] = [
  { header: 'NODE', value: ({ node }) => node, maxWidth: 30 },
  { header: 'HA STATUS', value: ({ haStatus }) => haStatus },
  { header: 'SUMMARY', value: ({ summary }) => summary },
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
      COLUMNS,
      ({ node }) => `gateway.submariner.io/${node}`,
    ),
};
