import { canonicalCidr, cidrContains, ipFamily } from '../../net/cidr.ts';
import { CABLE_TABLE, OVERLAY } from '../../net/ownership.ts';
import type { NetworkState, RouteState, RuleState } from '../../net/state.ts';
import type { Cable, CableLookup, DesiredCables } from './driver.ts';

/** Priority of the rule that looks up the table of cables; upstream's VXLAN driver uses the same. */
const CABLE_PRIORITY = 100;

/**
 * Before it: where each remote gateway is reached through its own cable, whichever carries the CIDR it is in. For what the
 * node itself sends (and, in the kernel's source check, what it takes): a pod's answer by another way than the request
 * came would not find the translation of the Service's address.
 */
const PROBE_TABLE = 101;
const PROBE_RULE: RuleState = { priority: 99, table: PROBE_TABLE, incomingLink: 'lo' };

/** Which packets look up the table of cables. */
const CABLE_RULES: Readonly<Record<CableLookup, RuleState>> = {
  all: { priority: CABLE_PRIORITY, table: CABLE_TABLE },
  transit: { priority: CABLE_PRIORITY, table: CABLE_TABLE, incomingLink: OVERLAY.link },
};

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

/**
 * The routes to the remote CIDRs through the cables that carry, to the remote gateways through every cable, and the rules
 * that look them up; `exitOf` says how a cable is entered, undefined = not at all. The address of a gateway that is in
 * none of its cluster's CIDRs is not believed.
 */
export function desiredCableRouting(
  desired: DesiredCables,
  exitOf: (cable: Cable) => Exit | undefined,
): Pick<NetworkState, 'routes' | 'rules'> {
  const source = desired.cniAddress === undefined ? {} : { source: desired.cniAddress };
  const routes = new Map<string, RouteState>();
  for (const cable of desired.cables) {
    const exit = exitOf(cable);
    if (exit === undefined) continue;
    const add = (destination: string, table: number): void => {
      const key = `${table} ${destination}`;
      if (!routes.has(key)) routes.set(key, { destination, table, ...exit, ...source });
    };
    if (cable.carries) for (const destination of ipv4Cidrs(cable.remoteSubnets)) add(destination, CABLE_TABLE);
    const probed = probeRoute(cable);
    if (probed !== undefined) add(probed, PROBE_TABLE);
  }
  const sorted = [...routes.values()].toSorted((a, b) => a.table - b.table);
  const leads = (table: number): boolean => sorted.some((route) => route.table === table);
  return {
    routes: sorted,
    rules: [...(leads(PROBE_TABLE) ? [PROBE_RULE] : []), ...(leads(CABLE_TABLE) ? [CABLE_RULES[desired.lookup]] : [])],
  };
}

/** The destination of the route to the gateway at the other end, undefined when there is no such route. */
export function probeRoute({ probeIp, remoteSubnets }: Cable): string | undefined {
  if (probeIp === undefined || ipFamily(probeIp) !== 4) return undefined;
  return remoteSubnets.some((cidr) => cidrContains(cidr, probeIp)) ? `${probeIp}/32` : undefined;
}

/** The destinations a cable is to be entered for that have no route among those observed. */
export function missingRoutes(cable: Cable, observed: readonly RouteState[]): readonly string[] {
  const has = (destination: string, table: number): boolean =>
    observed.some((route) => route.table === table && route.destination === destination);
  const carried = cable.carries ? ipv4Cidrs(cable.remoteSubnets) : [];
  const probed = probeRoute(cable);
  return [
    ...carried.filter((destination) => !has(destination, CABLE_TABLE)),
    ...(probed === undefined || has(probed, PROBE_TABLE) ? [] : [probed]),
  ];
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
