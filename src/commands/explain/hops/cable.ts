import type { CableState, ChildSaState, EngineDaemonState, ObservedCableState } from '../../../api/daemonstate.ts';
import { cidrContains } from '../../../net/cidr.ts';
import { describeEcho, echoOf, endpointOf, gatewayNode, kubectl, type Leg } from '../leg.ts';
import { bad, good, type Finding } from '../model.ts';
import { whyNoCable } from './gateway.ts';

interface CableView {
  readonly state: EngineDaemonState;
  readonly cable: CableState;
  readonly seen: ObservedCableState | undefined;
}

/** The cable of a gateway that carries packets for the other cluster. */
function cableOf({ a, b }: Leg, gateway: string): CableView | undefined {
  const state = a.engines.get(gateway)?.state;
  const cables = state?.desired.cables.filter(({ remoteClusterId }) => remoteClusterId === b.clusterId) ?? [];
  const cable = cables.find(({ carries }) => carries) ?? cables[0];
  if (state === undefined || cable === undefined) return undefined;
  return { state, cable, seen: state.observed.cables.find(({ name }) => name === cable.name) };
}

function bytes(seen: { readonly rxBytes: number | null; readonly txBytes: number | null } | undefined): string {
  if (seen?.txBytes === null || seen?.txBytes === undefined) return '';
  return `, ${seen.txBytes} bytes sent, ${seen.rxBytes ?? 0} received`;
}

/** The pair of SAs of a packet, or the WireGuard peer; else the cable as a whole. */
function describeState(leg: Leg, { state, cable, seen }: CableView): string {
  const [sa] = sasOf(leg, { state, cable });
  if (sa !== undefined) return `, SA ${sa.localTs} - ${sa.remoteTs} ${sa.state} ${sa.cipher}${bytes(sa)}`;
  const peer = state.observed.peers.find(({ allowedIps }) =>
    allowedIps.some((cidr) => cidrContains(cidr, leg.to.address)),
  );
  if (peer === undefined) return bytes(seen);
  return `, peer ${peer.publicKey.slice(0, 8)}…, last handshake ${peer.latestHandshake ?? 'never'}${bytes(peer)}`;
}

function describeCable(leg: Leg, view: CableView): string {
  const { state, cable } = view;
  const from = `${cable.localPrivateIp}:${cable.localUdpPort}`;
  const to = `${cable.usingIp}:${cable.remoteUdpPort}${cable.usingNat ? ' (NAT)' : ''}`;
  return `${state.inputs.cableDriver} ${from} -> ${to}${describeState(leg, view)}`;
}

const CARRYING: ReadonlySet<string> = new Set(['INSTALLED', 'REKEYING', 'REKEYED', 'UPDATING']);

/** Pairs of SAs that a packet may go through, those that carry first. */
function sasOf({ from, to }: Leg, { state, cable }: Pick<CableView, 'state' | 'cable'>): readonly ChildSaState[] {
  const all = state.observed.ike.flatMap((sa) => sa.children);
  return all
    .filter(({ name }) => name.startsWith(`${cable.name}-`))
    .filter(({ localTs, remoteTs }) => cidrContains(localTs, from.address) && cidrContains(remoteTs, to.address))
    .toSorted((a, b) => Number(CARRYING.has(b.state)) - Number(CARRYING.has(a.state)));
}

function saProblem(leg: Leg, view: CableView): string | undefined {
  const [best] = sasOf(leg, view);
  if (best === undefined) return `no pair of SAs covers ${leg.from.address} and ${leg.to.address}`;
  if (CARRYING.has(best.state)) return undefined;
  return `the pair of SAs for ${best.localTs} and ${best.remoteTs} is ${best.state}`;
}

/** What is wrong with the pair of SAs, or the peer, that a packet needs. */
function selectorProblem(leg: Leg, view: CableView): string | undefined {
  const { inputs, observed } = view.state;
  if (inputs.cableDriver === 'libreswan') return saProblem(leg, view);
  if (inputs.cableDriver !== 'wireguard') return undefined;
  const { address } = leg.to;
  const isAllowed = observed.peers.some(({ allowedIps }) => allowedIps.some((cidr) => cidrContains(cidr, address)));
  return isAllowed ? undefined : `no WireGuard peer has ${address} among its allowed IPs`;
}

/**
 * Whether the cable leads to the gateway that the other cluster has now. A gateway that knows the newest Endpoint and yet
 * sends elsewhere goes by the beats it hears, as it does while another gateway takes over.
 */
function staleProblem({ a, b }: Leg, { cable }: CableView): string | undefined {
  const now = endpointOf(b, b.clusterId);
  const known = endpointOf(a, b.clusterId);
  if (now === undefined || ['', cable.remotePrivateIp, known?.private_ip].includes(now.private_ip)) return undefined;
  const name = known?.private_ip === cable.remotePrivateIp ? ` (${known.hostname})` : '';
  return `the cable leads to ${cable.remotePrivateIp}${name}, but the active gateway of ${b.clusterId} is ${now.hostname} (${now.private_ip}): the Endpoint of ${b.clusterId} that ${a.clusterId} has is stale`;
}

