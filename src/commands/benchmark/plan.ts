import { ExpectedError } from '../../runtime/errors.ts';
import { testNodes, type Peer, type PeerNode } from '../peers/peer.ts';
import type { RunEnd, Way } from './figures.ts';

function end({ clusterId }: Peer, { name, gateway }: PeerNode): RunEnd {
  return { cluster: clusterId, node: name, gateway };
}

function requireGateway(peer: Peer): PeerNode {
  const { gateway } = testNodes(peer);
  if (gateway !== undefined) return gateway;
  throw new ExpectedError(`cluster ${peer.clusterId} has no gateway node that is ready`, {
    hint: `Look at: subctl show gateways --context ${peer.name}`,
  });
}

/** Between two clusters: their gateway nodes, pods on them, and pods on nodes that are no gateways, where there are any. */
export function waysBetween(a: Peer, b: Peer): readonly Way[] {
  const [from, to] = [end(a, requireGateway(a)), end(b, requireGateway(b))];
  const others = [testNodes(a).other, testNodes(b).other] as const;
  return [
    { network: 'host', from, to },
    { network: 'pods', from, to },
    ...(others[0] === undefined || others[1] === undefined
      ? []
      : [{ network: 'pods' as const, from: end(a, others[0]), to: end(b, others[1]) }]),
  ];
}

/** Within a cluster: from a node that is no gateway to the gateway's, and the same between pods on them. */
export function waysWithin(peer: Peer): readonly Way[] {
  const { other } = testNodes(peer);
  if (other === undefined) {
    throw new ExpectedError(`cluster ${peer.clusterId} has no ready node beside its gateways to measure from`, {
      hint: 'Measure between two clusters: --tocontext NAME.',
    });
  }
  const [from, to] = [end(peer, other), end(peer, requireGateway(peer))];
  return [
    { network: 'host', from, to },
    { network: 'pods', from, to },
  ];
}
