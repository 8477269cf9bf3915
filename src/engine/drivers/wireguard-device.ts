import { cableName } from '../../api/names.ts';
import { cidrContains } from '../../net/cidr.ts';
import { WIREGUARD_CABLE } from '../../net/ownership.ts';
import { EMPTY_STATE, type NetworkState, type Ruleset } from '../../net/state.ts';
import {
  isWireguardKey,
  type DeviceChange,
  type ObservedDevice,
  type ObservedPeer,
  type PeerChange,
} from '../../host/wg.ts';
import { desiredCableRouting, ipv4Cidrs, selfRoutingProblem } from './cable-routes.ts';
import type { Cable, DesiredCables, ObservedCable } from './driver.ts';
import { desiredGuard } from './guard.ts';
import { hostAddress } from './link-address.ts';

/** Key of `backend_config` that carries a gateway's WireGuard key. */
export const PUBLIC_KEY = 'publicKey';
export const INTERFACE_NAME = 'interface-name';

const KEEPALIVE_SECONDS = 10;
/** A session lives this long; with keepalives, an older handshake means that the peer does not answer. */
const SESSION_SECONDS = 180;

/** Why cables cannot be made, by cable name. */
export function wireguardProblems(cables: readonly Cable[], ownPublicKey: string): ReadonlyMap<string, string> {
  const problems = new Map<string, string>();
  const owners = new Map([[ownPublicKey, 'this gateway']]);
  for (const cable of cables.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const key = cable.remoteConfig[PUBLIC_KEY] ?? '';
    const owner = owners.get(key);
    const routing = selfRoutingProblem(cable);
    if (!isWireguardKey(key)) {
      problems.set(cable.name, `the Endpoint of cluster ${cable.remoteClusterId} publishes no WireGuard key`);
    } else if (owner !== undefined) {
      problems.set(cable.name, `cluster ${cable.remoteClusterId} publishes the WireGuard key of ${owner}`);
    } else if (routing !== undefined) problems.set(cable.name, routing);
    else owners.set(key, `cluster ${cable.remoteClusterId}`);
  }
  return problems;
}

/** A peer as it is to be, and what decides how it gets there. */
export interface DesiredPeer extends PeerChange {
  readonly allowedIps: readonly string[];
  readonly usingNat: boolean;
  /**
   * A new peer first gets no keepalive, so that the other side begins: handshakes that cross in the network cancel each
   * other and are tried again only after 5 s. The next sync sets it.
   */
  readonly late: boolean;
  /**
   * When both sides begin at one moment, with packets waiting on both: `not yet` has no endpoint and cannot begin, `again`
   * begins anew instead of waiting 5 s for an answer.
   */
  readonly begins?: 'not yet' | 'again';
}

/** Peers one a cable; upstream's allowed IPs, keepalive and pre-shared key. */
export function desiredPeers(cables: readonly Cable[], presharedKey: string): readonly DesiredPeer[] {
  return cables.map((cable) => ({
    publicKey: cable.remoteConfig[PUBLIC_KEY] ?? '',
    presharedKey,
    endpoint: `${cable.usingIp}:${cable.remoteUdpPort}`,
    allowedIps: ipv4Cidrs(cable.remoteSubnets),
    keepaliveSeconds: KEEPALIVE_SECONDS,
    usingNat: cable.usingNat,
    late: cableName(cable.localClusterId, cable.localPrivateIp) > cable.name,
  }));
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.toSorted().join() === b.toSorted().join();
}

/** Behind NAT the address a living peer was seen at is better than the one that was found out. */
function wrongEndpoint(wanted: DesiredPeer, seen: ObservedPeer, now: number): boolean {
  if (seen.endpoint === wanted.endpoint) return false;
  return seen.endpoint === undefined || !wanted.usingNat || now - seen.latestHandshake > SESSION_SECONDS;
}

function planStart(
  { usingNat: _usingNat, late, begins, ...change }: DesiredPeer,
  seen: ObservedPeer | undefined,
): PeerChange | undefined {
  if (begins !== 'not yet') return late ? { ...change, keepaliveSeconds: 0 } : change;
  return seen === undefined ? { ...change, endpoint: undefined, keepaliveSeconds: 0 } : undefined;
}

