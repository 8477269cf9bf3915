import { parse } from 'yaml';
import { canonicalCidr } from '../../net/cidr.ts';
import { cidrsOf, configMapNamed, type DiscoverySource, type Finding, NOTHING } from './objects.ts';

/** ConfigMap kube-proxy: KubeProxyConfiguration.clusterCIDR. */
export const kubeProxyConfig: DiscoverySource = (objects): Finding => {
  const data = configMapNamed(objects, 'kube-proxy', 'kube-proxy-config')?.data ?? {};
  const text = data['config.conf'] ?? data['config'] ?? data['kube-proxy.yaml'];
  if (text === undefined) return NOTHING;
  try {
    const config: unknown = parse(text);
    const cidr = (config as { readonly clusterCIDR?: unknown } | null)?.clusterCIDR;
    return { pods: cidrsOf(canonicalCidr, cidr, 'ConfigMap kube-system/kube-proxy clusterCIDR'), services: [] };
  } catch {
    return { ...NOTHING, problems: ['ConfigMap kube-proxy holds no readable configuration'] };
  }
};
