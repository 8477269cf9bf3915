import { canonicalCidr } from '../../net/cidr.ts';
import {
  cidrsOf,
  type ClusterObjects,
  configMapNamed,
  type DiscoverySource,
  type Finding,
  type FoundCidr,
} from './objects.ts';

/** Network and IPv6Network of a flannel net-conf.json. */
function netConf(objects: ClusterObjects, ...configMaps: readonly string[]): readonly FoundCidr[] {
  const configMap = configMapNamed(objects, ...configMaps);
  const text = configMap?.data?.['net-conf.json'];
  if (configMap === undefined || text === undefined) return [];
  try {
    const conf = JSON.parse(text) as { readonly Network?: unknown; readonly IPv6Network?: unknown } | null;
    const source = `ConfigMap ${configMap.metadata.namespace}/${configMap.metadata.name} net-conf.json`;
    return [conf?.Network, conf?.IPv6Network].flatMap((cidr) => cidrsOf(canonicalCidr, cidr, source));
  } catch {
    return [];
  }
}

/** flannel: its DaemonSet and the net-conf.json of its ConfigMap. */
export const flannel: DiscoverySource = (objects): Finding => {
  const present = objects.daemonSets.some(({ metadata }) => /flannel/.test(metadata.name ?? ''));
  const pods = netConf(objects, 'kube-flannel-cfg', 'kube-flannel');
  return { pods, services: [], ...(present || pods.length > 0 ? { plugin: 'flannel' } : {}) };
};

/** canal (calico policy on a flannel network): net-conf.json of canal-config. */
export const canal: DiscoverySource = (objects): Finding => {
  const present = objects.daemonSets.some(({ metadata }) =>
    /canal/.test(`${metadata.name} ${metadata.labels?.['k8s-app']}`),
  );
  const pods = netConf(objects, 'canal-config', 'rke2-canal-config');
  return { pods, services: [], ...(present || pods.length > 0 ? { plugin: 'canal-flannel' } : {}) };
};
