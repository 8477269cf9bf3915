import { parsePendingChange } from '../../api/driverchange.ts';
import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Connection, Gateway } from '../../api/types.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { type Column, printable } from '../output.ts';
import { silence } from './freshness.ts';
import { shown, type ShownCluster, type View } from './view.ts';

/** One connection of a cluster's active gateway, as -o json prints it. */
export interface ConnectionItem {
  /** ID of the cluster that was asked. */
  readonly cluster: string;
  /** Its gateway node. */
  readonly gateway: string;
  readonly remoteCluster: string;
  readonly remoteGateway: string;
  readonly remoteIP: string;
  readonly nat: boolean;
  readonly cableDriver: string;
  readonly subnets: readonly string[];
  readonly status: string;
  readonly message: string;
  /** Round-trip times as Go durations; null while no probe has come back. */
  readonly rtt: Readonly<Record<'last' | 'min' | 'average' | 'max' | 'stdDev', string>> | null;
}

/** The connections in a Gateway object. */
function connectionItems({ clusterId, nowMs }: ShownCluster, gateway: Gateway): readonly ConnectionItem[] {
  const { localEndpoint, connections } = gateway.status;
  const silent = silence(gateway, nowMs);
  return connections.map((connection) => {
    const item = connectionItem(clusterId, localEndpoint.hostname, connection);
    return silent === undefined ? item : { ...item, status: 'error', message: silent, rtt: null };
  });
}

function connectionItem(cluster: string, gateway: string, connection: Connection): ConnectionItem {
  const { endpoint, usingIP, usingNAT, latencyRTT, status, statusMessage } = connection;
  const nat = usingNAT ?? endpoint.nat_enabled;
  return {
    cluster,
    gateway,
    remoteCluster: endpoint.cluster_id,
    remoteGateway: endpoint.hostname,
    remoteIP: usingIP !== undefined && usingIP !== '' ? usingIP : nat ? endpoint.public_ip : endpoint.private_ip,
    nat,
    cableDriver: endpoint.backend,
    subnets: endpoint.subnets,
    status,
    message: statusMessage,
    rtt: latencyRTT === undefined || !isProbed(latencyRTT.average) ? null : { ...latencyRTT },
  };
}

/** A zero or empty average means that no probe has come back yet. */
function isProbed(average: string | undefined): boolean {
  return average !== undefined && /[1-9]/.test(average);
}

const COLUMNS: readonly Column<ConnectionItem>[] = [
  { header: 'GATEWAY', value: ({ remoteGateway }) => remoteGateway, maxWidth: 30 },
  { header: 'CLUSTER', value: ({ remoteCluster }) => remoteCluster, maxWidth: 24 },
  { header: 'REMOTE IP', value: ({ remoteIP }) => remoteIP },
  { header: 'NAT', value: ({ nat }) => nat },
  { header: 'CABLE DRIVER', value: ({ cableDriver }) => cableDriver },
  { header: 'SUBNETS', value: ({ subnets }) => subnets, maxWidth: 40 },
  { header: 'STATUS', value: ({ status }) => status },
  { header: 'RTT avg.', value: ({ rtt }) => rtt?.average },
  { header: 'RTT min/max', value: ({ rtt }) => (rtt === null ? '' : `${rtt.min}/${rtt.max}`), wideOnly: true },
  { header: 'LOCAL GATEWAY', value: ({ gateway }) => gateway, wideOnly: true },
  { header: 'MESSAGE', value: ({ message }) => message, wideOnly: true },
];

/** Gateway objects of a cluster; none when the cluster has never joined. */
export async function readGateways({ client }: ShownCluster): Promise<readonly Gateway[]> {
  const { items } = await client.list<Gateway>(RESOURCES.gateways, { namespace: OPERATOR_NAMESPACE });
  return items;
}

/** Connections of the active gateways of a cluster. */
export async function readConnections(cluster: ShownCluster): Promise<readonly ConnectionItem[]> {
  return (await readActive(cluster)).flatMap((gateway) => connectionItems(cluster, gateway));
}

async function readActive(cluster: ShownCluster): Promise<readonly Gateway[]> {
  return (await readGateways(cluster)).filter(({ status }) => status.haStatus === 'active');
}

/** What is to come, for people. */
function describeChange({ metadata }: Gateway): readonly string[] {
  const change = parsePendingChange(metadata);
  if (change === undefined) return [];
  const awaited = change.clusters.length === 0 ? 'all clusters' : change.clusters.join(', ');
  return [`cable driver ${change.to} takes the place of ${change.from} together with ${awaited}`];
}

/** Why a connection is not connected, as its gateway says. */
function describeTrouble({ remoteCluster, remoteGateway, status, message }: ConnectionItem): string | undefined {
  if (status === 'connected' || message === '') return undefined;
  return printable(`${remoteCluster} (${remoteGateway}): ${message}`);
}

/** `subctl show connections`. */
export const connectionsView: View = {
  name: 'connections',
  summary: 'tunnels to the other clusters and their state',
  joinedOnly: true,
  empty: 'no connections found',
  emptyIsFailure: true,
  read: async (cluster) => {
    const gateways = await readActive(cluster);
    const view = shown(
      gateways.flatMap((gateway) => connectionItems(cluster, gateway)),
      COLUMNS,
      ({ remoteCluster, remoteGateway }) => `connection/${remoteCluster}/${remoteGateway}`,
      describeTrouble,
    );
    return { ...view, notes: [...view.notes, ...gateways.flatMap(describeChange)] };
  },
};
