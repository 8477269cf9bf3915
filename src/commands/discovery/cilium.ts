import { canonicalCidr } from '../../net/cidr.ts';
import {
  cidrsOf,
  type ClusterObjects,
  configMapNamed,
  type DiscoverySource,
  type Finding,
  type FoundCidr,
} from './objects.ts';

/** Keys of cilium-config that hold the whole pod range, by IPAM mode. */
const POOL_KEYS = ['cluster-pool-ipv4-cidr', 'cluster-pool-ipv6-cidr'] as const;
const ROUTING_KEYS = ['ipv4-native-routing-cidr', 'ipv6-native-routing-cidr'] as const;

/** CIDRs each CiliumNode was given: exact, but only for the nodes there are. */
function ciliumNodeCidrs(objects: ClusterObjects): readonly FoundCidr[] {
  return objects.ciliumNodes.flatMap(({ metadata, spec }) => {
    const ipam = spec?.['ipam'] as { readonly podCIDRs?: unknown } | undefined;
    const cidrs = Array.isArray(ipam?.podCIDRs) ? ipam.podCIDRs : [];
    return cidrs.flatMap((cidr) => cidrsOf(canonicalCidr, cidr, `CiliumNode ${metadata.name}`));
  });
}

/** cilium: the cluster pool, else the native-routing range, else what each CiliumNode holds. */
export const cilium: DiscoverySource = (objects): Finding => {
  const data = configMapNamed(objects, 'cilium-config')?.data;
  if (data === undefined) return { pods: ciliumNodeCidrs(objects), services: [] };
  const fromKeys = (keys: readonly string[]): readonly FoundCidr[] =>
    keys.flatMap((key) => cidrsOf(canonicalCidr, data[key], `ConfigMap kube-system/cilium-config ${key}`));
  // With ipam=kubernetes the pool keys are leftovers of the chart's defaults: Nodes say what is used.
  const pools = ['cluster-pool', 'cluster-pool-v2beta', undefined].includes(data['ipam']) ? fromKeys(POOL_KEYS) : [];
  const candidates = [pools, fromKeys(ROUTING_KEYS), ciliumNodeCidrs(objects)];
  return { pods: candidates.find((found) => found.length > 0) ?? [], services: [], plugin: 'cilium' };
};
