import { CABLE_TABLE, OVERLAY } from '../../net/ownership.ts';
import type { RouteState, RuleState } from '../../net/state.ts';
import type { Inputs } from '../model.ts';
import { overlayAddress } from '../../net/vtep.ts';

/** Looked up on the gateway after the table of cables: what reaches it has no cable and is refused. */
const GATEWAY_TABLE = 150;
const GATEWAY_PRIORITY = 150;
/**
 * The table of cables before it. On a gateway that was on standby the cables are there already, but the engine lets the
 * node's own packets in a little later than this agent refuses all others: without this rule nothing would get through in
 * between, transit neither, because the kernel takes no packet from a source it has no route to.
 */
const CABLES_RULE: RuleState = { priority: 149, table: CABLE_TABLE };
const MAIN_TABLE = 254;

function routeVia(inputs: Inputs, destination: string): RouteState {
  const { gateway, host } = inputs;
  if (gateway.role !== 'worker') return { destination, table: MAIN_TABLE, type: 'unreachable' };
  const route = { destination, table: MAIN_TABLE, via: overlayAddress(gateway.address), link: OVERLAY.link };
  return host.cni === undefined ? route : { ...route, source: host.cni.address };
}

/**
 * On the gateway a table that refuses remote CIDRs no cable carries, so that nothing leaves in clear; elsewhere routes
 * to the gateway through the overlay, or refusal while none is known.
 */
export function desiredRoutes(inputs: Inputs): {
  readonly routes: readonly RouteState[];
  readonly rules: readonly RuleState[];
} {
  if (inputs.gateway.role !== 'gateway') {
    return { routes: inputs.remoteCidrs.map((destination) => routeVia(inputs, destination)), rules: [] };
  }
  return {
    routes: inputs.remoteCidrs.map((destination) => ({ destination, table: GATEWAY_TABLE, type: 'unreachable' })),
    rules: [CABLES_RULE, { priority: GATEWAY_PRIORITY, table: GATEWAY_TABLE }],
  };
}
