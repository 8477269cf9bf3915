import { canonicalCidr } from '../../net/cidr.ts';
import { cidrsOf, type DiscoverySource, type Finding } from './objects.ts';

/** ServiceCIDR objects of networking.k8s.io/v1 (Kubernetes 1.33 and newer): the API's own answer, several may exist. */
export const serviceCidrObjects: DiscoverySource = ({ serviceCidrs }): Finding => ({
  pods: [],
  services: serviceCidrs
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .flatMap(({ metadata, spec }) => {
      const cidrs = Array.isArray(spec?.['cidrs']) ? spec['cidrs'] : [];
      return cidrs.flatMap((cidr) => cidrsOf(canonicalCidr, cidr, `ServiceCIDR ${metadata.name}`));
    }),
});
