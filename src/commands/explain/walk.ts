import { ENGINE_OWNERSHIP } from '../../net/ownership.ts';
import { lookupRoute } from '../../net/lookup.ts';
import { cableFinding, remoteEndFinding } from './hops/cable.ts';
import { arrivalFinding, deliveryFinding } from './hops/delivery.ts';
import { engineFinding, forwardFinding, noGateway } from './hops/gateway.ts';
import { natFinding } from './hops/nat.ts';
import { overlayFinding } from './hops/overlay.ts';
import { agentFinding, routeFinding } from './hops/route.ts';
import { backendsOf, serviceFinding, serviceOf, type Backend } from './hops/service.ts';
import { addressFinding, podFinding } from './hops/start.ts';
import { gatewayNode, networkOf, type Leg } from './leg.ts';
import type { ClusterEvidence, End, Finding, Hop, HopKind } from './model.ts';

/** What is asked: the way of a packet between two clusters, and back. */
export interface Journey {
  readonly from: End;
  readonly to: End;
  readonly a: ClusterEvidence;
  readonly b: ClusterEvidence;
}

type AddHop = (what: HopKind, node: string, finding: Finding | undefined) => void;

function collector(leg: Leg, hops: Hop[]): (side: 'a' | 'b') => AddHop {
  return (side) => (what, node, finding) => {
    if (finding === undefined) return;
    hops.push({ way: leg.way, cluster: leg[side].clusterId, node, what, ...finding });
  };
}

/** Whether the packet is forwarded for a pod, rather than sent by the node itself. */
function isForwarded({ kind, node, address }: End, evidence: ClusterEvidence): boolean {
  if (kind === 'node') return false;
  const own = networkOf(evidence, node ?? '')?.links.flatMap(({ addresses }) =>
    addresses.map((text) => text.split('/')[0]),
  );
  return own?.includes(address) !== true;
}

/** From where the packet starts to the gateway of its cluster. */
function leave(leg: Leg, add: AddHop): string | undefined {
  const { from, to, a } = leg;
  const node = from.node ?? '';
  const gateway = gatewayNode(a);
  add('route agent', node, agentFinding(a, node));
  add('route', node, routeFinding(leg));
  if (isForwarded(from, a)) {
    add('source', node, natFinding(a, node, { source: from.address, destination: to.address }, 'out'));
  }
  if (gateway === undefined) {
    add('gateway', '', noGateway(a));
    return undefined;
  }
  if (gateway !== node) add('overlay', node, overlayFinding(a, node, gateway));
  add('gateway', gateway, engineFinding(a, gateway));
  if (gateway !== node) add('route', gateway, forwardFinding(leg, gateway));
  add('cable', gateway, cableFinding(leg, gateway));
  return gateway;
}

/** The link by which packets of the other cluster come in at a gateway. */
function cableLink({ b, from }: Leg, gateway: string): string {
  const network = networkOf(b, gateway);
  const routed = network === undefined ? undefined : lookupRoute(network, { destination: from.address });
  const link = routed?.kind === 'route' ? routed.route.link : undefined;
  return link ?? ENGINE_OWNERSHIP.links[0] ?? '';
}

/** From the cable to where the packet is for. */
function arrive(leg: Leg, add: AddHop, service: (() => Finding) | undefined): void {
  const { from, to, b } = leg;
  const gateway = gatewayNode(b);
  if (gateway === undefined) {
    add('gateway', '', noGateway(b));
    return;
  }
  add('gateway', gateway, engineFinding(b, gateway));
  add('cable', gateway, remoteEndFinding(leg));
  add('service', gateway, service?.());
  if (isForwarded(to, b)) {
    add('source', gateway, natFinding(b, gateway, { source: from.address, destination: to.address }, 'in'));
  }
  add('delivery', gateway, deliveryFinding(leg, gateway, cableLink(leg, gateway)));
  if (to.node !== undefined && to.node !== gateway) add('delivery', to.node, arrivalFinding(leg, to.node));
  add('pod', to.node ?? '', podFinding(b, to));
}

/** Where a packet for a Service ends: its first ready pod, on the gateway's node if there is one. */
export function backendEnd(
  evidence: ClusterEvidence,
  end: End,
): { readonly end: End; readonly backend: Backend | undefined } {
  const service = serviceOf(evidence, end);
  if (service === undefined) return { end, backend: undefined };
  const all = backendsOf(evidence, service);
  const gateway = gatewayNode(evidence);
  const backend = all.find(({ node }) => node !== gateway) ?? all[0];
  if (backend === undefined) return { end, backend };
  const name = backend.pod === undefined ? backend.address : `pod ${backend.pod}`;
  const kind = backend.pod === undefined ? 'address' : 'pod';
  return { end: { cluster: end.cluster, kind, name, address: backend.address, node: backend.node }, backend };
}

/**
 * The way of a packet, hop by hop, there and back, as far as the evidence tells. Pure: the same evidence gives the same
 * hops. To a Service the way is that to one of its pods, but up to its gateway the packet carries the Service's address.
 */
export function walk({ from, to, a, b }: Journey): readonly Hop[] {
  const hops: Hop[] = [];
  const { end: receiver, backend } = backendEnd(b, to);
  const outbound: Leg = { way: 'there', from, to, a, b };
  const add = collector(outbound, hops);
  add('a')('pod', from.node ?? '', podFinding(a, from));
  add('a')('address', from.node ?? '', addressFinding(outbound));
  leave(outbound, add('a'));
  const service = serviceOf(b, to);
  const translation = service === undefined ? undefined : () => serviceFinding(b, to, service, backend);
  arrive({ ...outbound, to: receiver }, add('b'), translation);
  if (receiver.kind === 'service') return hops;
  const inbound: Leg = { way: 'back', from: receiver, to: from, a: b, b: a };
  const addBack = collector(inbound, hops);
  if (leave(inbound, addBack('a')) !== undefined) arrive(inbound, addBack('b'), undefined);
  return hops;
}

const SEVERITY: readonly Hop['status'][] = ['broken', 'silent', 'unknown'];

/**
 * The hop that breaks the way: the first at which something wrong was read, else the first that gets no answer, else the
 * first that could not be read; undefined when the way is whole.
 */
export function culprit(hops: readonly Hop[]): Hop | undefined {
  return SEVERITY.map((status) => hops.find((hop) => hop.status === status)).find((hop) => hop !== undefined);
}
