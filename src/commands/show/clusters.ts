import { CLUSTER_ID_LABEL, OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Cluster } from '../../api/types.ts';
import { parseCluster } from '../../api/validate.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { Column } from '../output.ts';
import { shown, type ShownCluster, type View } from './view.ts';

/** A cluster of the set as another one knows it, as -o json prints it. */
export interface ClusterItem {
  /** ID of the cluster that was asked. */
  readonly cluster: string;
  readonly clusterId: string;
  readonly type: 'local' | 'remote';
  readonly clusterCIDRs: readonly string[];
  readonly serviceCIDRs: readonly string[];
  readonly globalCIDRs: readonly string[];
}

const COLUMNS: readonly Column<ClusterItem>[] = [
  { header: 'CLUSTER', value: ({ clusterId }) => clusterId, maxWidth: 24 },
  { header: 'TYPE', value: ({ type }) => type },
  { header: 'CLUSTER CIDRS', value: ({ clusterCIDRs }) => clusterCIDRs, maxWidth: 40 },
  { header: 'SERVICE CIDRS', value: ({ serviceCIDRs }) => serviceCIDRs, maxWidth: 40 },
  { header: 'GLOBAL CIDRS', value: ({ globalCIDRs }) => globalCIDRs, maxWidth: 40 },
];

/** Clusters of the set as this cluster's API server holds them; what cannot be read is left out. */
export async function readClusters({ client, clusterId }: ShownCluster): Promise<readonly ClusterItem[]> {
  const { items } = await client.list<Cluster>(RESOURCES.clusters, { namespace: OPERATOR_NAMESPACE });
  return items.flatMap((object) => {
    const parsed = parseCluster(object);
    if (parsed.problem !== undefined) return [];
    const { spec, metadata } = parsed.cluster;
    const owner = metadata.labels?.[CLUSTER_ID_LABEL] ?? spec.cluster_id;
    return {
      cluster: clusterId,
      clusterId: spec.cluster_id,
      type: owner === clusterId ? ('local' as const) : ('remote' as const),
      clusterCIDRs: spec.cluster_cidr,
      serviceCIDRs: spec.service_cidr,
      globalCIDRs: spec.global_cidr,
    };
  });
}

/** `subctl show clusters`. */
export const clustersView: View = {
  name: 'clusters',
  summary: 'clusters of the set and their networks',
  joinedOnly: true,
  empty: 'no clusters found',
  emptyIsFailure: false,
  read: async (cluster) =>
    shown(await readClusters(cluster), COLUMNS, ({ clusterId }) => `cluster.submariner.io/${clusterId}`),
};
