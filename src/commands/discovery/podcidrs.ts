import { canonicalCidr } from '../../net/cidr.ts';
import { cidrsOf, type DiscoverySource, type Finding } from './objects.ts';

/** Node spec.podCIDRs: true of the nodes there are today, blind to the next one; so the last resort. */
export const nodePodCidrs: DiscoverySource = ({ nodes }): Finding => ({
  pods: nodes.flatMap(({ metadata, spec }) => {
    const cidrs = spec?.podCIDRs ?? (spec?.podCIDR === undefined ? [] : [spec.podCIDR]);
    return cidrs.flatMap((cidr) => cidrsOf(canonicalCidr, cidr, `Node ${metadata.name} podCIDRs`));
  }),
  services: [],
});
