import { lookupRoute, type Routed } from '../../../net/lookup.ts';
import { ENGINE_OWNERSHIP, OVERLAY } from '../../../net/ownership.ts';
import type { RouteState } from '../../../net/state.ts';
import { overlayAddress } from '../../../net/vtep.ts';
import { gatewayNode, networkOf, nodeAddress, restartAgents, type Leg } from '../leg.ts';
import { bad, good, type ClusterEvidence, type Finding } from '../model.ts';

/** A route in the words of iproute2. */
export function describeRoute({ destination, via, link, table, type, source }: RouteState): string {
  const words = [
    type === undefined || type === 'unicast' ? '' : type,
    destination === '0.0.0.0/0' ? 'default' : destination,
    via === undefined ? '' : `via ${via}`,
    link === undefined ? '' : `dev ${link}`,
    source === undefined ? '' : `src ${source}`,
    table === 254 ? 'table main' : `table ${table}`,
  ];
  return words.filter((word) => word !== '').join(' ');
}

/** The command that removes a route. */
function removal({ destination, via, link, table }: RouteState): string {
  const words = [via === undefined ? '' : `via ${via}`, link === undefined ? '' : `dev ${link}`, `table ${table}`];
  return `ip route del ${destination} ${words.filter((word) => word !== '').join(' ')}`;
}

/** Whether the route agent of a node answers; without it nobody keeps the node's routes right. */
export function agentFinding(evidence: ClusterEvidence, node: string): Finding {
  const answer = evidence.routeAgents.get(node);
  const mend = `subctl diagnose deployment tells why; ${restartAgents(evidence)} starts it anew`;
  if (answer?.state === undefined) {
    const cause = `the route agent of node ${node} does not answer: ${answer?.problem ?? 'it was not asked'}`;
    // As long as the kernel can be read, it says more.
    const status = networkOf(evidence, node) === undefined ? 'broken' : 'warning';
    return bad(status, 'does not answer', cause, mend);
  }
  const { problems, pending } = answer.state;
  if (problems.length > 0)
    return bad('warning', `answers, role ${answer.state.inputs.role}`, problems.join('; '), mend);
  if (pending !== null && pending.length > 0) {
    return bad('warning', 'is not done', `the node is not as wanted: ${pending.join('; ')}`, mend);
  }
  return good(`answers, role ${answer.state.inputs.role ?? 'not known yet'}`);
}

/** What the node of the sender does with a packet for the other cluster. */
export function routeAtSender(leg: Leg): Routed | undefined {
  const { from, to, a } = leg;
  const network = networkOf(a, from.node ?? '');
  if (network === undefined) return undefined;
  const cni = a.routeAgents.get(from.node ?? '')?.state?.inputs.host?.cni?.link;
  const incoming = from.kind === 'node' || cni === undefined ? {} : { incomingLink: cni };
  return lookupRoute(network, { destination: to.address, source: from.address, ...incoming });
}

function elsewhere(leg: Leg, route: RouteState, expected: string): Finding {
  const { from, to } = leg;
  const detail = describeRoute(route);
  if (route.destination === '0.0.0.0/0') {
    return bad(
      'broken',
      detail,
      `node ${from.node} has no route to ${leg.b.clusterId}: packets for ${to.address} leave by the default route, not by ${expected}`,
      `${restartAgents(leg.a)} makes the route agent write its routes again`,
    );
  }
  return bad(
    'broken',
    detail,
    `a route of somebody else takes packets for ${to.address} away: ${detail} instead of ${expected}`,
    `On node ${from.node}: ${removal(route)}`,
  );
}

function refused(leg: Leg, route: RouteState): Finding {
  const { from, to, a, b } = leg;
  const isGateway = gatewayNode(a) === from.node;
  const why = isGateway
    ? `no cable of this gateway leads to ${b.clusterId}`
    : 'the route agent knows no gateway of its cluster';
  return bad(
    'broken',
    describeRoute(route),
    `node ${from.node} refuses packets for ${to.address}: ${why}`,
    isGateway ? 'subctl show connections tells why there is none' : 'subctl diagnose gateway tells why',
  );
}

function isCable({ link, table }: RouteState): boolean {
  return ENGINE_OWNERSHIP.links.includes(link ?? '') || ENGINE_OWNERSHIP.tables.includes(table);
}

/** The route of the sender's node: into the overlay, or on the gateway into the cable. */
export function routeFinding(leg: Leg): Finding {
  const { from, to, a } = leg;
  const routed = routeAtSender(leg);
  const gateway = gatewayNode(a);
  const restart = `${restartAgents(a)} makes the route agent write its routes again`;
  if (routed === undefined) return bad('unknown', '', `the routes of node ${from.node} could not be read`, restart);
  if (routed.kind === 'local') {
    const cause = `${to.address} is an address of node ${from.node} itself (${routed.link})`;
    return bad('broken', `local, ${routed.link}`, cause, 'Give the clusters CIDRs that do not overlap');
  }
  if (routed.kind === 'none') return bad('broken', 'none', `node ${from.node} has no route to ${to.address}`, restart);
  const { route } = routed;
  if (route.type !== undefined && route.type !== 'unicast') return refused(leg, route);
  // A gateway that is not active sends its own packets to the other gateways through its own cables, too.
  const hasCables = gateway === from.node || a.gateways.some(({ metadata }) => metadata.name === from.node);
  if (hasCables && isCable(route)) return good(describeRoute(route));
  if (gateway === from.node) return elsewhere(leg, route, 'a cable (table 100)');
  return overlayRoute(leg, route, gateway);
}

function overlayRoute(leg: Leg, route: RouteState, gateway: string | undefined): Finding {
  const { a, from } = leg;
  if (route.link !== OVERLAY.link) return elsewhere(leg, route, OVERLAY.link);
  const address = gateway === undefined ? undefined : nodeAddress(a, gateway);
  const wanted = address === undefined ? undefined : overlayAddress(address);
  if (wanted === undefined || route.via === wanted) return good(describeRoute(route));
  return bad(
    'broken',
    describeRoute(route),
    `node ${from.node} sends to ${route.via}, but the active gateway ${gateway} is ${wanted}`,
    `${restartAgents(a)} makes the route agent look again`,
  );
}
