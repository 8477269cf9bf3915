import { canonicalCidr } from '../../net/cidr.ts';
import { cidrsOf, configMapNamed, type DiscoverySource, type Finding, NOTHING } from './objects.ts';

/** OVN-Kubernetes writes net_cidr as CIDR/hostPrefix (10.128.0.0/14/23), comma separated. */
function withoutHostPrefix(text: string | undefined): string | undefined {
  return text
    ?.split(',')
    .map((entry) => entry.trim().split('/').slice(0, 2).join('/'))
    .join(',');
}

/** OVN-Kubernetes outside OpenShift: ConfigMap ovn-config. */
export const ovnKubernetes: DiscoverySource = (objects): Finding => {
  const configMap = configMapNamed(objects, 'ovn-config');
  const present = objects.pods.some(({ metadata }) => metadata.labels?.['app'] === 'ovnkube-node');
  if (configMap === undefined) return present ? { ...NOTHING, plugin: 'OVNKubernetes' } : NOTHING;
  const source = `ConfigMap ${configMap.metadata.namespace}/ovn-config`;
  return {
    pods: cidrsOf(canonicalCidr, withoutHostPrefix(configMap.data?.['net_cidr']), `${source} net_cidr`),
    services: cidrsOf(canonicalCidr, configMap.data?.['svc_cidr'], `${source} svc_cidr`),
    plugin: 'OVNKubernetes',
  };
};
