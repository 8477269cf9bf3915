import { ROUTEAGENT_OWNERSHIP } from '../../net/ownership.ts';
import type { NetworkState } from '../../net/state.ts';
import type { Inputs } from '../model.ts';
import { desiredForwarding, desiredSets, desiredSysctls } from './forwarding.ts';
import { desiredMssClamp } from './mss.ts';
import { desiredOverlay } from './overlay.ts';
import { desiredRoutes } from './routes.ts';

/** All of the network that the route agent wants on this node; a function of the inputs alone. */
export function desiredNetwork(inputs: Inputs): NetworkState {
  return {
    ...desiredOverlay(inputs),
    ...desiredRoutes(inputs),
    sysctls: desiredSysctls(inputs),
    ruleset: {
      table: ROUTEAGENT_OWNERSHIP.nftTable,
      sets: desiredSets(inputs),
      chains: [...desiredForwarding(inputs), ...desiredMssClamp(inputs)],
    },
  };
}