const FIREWALL = 'subctl diagnose firewall tells whether tunnel packets arrive';

/** The tunnel, as the gateway that sends into it sees it. */
export function cableFinding(leg: Leg, gateway: string): Finding {
  const view = cableOf(leg, gateway);
  return view === undefined ? noCable(leg, gateway) : presentCable(leg, gateway, view);
}

function noCable(leg: Leg, gateway: string): Finding {
  if (leg.a.engines.get(gateway)?.state === undefined) {
    return bad('unknown', '', `the cables of gateway ${gateway} could not be read`, 'subctl diagnose gateway');
  }
  const cause = `gateway ${gateway} has no cable to ${leg.b.clusterId}${whyNoCable(leg, gateway)}`;
  return bad('broken', 'none', cause, 'subctl diagnose broker tells whether the clusters know each other');
}

function presentCable(leg: Leg, gateway: string, view: CableView): Finding {
  const { a } = leg;
  const { cable, state } = view;
  const remote = state.inputs.remotes.find(({ spec }) => spec.cable_name === cable.name);
  const echo = echoOf(a, gateway, remote?.spec.healthCheckIP ?? '');
  const detail = `${describeCable(leg, view)}${describeEcho(echo)}`;
  return setupProblem(leg, view, detail) ?? echoFinding(leg, view, { detail, remote, echo });
}

/** What drivers say when they know what is wrong, and what mends it. */
const KNOWN: readonly (readonly [RegExp, string])[] = [
  [
    /authentication failed|pre-shared key/,
    'subctl diagnose broker compares the keys; subctl join broker-info.subm, with the same file on both, gives them one',
  ],
  [
    /agree on the CIDRs|overlap/,
    'subctl show clusters shows what each announces; subctl join broker-info.subm announces it anew',
  ],
  [/is taken by/, 'Stop that program, or subctl join broker-info.subm --nattport PORT'],
  [/is not installed|not found/, 'The image of the gateway lacks it (docs/requirements.md)'],
];

/** What is wrong with the tunnel at this end; undefined when it stands. */
function setupProblem(leg: Leg, view: CableView, detail: string): Finding | undefined {
  const { a, b } = leg;
  const { seen } = view;
  const stale = staleProblem(leg, view);
  if (stale !== undefined) {
    const mend = `subctl diagnose broker tells which Endpoint is stale; ${kubectl(a)} get endpoints.submariner.io shows them`;
    return bad('broken', detail, stale, mend);
  }
  if (seen?.status !== 'connected') {
    const message =
      seen === undefined ? 'not there: the driver knows nothing of it' : `${seen.status}: ${seen.message}`;
    const known = KNOWN.find(([pattern]) => pattern.test(message))?.[1];
    const cause = `the cable to ${b.clusterId} is ${message}`;
    return bad(known === undefined ? 'silent' : 'broken', detail, cause, known ?? FIREWALL);
  }
  const selector = selectorProblem(leg, view);
  if (selector === undefined) return undefined;
  return bad('broken', detail, selector, `subctl show clusters shows which CIDRs ${b.clusterId} announces`);
}

function echoFinding(
  { b }: Leg,
  { cable }: CableView,
  at: {
    readonly detail: string;
    readonly remote: EngineDaemonState['inputs']['remotes'][number] | undefined;
    readonly echo: ReturnType<typeof echoOf>;
  },
): Finding {
  const { detail, remote, echo } = at;
  const probe = remote?.probe;
  const isSilent = echo === undefined ? probe?.status === 'error' : echo.received === 0;
  if (!isSilent) return good(detail);
  const why = probe?.status === 'error' ? probe.message : (echo?.failure ?? '');
  const ports = `UDP port ${cable.remoteUdpPort} of ${cable.usingIp} and port ${cable.localUdpPort} of ${cable.localPrivateIp}`;
  return bad(
    'silent',
    detail,
    `the cable to ${b.clusterId} is set up at this end, but nothing comes back through it (${why}): ${ports} are blocked in at least one direction, or the other end is not set up`,
    FIREWALL,
  );
}

/** The other end of the tunnel: its gateway works and has a cable back. */
export function remoteEndFinding({ way, from, to, a, b }: Leg): Finding {
  const back: Leg = { way, from: to, to: from, a: b, b: a };
  const gateway = gatewayNode(b) ?? '';
  const view = cableOf(back, gateway);
  if (view === undefined) return noCable(back, gateway);
  const detail = describeCable(back, view);
  return setupProblem(back, view, detail) ?? good(detail);
}
