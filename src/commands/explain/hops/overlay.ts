import { OVERLAY } from '../../../net/ownership.ts';
import { overlayAddress } from '../../../net/vtep.ts';
import { describeEcho, echoOf, networkOf, nodeAddress, restartAgents, rowOf } from '../leg.ts';
import { bad, good, type ClusterEvidence, type Finding } from '../model.ts';

function linkProblem(evidence: ClusterEvidence, node: string): string | undefined {
  const network = networkOf(evidence, node);
  const link = network?.links.find(({ name }) => name === OVERLAY.link);
  if (network !== undefined && link === undefined) return `node ${node} has no link ${OVERLAY.link}`;
  return link?.up === false ? `link ${OVERLAY.link} of node ${node} is down` : undefined;
}

function vxlanProblem(evidence: ClusterEvidence, node: string, peer: string): string | undefined {
  const row = rowOf(evidence, node);
  const vxlan = row?.links.find(({ name }) => name === OVERLAY.link)?.vxlan;
  const { vni, udpPort } = vxlan ?? OVERLAY;
  if (udpPort !== OVERLAY.udpPort || vni !== OVERLAY.vni) {
    return `link ${OVERLAY.link} of node ${node} has VNI ${vni} and port ${udpPort} instead of ${OVERLAY.vni} and ${OVERLAY.udpPort}`;
  }
  const isKnown = row?.neighbours.some(({ remote }) => remote === peer);
  return isKnown === false ? `node ${node} has no FDB entry of ${OVERLAY.link} for ${peer}` : undefined;
}

function firewallProblem(evidence: ClusterEvidence, node: string, peer: string): string | undefined {
  const ruleset = rowOf(evidence, node)?.ruleset;
  const nodes = ruleset?.sets.find(({ name }) => name === 'nodes')?.elements;
  if (nodes === undefined || nodes.includes(peer)) return undefined;
  return `the firewall of node ${node} takes overlay packets from ${nodes.join(', ')} only, not from ${peer}`;
}

function sysctl(evidence: ClusterEvidence, node: string, key: string): string | undefined {
  return networkOf(evidence, node)?.sysctls.find((one) => one.key === key)?.value;
}

/** Whether a node drops packets that come in by a link because it would answer by another one. */
export function filterProblem(evidence: ClusterEvidence, node: string, link: string): string | undefined {
  const own = sysctl(evidence, node, `net.ipv4.conf.${link.replaceAll('.', '/')}.rp_filter`);
  const all = sysctl(evidence, node, 'net.ipv4.conf.all.rp_filter');
  const effective = Math.max(Number(own ?? 0), Number(all ?? 0));
  return effective === 1
    ? `node ${node} checks sources strictly on ${link} (rp_filter 1) and drops what comes in by it`
    : undefined;
}

/** Whether a node passes packets on at all. */
export function forwardingProblem(evidence: ClusterEvidence, node: string): string | undefined {
  return sysctl(evidence, node, 'net.ipv4.ip_forward') === '0'
    ? `node ${node} does not forward packets (net.ipv4.ip_forward is 0)`
    : undefined;
}

function problemBetween(
  evidence: ClusterEvidence,
  from: { readonly node: string; readonly address: string },
  to: { readonly node: string; readonly address: string },
): string | undefined {
  return (
    linkProblem(evidence, from.node) ??
    linkProblem(evidence, to.node) ??
    vxlanProblem(evidence, from.node, to.address) ??
    vxlanProblem(evidence, to.node, from.address) ??
    firewallProblem(evidence, to.node, from.address) ??
    filterProblem(evidence, to.node, OVERLAY.link) ??
    forwardingProblem(evidence, to.node)
  );
}

/** The way between two nodes of a cluster, through the overlay. */
export function overlayFinding(evidence: ClusterEvidence, fromNode: string, toNode: string): Finding {
  const [from, to] = [nodeAddress(evidence, fromNode), nodeAddress(evidence, toNode)];
  const restart = `${restartAgents(evidence)} makes the route agents set it up again`;
  if (from === undefined || to === undefined) {
    const unknown = from === undefined ? fromNode : toNode;
    return bad('unknown', '', `the address of node ${unknown} on the network of the nodes is not known`, restart);
  }
  const problem = problemBetween(evidence, { node: fromNode, address: from }, { node: toNode, address: to });
  const echo = echoOf(evidence, fromNode, overlayAddress(to));
  const detail = `VXLAN ${from} -> ${to}:${OVERLAY.udpPort}${describeEcho(echo)}`;
  if (problem !== undefined) return bad('broken', detail, problem, restart);
  if (echo?.received !== 0) return good(detail);
  return bad(
    'silent',
    detail,
    `both ends stand, but UDP port ${OVERLAY.udpPort} between ${from} and ${to} does not get through, in at least one direction`,
    `Open UDP port ${OVERLAY.udpPort} between the nodes of ${evidence.clusterId}; subctl diagnose firewall tells in which direction packets are lost`,
  );
}
