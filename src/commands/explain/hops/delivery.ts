import { cidrContains } from '../../../net/cidr.ts';
import { lookupRoute } from '../../../net/lookup.ts';
import { OVERLAY } from '../../../net/ownership.ts';
import type { RouteState } from '../../../net/state.ts';
import { describeEcho, echoOf, networkOf, restartAgents, type Leg } from '../leg.ts';
import { bad, good, type ClusterEvidence, type Finding } from '../model.ts';
import { filterProblem, forwardingProblem } from './overlay.ts';
import { describeRoute } from './route.ts';

const CNI = 'That is the work of the CNI: look at its pods on this node';

function isTooWide(evidence: ClusterEvidence, { destination }: RouteState): boolean {
  return !evidence.podCidrs.some((cidr) => cidrContains(cidr, destination.split('/')[0] ?? ''));
}

/** What a node of the receiver's cluster does with a packet that came in by `incomingLink`. */
function routeAt(evidence: ClusterEvidence, node: string, leg: Leg, incomingLink: string): Finding {
  const { to, from } = leg;
  const network = networkOf(evidence, node);
  if (network === undefined) {
    return bad('unknown', '', `the routes of node ${node} could not be read`, restartAgents(evidence));
  }
  const problem = forwardingProblem(evidence, node) ?? filterProblem(evidence, node, incomingLink);
  if (problem !== undefined) return bad('broken', '', problem, restartAgents(evidence));
  const routed = lookupRoute(network, { destination: to.address, source: from.address, incomingLink });
  if (routed.kind === 'local') return good(`${to.address} is its own (${routed.link})`);
  if (routed.kind === 'none') return bad('broken', 'none', `node ${node} has no route to ${to.address}`, CNI);
  const { route } = routed;
  const detail = describeRoute(route);
  if (route.type !== undefined && route.type !== 'unicast') {
    return bad('broken', detail, `node ${node} refuses packets for ${to.address}`, CNI);
  }
  if (isTooWide(evidence, route)) {
    return bad(
      'broken',
      detail,
      `node ${node} has no route to the pod ${to.address}: the packet leaves by ${detail}`,
      CNI,
    );
  }
  return good(detail);
}

/** From the gateway of the receiver's cluster to the receiver: its own route, and an echo. */
export function deliveryFinding(leg: Leg, gateway: string, cableLink: string): Finding {
  const { b, to } = leg;
  const finding = routeAt(b, gateway, leg, cableLink);
  if (finding.status !== 'ok') return finding;
  const echo = echoOf(b, gateway, to.address);
  const detail = `${finding.detail}${describeEcho(echo)}`;
  if (echo === undefined || echo.received > 0) return good(detail);
  return bad(
    'silent',
    detail,
    `${to.name} (${to.address}) does not answer its own gateway node ${gateway}: ${echo.failure}`,
    `Inside ${b.clusterId} only: look at the CNI, at NetworkPolicies, and whether ${to.name} answers echo requests at all`,
  );
}

/** On the node of the receiver, when that is not the gateway. */
export function arrivalFinding(leg: Leg, node: string): Finding {
  const { b } = leg;
  const underlay = b.routeAgents.get(node)?.state?.inputs.host?.underlay.link ?? OVERLAY.link;
  return routeAt(b, node, leg, underlay);
}
