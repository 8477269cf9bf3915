import { canonicalCidr } from '../../net/cidr.ts';
import { cidrsOf, daemonSetEnv, type DiscoverySource, type Finding, NOTHING } from './objects.ts';

/** kindnet: POD_SUBNET of its DaemonSet. */
export const kindnet: DiscoverySource = ({ daemonSets }): Finding => {
  const daemonSet = daemonSets.find(({ metadata }) => metadata.name === 'kindnet');
  if (daemonSet === undefined) return NOTHING;
  const pods = cidrsOf(canonicalCidr, daemonSetEnv(daemonSet, 'POD_SUBNET'), 'DaemonSet kindnet POD_SUBNET');
  return { pods, services: [], plugin: 'kindnet' };
};
