import type { EndpointSpec } from '../../api/types.ts';
import type { Column } from '../output.ts';
import { readGateways } from './connections.ts';
import { shown, type ShownCluster, type View } from './view.ts';

/** One end of a tunnel as the gateways of a cluster know it, as -o json prints it. */
interface EndpointItem {
  /** ID of the cluster that was asked. */
  readonly cluster: string;
  /** ID of the cluster the endpoint belongs to. */
  readonly endpointCluster: string;
  readonly hostname: string;
  readonly privateIP: string;
  readonly publicIP: string;
  readonly cableDriver: string;
  readonly type: 'local' | 'remote';
  readonly subnets: readonly string[];
  readonly healthCheckIP: string;
  readonly cableName: string;
}

function endpointItem(cluster: string, type: EndpointItem['type'], spec: EndpointSpec): EndpointItem {
  return {
    cluster,
    endpointCluster: spec.cluster_id,
    hostname: spec.hostname,
    privateIP: spec.private_ip,
    publicIP: spec.public_ip,
    cableDriver: spec.backend,
    type,
    subnets: spec.subnets,
    healthCheckIP: spec.healthCheckIP ?? '',
    cableName: spec.cable_name,
  };
}

const COLUMNS: readonly Column<EndpointItem>[] = [
  { header: 'CLUSTER', value: ({ endpointCluster }) => endpointCluster, maxWidth: 24 },
  { header: 'ENDPOINT IP', value: ({ privateIP }) => privateIP },
  { header: 'PUBLIC IP', value: ({ publicIP }) => publicIP },
  { header: 'CABLE DRIVER', value: ({ cableDriver }) => cableDriver },
  { header: 'TYPE', value: ({ type }) => type },
  { header: 'HOSTNAME', value: ({ hostname }) => hostname, wideOnly: true },
  { header: 'SUBNETS', value: ({ subnets }) => subnets, wideOnly: true },
  { header: 'HEALTH CHECK IP', value: ({ healthCheckIP }) => healthCheckIP, wideOnly: true },
];

async function readEndpoints(cluster: ShownCluster): Promise<readonly EndpointItem[]> {
  const gateways = await readGateways(cluster);
  return gateways.flatMap(({ status }) => [
    endpointItem(cluster.clusterId, 'local', status.localEndpoint),
    ...status.connections.map(({ endpoint }) => endpointItem(cluster.clusterId, 'remote', endpoint)),
  ]);
}

/** `subctl show endpoints`. */
export const endpointsView: View = {
  name: 'endpoints',
  summary: 'ends of the tunnels as the gateways know them',
  joinedOnly: true,
  empty: 'no endpoints found',
  emptyIsFailure: false,
  read: async (cluster) =>
    shown(await readEndpoints(cluster), COLUMNS, ({ cableName }) => `endpoint.submariner.io/${cableName}`),
};
