import { canonicalCidr, cidrContains, ipFamily } from '../../net/cidr.ts';
import type { RouteState, RuleState } from '../../net/state.ts';
import type { Cable, DesiredCables } from './driver.ts';

/** The route table of cables and the priority of the rule that looks it up; upstream's VXLAN driver uses the same. */
const CABLE_TABLE = 100;

/** The rule that sends everything through the table of cables first. */
export const CABLE_RULE: RuleState = { priority: CABLE_TABLE, table: CABLE_TABLE };

/** IPv4 prefixes in canonical form, each once, in the given order; junk and IPv6 are left out. */
export function ipv4Cidrs(cidrs: readonly string[]): readonly string[] {
  const canonical = cidrs.filter((cidr) => ipFamily(cidr) === 4).map(canonicalCidr);
  return [...new Set(canonical.filter((cidr) => cidr !== undefined))];
}

/** How the packets of one cable leave the node. */
export interface Exit {
  readonly link: string;
  readonly via?: string;
  readonly metric?: number;
}

/** Routes of table 100 to the remote CIDRs of the cables; `exitOf` says how, undefined = not at all. */
export function desiredCableRoutes(
  desired: DesiredCables,
  exitOf: (cable: Cable) => Exit | undefined,
): readonly RouteState[] {
  const source = desired.cniAddress === undefined ? {} : { source: desired.cniAddress };
  const routes = new Map<string, RouteState>();
  for (const cable of desired.cables) {
    const exit = exitOf(cable);
    if (exit === undefined) continue;
    for (const destination of ipv4Cidrs(cable.remoteSubnets)) {
      if (!routes.has(destination)) routes.set(destination, { destination, table: CABLE_TABLE, ...exit, ...source });
    }
  }
  return [...routes.values()];
}

/** Why an encrypted cable cannot be made, undefined when it can: its own packets would be routed into itself. */
export function selfRoutingProblem(cable: Cable): string | undefined {
  const inside = cable.remoteSubnets.find((cidr) => cidrContains(cidr, cable.usingIp));
  if (inside === undefined) return undefined;
  return (
    `the CIDR ${inside} of cluster ${cable.remoteClusterId} contains the address of its gateway, ${cable.usingIp}, ` +
    'so tunnel packets would be sent into the tunnel'
  );
}
