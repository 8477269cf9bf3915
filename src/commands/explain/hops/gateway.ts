import type { EngineDaemonState } from '../../../api/daemonstate.ts';
import { lookupRoute } from '../../../net/lookup.ts';
import { ENGINE_OWNERSHIP, OVERLAY } from '../../../net/ownership.ts';
import { gatewayNode, kubectl, networkOf, restartAgents, type Leg } from '../leg.ts';
import { bad, good, type ClusterEvidence, type Finding } from '../model.ts';
import { forwardingProblem } from './overlay.ts';
import { describeRoute } from './route.ts';

function logs(evidence: ClusterEvidence): string {
  return `${kubectl(evidence)} logs daemonset/submariner-gateway tells more`;
}

/** Whether the engine of a gateway works and knows itself to be the active one. */
export function engineFinding(evidence: ClusterEvidence, node: string): Finding {
  const answer = evidence.engines.get(node);
  if (answer?.state === undefined) {
    const problem = answer?.problem ?? 'it was not asked';
    return bad(
      'broken',
      'does not answer',
      `the gateway engine of node ${node} does not answer: ${problem}`,
      `subctl diagnose gateway tells why; ${logs(evidence)}`,
    );
  }
  const { inputs, problems } = answer.state;
  if (inputs.role !== 'active') {
    return bad(
      'broken',
      inputs.role,
      `${evidence.clusterId} announces node ${node} as its gateway, but its engine says that it is ${inputs.role} (lease held by ${inputs.leaseHolder ?? 'nobody'})`,
      `subctl diagnose gateway tells who is active; ${logs(evidence)}`,
    );
  }
  if (problems.length > 0) {
    const status = lacksCables(answer.state) ? 'broken' : 'warning';
    const cause = `the gateway engine of node ${node} reports: ${problems.join('; ')}`;
    return bad(status, 'active', cause, logs(evidence));
  }
  return good(`active, ${inputs.implementation ?? inputs.cableDriver}`);
}

/** Whether the driver has nothing of a cable that it ought to have: what the engine reports is then the reason. */
function lacksCables({ desired, observed }: EngineDaemonState): boolean {
  const seen = new Set(observed.cables.map(({ name }) => name));
  return desired.cables.some(({ name }) => !seen.has(name));
}

/** No cluster can be left without a gateway. */
export function noGateway(evidence: ClusterEvidence): Finding {
  return bad('broken', 'none', `no gateway of ${evidence.clusterId} is known`, 'subctl diagnose gateway tells why');
}

/** What the gateway of the sender's cluster does with the packet: into the cable of the other cluster. */
export function forwardFinding(leg: Leg, gateway: string): Finding {
  const { a, b, from, to } = leg;
  const network = networkOf(a, gateway);
  if (network === undefined) {
    return bad(
      'unknown',
      '',
      `the routes of gateway ${gateway} could not be read`,
      `${restartAgents(a)} starts its route agent anew`,
    );
  }
  const forwarding = forwardingProblem(a, gateway);
  if (forwarding !== undefined) return bad('broken', 'no forwarding', forwarding, restartAgents(a));
  const routed = lookupRoute(network, { destination: to.address, source: from.address, incomingLink: OVERLAY.link });
  const mend = `subctl show connections tells what the gateway makes of ${b.clusterId}; ${logs(a)}`;
  if (routed.kind !== 'route') {
    return bad('broken', routed.kind, `gateway ${gateway} has no route to ${to.address}`, mend);
  }
  const { route } = routed;
  if (route.type !== undefined && route.type !== 'unicast') {
    const cause = `no cable of gateway ${gateway} leads to ${b.clusterId}, so it refuses packets for ${to.address}${whyNoCable(leg, gateway)}`;
    return bad('broken', describeRoute(route), cause, mend);
  }
  if (!ENGINE_OWNERSHIP.tables.includes(route.table)) {
    const cause = `gateway ${gateway} sends packets for ${to.address} by ${describeRoute(route)} instead of a cable (table 100)`;
    return bad('broken', describeRoute(route), cause, mend);
  }
  return good(describeRoute(route));
}

/** What the engine says of the other cluster when it has no cable to it. */
export function whyNoCable({ a, b }: Leg, gateway: string): string {
  const state = a.engines.get(gateway)?.state;
  if (state === undefined) return '';
  const remotes = state.inputs.remotes.filter(({ spec }) => spec.cluster_id === b.clusterId);
  if (remotes.length === 0) return `: it knows no Endpoint of ${b.clusterId}`;
  const refusal = remotes.find((remote) => remote.refusal !== null)?.refusal;
  if (refusal !== undefined && refusal !== null) return `: ${refusal}`;
  return remotes.every(({ decision }) => decision === null) ? ': NAT discovery has not decided how to reach it' : '';
}

/** The active gateway of the sender's cluster. */
export function senderGateway({ a }: Leg): string | undefined {
  return gatewayNode(a);
}
