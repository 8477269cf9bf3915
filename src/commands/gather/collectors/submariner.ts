import { RESOURCES } from '../../../kube/resources.ts';
import type { Collector } from '../collector.ts';
import { archiveKinds } from '../listing.ts';

/** Our custom resources in all namespaces: those of the cluster, and on the broker those of all members. */
export const submarinerCollector: Collector = {
  name: 'submariner',
  type: 'resources',
  collect: async (collecting) => {
    const { submariners, brokers, clusters, endpoints, gateways, routeAgents } = RESOURCES;
    const { serviceDiscoveries, serviceExports, serviceImports } = RESOURCES;
    const { clusterGlobalEgressIps, globalEgressIps, globalIngressIps } = RESOURCES;
    const own = [submariners, brokers, clusters, endpoints, gateways, routeAgents];
    const discovery = [serviceDiscoveries, serviceExports, serviceImports];
    const globalnet = [clusterGlobalEgressIps, globalEgressIps, globalIngressIps];
    await archiveKinds(
      collecting,
      [...own, ...discovery, ...globalnet].map((type) => ({ type })),
    );
  },
};
