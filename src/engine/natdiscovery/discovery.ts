import { RESPONSE, type EndpointDetails, type IpPort, type NatRequest, type NatResponse } from './messages.ts';

/** What matters of a remote Endpoint for reaching it; a change of any of it starts discovery anew. */
export interface Peer {
  readonly cableName: string;
  readonly clusterId: string;
  readonly privateIp: string;
  readonly publicIp: string;
  /** nat_enabled of the remote Endpoint: what to believe when it does not answer. */
  readonly natEnabled: boolean;
  readonly usingLoadBalancer: boolean;
  /** Its natt-discovery-port; undefined when it does not take part in discovery. */
  readonly port: number | undefined;
}

/** How a remote gateway is reached. */
export interface Decision {
  readonly usingIp: string;
  readonly usingNat: boolean;
  /** private, public: it answered there. remembered: answered a former process. fallback: no answer, a guess. */
  readonly origin: 'private' | 'public' | 'remembered' | 'fallback';
}

type Target = 'private' | 'public';

interface Sent {
  readonly target: Target;
  readonly requestNumber: bigint;
}

/** Discovery of one peer, as data. */
export interface Discovery {
  readonly peer: Peer;
  readonly startedMs: number;
  readonly lastSentMs: number | undefined;
  /** Requests that may still be answered, newest last. */
  readonly outstanding: readonly Sent[];
  /** A public answer that waits a moment for the private one. */
  readonly publicAnswer: { readonly usingNat: boolean; readonly atMs: number } | undefined;
  readonly decision: Decision | undefined;
}

/** Who asks: the local Endpoint and the port of its discovery socket. */
export interface Asker {
  readonly self: EndpointDetails;
  readonly port: number;
}

/** A request to be sent; using_src.ip is filled in by the sender, who knows the route. */
export interface Outgoing {
  readonly to: IpPort;
  readonly request: NatRequest;
}

/** Without an answer for so long, a guess is made (upstream waits 60 s). */
export const DEADLINE_MS = 3000;
/** How long a public answer waits for a private one. */
export const PRIVATE_GRACE_MS = 500;
const RESEND_MS = 500;
/** After the deadline a better answer is still sought, at this pace. */
const LATE_RESEND_MS = 10_000;
const MAX_OUTSTANDING = 12;

/** A fresh discovery; `remembered` is what a former process found for the same peer, in use until there is an answer. */
export function startDiscovery(peer: Peer, nowMs: number, remembered?: Decision): Discovery {
  const usable = remembered !== undefined && [peer.privateIp, peer.publicIp].includes(remembered.usingIp);
  const decision: Decision | undefined = usable ? { ...remembered, origin: 'remembered' } : undefined;
  const start = { peer, startedMs: nowMs, lastSentMs: undefined, outstanding: [], publicAnswer: undefined };
  return { ...start, decision: decision ?? (peer.port === undefined ? guess(peer) : undefined) };
}

/** Whether two descriptions of a peer lead to the same discovery. */
export function samePeer(a: Peer, b: Peer): boolean {
  return (
    a.cableName === b.cableName &&
    a.clusterId === b.clusterId &&
    a.privateIp === b.privateIp &&
    a.publicIp === b.publicIp &&
    a.natEnabled === b.natEnabled &&
    a.usingLoadBalancer === b.usingLoadBalancer &&
    a.port === b.port
  );
}

/** Upstream's rule for a peer that does not answer; the public address only if there is one. */
function guess(peer: Peer): Decision {
  const usePublic = (peer.usingLoadBalancer || peer.natEnabled) && peer.publicIp !== '';
  const usingIp = usePublic || peer.privateIp === '' ? peer.publicIp : peer.privateIp;
  return { usingIp, usingNat: usePublic, origin: 'fallback' };
}

/**
 * The discovery after its decision turned out to carry nothing: all addresses are asked again, and until one answers the
 * old decision stays in use.
 */
export function doubtDiscovery(discovery: Discovery, nowMs: number): Discovery {
  if (!isAnswered(discovery)) return discovery;
  return startDiscovery(discovery.peer, nowMs, discovery.decision);
}

function isAnswered(discovery: Discovery): boolean {
  return discovery.decision?.origin === 'private' || discovery.decision?.origin === 'public';
}