function planPeer(wanted: DesiredPeer, seen: ObservedPeer | undefined, now: number): PeerChange | undefined {
  const { usingNat: _usingNat, late: _late, begins, ...change } = wanted;
  if (seen === undefined || begins !== undefined) return planStart(wanted, seen);
  const move = wrongEndpoint(wanted, seen, now);
  const sameIps = sameList(seen.allowedIps, wanted.allowedIps);
  const same =
    seen.presharedKey === wanted.presharedKey && seen.keepaliveSeconds === wanted.keepaliveSeconds && sameIps;
  if (same && !move) return undefined;
  // Replaced by themselves they would be missing for a moment.
  const allowedIps = sameIps ? undefined : change.allowedIps;
  return { ...change, allowedIps, endpoint: move ? change.endpoint : undefined };
}

/** From what the device has to what it should have; `now` in seconds since the epoch. */
export function planDevice(
  wanted: {
    readonly privateKey: string;
    readonly listenPort: number;
    readonly peers: readonly DesiredPeer[];
  },
  observed: ObservedDevice,
  now: number,
): DeviceChange {
  const seen = new Map(observed.peers.map((peer) => [peer.publicKey, peer]));
  const keys = new Set(wanted.peers.map((peer) => peer.publicKey));
  const again = wanted.peers.filter(({ begins, publicKey }) => begins === 'again' && seen.has(publicKey));
  return {
    privateKey: observed.privateKey === wanted.privateKey ? undefined : wanted.privateKey,
    listenPort: observed.listenPort === wanted.listenPort ? undefined : wanted.listenPort,
    setPeers: wanted.peers
      .map((peer) => planPeer(peer, seen.get(peer.publicKey), now))
      .filter((change) => change !== undefined),
    removePeers: [...[...seen.keys()].filter((key) => !keys.has(key)), ...again.map(({ publicKey }) => publicKey)],
  };
}

/** What the device says of one cable; undefined when it has no such peer. */
export function observedPeer(cable: Cable, observed: ObservedDevice, now: number): ObservedCable | undefined {
  const peer = observed.peers.find(({ publicKey }) => publicKey === cable.remoteConfig[PUBLIC_KEY]);
  if (peer === undefined) return undefined;
  const { rxBytes, txBytes, latestHandshake } = peer;
  const age = Math.max(0, now - latestHandshake);
  const common = { cableName: cable.name, rxBytes, txBytes };
  if (latestHandshake === 0) {
    return { ...common, status: 'connecting', message: `no handshake with ${peer.endpoint ?? 'the peer'} yet` };
  }
  const uncovered = ipv4Cidrs(cable.remoteSubnets).filter(
    (cidr) => !peer.allowedIps.some((allowed) => cidrContains(allowed, cidr)),
  );
  const missing = uncovered.length === 0 ? '' : `; not carried: ${uncovered.join(', ')}`;
  const message = `last handshake ${age} s ago, Rx=${rxBytes} Bytes, Tx=${txBytes} Bytes${missing}`;
  return { ...common, status: age > SESSION_SECONDS ? 'error' : 'connected', message };
}

/** One WireGuard link and who makes it. */
export interface SlotDevice {
  readonly slot: number;
  readonly kind: 'wireguard' | 'tun';
  readonly mtuBytes: number;
}

/** The guard of WireGuard cables; undefined when nothing is guarded. */
export function wireguardGuard({ guardedCidrs }: DesiredCables): Ruleset | undefined {
  return desiredGuard(guardedCidrs, WIREGUARD_CABLE.links);
}

/** The node's network with these WireGuard cables: the links, tables 100 and 101 and the guard. */
export function desiredWireguardNetwork(
  desired: DesiredCables,
  devices: readonly SlotDevice[],
  privateIp: string,
): NetworkState {
  const { links } = WIREGUARD_CABLE;
  const ruleset = wireguardGuard(desired);
  const named = devices.flatMap((device) => {
    const name = links[device.slot];
    return name === undefined ? [] : [{ ...device, name }];
  });
  const linkOf = new Map(named.map(({ slot, name }) => [slot, name]));
  return {
    ...EMPTY_STATE,
    addresses: named.flatMap(({ name }) => hostAddress(name, privateIp)),
    links: named.map(({ name, kind, mtuBytes }) => ({ name, kind, mtuBytes, up: true })),
    ...desiredCableRouting(desired, ({ slot }) => {
      const link = linkOf.get(slot);
      return link === undefined ? undefined : { link };
    }),
    sysctls: named.map(({ name }) => ({ key: `net.ipv4.conf.${name}.rp_filter`, value: '2' })),
    ...(ruleset === undefined ? {} : { ruleset }),
  };
}
