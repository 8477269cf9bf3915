import { canonicalCidr } from '../../net/cidr.ts';
import { cidrsOf, daemonSetEnv, type DiscoverySource, type Finding } from './objects.ts';

/** Pools that submariner itself makes for remote clusters carry this label; they are not this cluster's. */
const OUR_POOL_LABEL = 'submariner.io/ippool';

/** calico: enabled IPPools, else the pools its DaemonSet is told to make. */
export const calico: DiscoverySource = ({ calicoPools, daemonSets, configMaps }): Finding => {
  const daemonSet = daemonSets.find(({ metadata }) => metadata.name === 'calico-node');
  const present = daemonSet !== undefined || configMaps.some(({ metadata }) => metadata.name === 'calico-config');
  const pools = calicoPools
    .filter(({ metadata, spec }) => spec?.['disabled'] !== true && metadata.labels?.[OUR_POOL_LABEL] !== 'true')
    .flatMap(({ metadata, spec }) => cidrsOf(canonicalCidr, spec?.['cidr'], `IPPool ${metadata.name}`));
  const told =
    daemonSet === undefined
      ? []
      : ['CALICO_IPV4POOL_CIDR', 'CALICO_IPV6POOL_CIDR'].flatMap((name) =>
          cidrsOf(canonicalCidr, daemonSetEnv(daemonSet, name), `DaemonSet calico-node ${name}`),
        );
  const pods = pools.length > 0 ? pools : told;
  return { pods, services: [], ...(present || pools.length > 0 ? { plugin: 'calico' } : {}) };
};
