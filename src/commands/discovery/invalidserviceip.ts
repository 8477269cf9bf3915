import { canonicalCidr } from '../../net/cidr.ts';
import { cidrsOf, type DiscoverySource, type Finding, NOTHING } from './objects.ts';

/**
 * The range in the API server's refusal of a Service whose cluster IP is outside of it. Up to Kubernetes 1.32 every
 * create names the range; newer servers name it only in a dry run. The wording is "The range of valid IPs is …".
 */
export const invalidServiceIp: DiscoverySource = ({ invalidServiceMessage }): Finding => {
  const match = /range of valid IPs is:? ((?:[0-9a-fA-F.:]+\/\d+[,\s]*)+)/.exec(invalidServiceMessage ?? '');
  if (match === null) return NOTHING;
  return { pods: [], services: cidrsOf(canonicalCidr, match[1], 'API server, refusal of an invalid cluster IP') };
};