/** The time of the next `stepDiscovery`, on the same clock; undefined when only an answer can change anything. */
export function nextStepMs(discovery: Discovery): number | undefined {
  const { peer, startedMs, lastSentMs, publicAnswer, decision } = discovery;
  if (isAnswered(discovery) || peer.port === undefined) return undefined;
  if (publicAnswer !== undefined) return publicAnswer.atMs + PRIVATE_GRACE_MS;
  if (lastSentMs === undefined) return startedMs;
  const late = lastSentMs >= startedMs + DEADLINE_MS;
  const resendMs = lastSentMs + (late ? LATE_RESEND_MS : RESEND_MS);
  return decision === undefined ? Math.min(resendMs, startedMs + DEADLINE_MS) : resendMs;
}

/** What time brings: requests to send, a public answer accepted, or a guess when nothing was heard. */
export function stepDiscovery(
  discovery: Discovery,
  asker: Asker,
  nowMs: number,
  randomNumber: () => bigint,
): { readonly discovery: Discovery; readonly send: readonly Outgoing[] } {
  const dueMs = nextStepMs(discovery);
  if (dueMs === undefined || nowMs < dueMs) return { discovery, send: [] };
  const { peer, publicAnswer } = discovery;
  if (publicAnswer !== undefined) {
    const decision: Decision = { usingIp: peer.publicIp, usingNat: publicAnswer.usingNat, origin: 'public' };
    return { discovery: { ...discovery, decision, publicAnswer: undefined }, send: [] };
  }
  const expired = nowMs >= discovery.startedMs + DEADLINE_MS;
  const decision = discovery.decision ?? (expired ? guess(peer) : undefined);
  const targets = sendTargets(peer).map((target) => ({ target, requestNumber: randomNumber() }));
  const outstanding = [...discovery.outstanding, ...targets].slice(-MAX_OUTSTANDING);
  return {
    discovery: { ...discovery, decision, outstanding, lastSentMs: nowMs },
    send: targets.map((sent) => outgoing(sent, peer, asker)),
  };
}

function sendTargets(peer: Peer): readonly Target[] {
  const targets: Target[] = peer.privateIp === '' ? [] : ['private'];
  if (peer.publicIp !== '' && peer.publicIp !== peer.privateIp) targets.push('public');
  return targets;
}

function addressOf(peer: Peer, target: Target): string {
  return target === 'private' ? peer.privateIp : peer.publicIp;
}

function outgoing({ target, requestNumber }: Sent, peer: Peer, { self, port }: Asker): Outgoing {
  const to = { ip: addressOf(peer, target), port: peer.port ?? 0 };
  const receiver = { clusterId: peer.clusterId, endpointId: peer.cableName };
  return {
    to,
    request: { kind: 'request', requestNumber, sender: self, receiver, usingSrc: { ip: '', port }, usingDst: to },
  };
}

/**
 * What an answer brings. The protocol has no authentication, so that all is checked that can be: the answer must carry
 * a random 64-bit number we sent, name both Endpoints, and come from the address that was asked. Private beats
 * public, also when it comes late; anything else changes nothing.
 */
export function receiveResponse(
  discovery: Discovery,
  response: NatResponse,
  from: IpPort,
  self: EndpointDetails,
  nowMs: number,
): Discovery {
  const { peer } = discovery;
  const sent = discovery.outstanding.find(({ requestNumber }) => requestNumber === response.requestNumber);
  if (sent === undefined || !isAbout(response, peer, self) || from.ip !== addressOf(peer, sent.target))
    return discovery;
  if (response.response !== RESPONSE.ok && response.response !== RESPONSE.natDetected) return discovery;
  const usingNat = response.response === RESPONSE.natDetected;
  return sent.target === 'private'
    ? {
        ...discovery,
        decision: { usingIp: peer.privateIp, usingNat, origin: 'private' },
        publicAnswer: undefined,
        outstanding: [],
      }
    : receivePublic(discovery, usingNat, nowMs);
}

function receivePublic(discovery: Discovery, usingNat: boolean, nowMs: number): Discovery {
  const { peer, publicAnswer, startedMs } = discovery;
  if (publicAnswer !== undefined || isAnswered(discovery)) return discovery;
  if (peer.privateIp !== '' && nowMs < startedMs + DEADLINE_MS)
    return { ...discovery, publicAnswer: { usingNat, atMs: nowMs } };
  return { ...discovery, decision: { usingIp: peer.publicIp, usingNat, origin: 'public' } };
}

function isAbout(response: NatResponse, peer: Peer, self: EndpointDetails): boolean {
  const { sender, receiver } = response;
  return (
    sender?.clusterId === peer.clusterId &&
    sender.endpointId === peer.cableName &&
    receiver?.clusterId === self.clusterId &&
    receiver.endpointId === self.endpointId
  );
}
