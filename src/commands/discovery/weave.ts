import { canonicalCidr } from '../../net/cidr.ts';
import { cidrsOf, daemonSetEnv, type DiscoverySource, type Finding, NOTHING } from './objects.ts';

/** Weave Net's range when IPALLOC_RANGE is not set. */
const WEAVE_DEFAULT = '10.32.0.0/12';

/** Weave Net: IPALLOC_RANGE of its DaemonSet, or its documented default. */
export const weave: DiscoverySource = ({ daemonSets }): Finding => {
  const daemonSet = daemonSets.find(({ metadata }) => metadata.name === 'weave-net');
  if (daemonSet === undefined) return NOTHING;
  const range = daemonSetEnv(daemonSet, 'IPALLOC_RANGE');
  const source = range === undefined ? 'Weave Net default IPALLOC_RANGE' : 'DaemonSet weave-net IPALLOC_RANGE';
  return { pods: cidrsOf(canonicalCidr, range ?? WEAVE_DEFAULT, source), services: [], plugin: 'weave-net' };
};
