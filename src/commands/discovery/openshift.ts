import { canonicalCidr } from '../../net/cidr.ts';
import { cidrsOf, type DiscoverySource, type Finding, NOTHING } from './objects.ts';

/** OpenShift: Network `cluster` of config.openshift.io/v1 names plugin, clusterNetwork[].cidr and serviceNetwork[]. */
export const openshift: DiscoverySource = ({ openshiftNetwork }): Finding => {
  const spec = openshiftNetwork?.spec;
  if (spec === undefined) return NOTHING;
  const networks = Array.isArray(spec['clusterNetwork']) ? (spec['clusterNetwork'] as readonly unknown[]) : [];
  const services = Array.isArray(spec['serviceNetwork']) ? (spec['serviceNetwork'] as readonly unknown[]) : [];
  const type = typeof spec['networkType'] === 'string' ? spec['networkType'] : 'OpenShift';
  const source = 'OpenShift Network cluster';
  return {
    pods: networks.flatMap((network) =>
      cidrsOf(canonicalCidr, (network as { readonly cidr?: unknown } | null)?.cidr, source),
    ),
    services: services.flatMap((cidr) => cidrsOf(canonicalCidr, cidr, source)),
    plugin: type === 'Calico' ? 'calico' : type,
  };
};
