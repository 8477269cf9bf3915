import { combineSources } from '../../discovery/combine.ts';
import { fetchClusterObjects } from '../../discovery/fetch.ts';
import type { Collector } from '../collector.ts';

/** ConfigMaps in which CNIs, kube-proxy and installers say how the cluster's network is set up. */
const TELLING = /cni|calico|canal|cilium|flannel|weave|kindnet|ovn|kube-?proxy|kubeadm|antrea|kube-router/i;

/** What is known of the cluster's own network, and the objects it is known from. */
export const cniCollector: Collector = {
  name: 'cni',
  type: 'resources',
  collect: async (collecting) => {
    const objects = await fetchClusterObjects(collecting.client);
    for (const problem of objects.problems) collecting.fail(problem);
    await collecting.writeJson('cni/network.json', 'pod and service CIDRs, CNI', combineSources(objects));
    const { configMaps, daemonSets, calicoPools, ciliumNodes, openshiftNetwork, serviceCidrs } = objects;
    const telling = [...configMaps, ...daemonSets].filter(({ metadata }) => TELLING.test(metadata.name ?? ''));
    const foreign = [...calicoPools, ...ciliumNodes, ...serviceCidrs, ...(openshiftNetwork ? [openshiftNetwork] : [])];
    await collecting.writeYaml('cni/objects.yaml', 'configuration of CNI and kube-proxy', [...telling, ...foreign]);
  },
};
