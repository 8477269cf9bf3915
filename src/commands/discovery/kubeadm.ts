import { parse } from 'yaml';
import { canonicalCidr } from '../../net/cidr.ts';
import { cidrsOf, configMapNamed, type DiscoverySource, type Finding, NOTHING } from './objects.ts';

/** ConfigMap kubeadm-config: ClusterConfiguration.networking, as the cluster was created. */
export const kubeadmConfig: DiscoverySource = (objects): Finding => {
  const text = configMapNamed(objects, 'kubeadm-config')?.data?.['ClusterConfiguration'];
  if (text === undefined) return NOTHING;
  const networking = networkingOf(text);
  if (networking === undefined)
    return { ...NOTHING, problems: ['ConfigMap kubeadm-config holds no readable networking section'] };
  const source = 'ConfigMap kube-system/kubeadm-config';
  return {
    pods: cidrsOf(canonicalCidr, networking['podSubnet'], source),
    services: cidrsOf(canonicalCidr, networking['serviceSubnet'], source),
  };
};

function networkingOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const config: unknown = parse(text);
    const networking = (config as { readonly networking?: unknown } | null)?.networking;
    return typeof networking === 'object' && networking !== null ? (networking as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
