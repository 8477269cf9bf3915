import { describe, expect, test } from '@jest/globals';
import {
  desiredPeers,
  observedPeer,
  planDevice,
  wireguardProblems,
} from '../../../src/engine/drivers/wireguard-device.ts';
import { generatePrivateKey, publicKeyOf, type DeviceChange, type ObservedDevice } from '../../../src/host/wg.ts';
import { cableTo } from './cables.ts';

const [ownKey, keyOf2, keyOf3, psk] = [
  generatePrivateKey(),
  generatePrivateKey(),
  generatePrivateKey(),
  generatePrivateKey(),
];
const NOW = 1_000_000;
const to2 = cableTo(2, { remoteConfig: { publicKey: publicKeyOf(keyOf2) } });
const to3 = cableTo(3, { remoteConfig: { publicKey: publicKeyOf(keyOf3) } });
const NO_CHANGE: DeviceChange = { privateKey: undefined, listenPort: undefined, setPeers: [], removePeers: [] };

const wantedOf = (...cables: readonly ReturnType<typeof cableTo>[]) => ({
  privateKey: ownKey,
  listenPort: 4500,
  peers: desiredPeers(cables, psk),
});

/** The device after a change, as the kernel would have it. */
function changed(device: ObservedDevice, change: DeviceChange): ObservedDevice {
  const peers = new Map(device.peers.map((peer) => [peer.publicKey, peer]));
  for (const key of change.removePeers) peers.delete(key);
  for (const peer of change.setPeers) {
    const old = peers.get(peer.publicKey) ?? {
      latestHandshake: 0,
      rxBytes: 0,
      txBytes: 0,
      endpoint: undefined,
      allowedIps: [],
    };
    const { endpoint = old.endpoint, allowedIps = old.allowedIps } = peer;
    peers.set(peer.publicKey, { ...old, ...peer, endpoint, allowedIps });
  }
  return {
    privateKey: change.privateKey ?? device.privateKey,
    listenPort: change.listenPort ?? device.listenPort,
    peers: [...peers.values()],
  };
}

const EMPTY: ObservedDevice = { privateKey: undefined, listenPort: 0, peers: [] };
const once = changed(EMPTY, planDevice(wantedOf(to2, to3), EMPTY, NOW));
const both = changed(once, planDevice(wantedOf(to2, to3), once, NOW));
const withHandshake = (device: ObservedDevice, latestHandshake: number): ObservedDevice => ({
  ...device,
  peers: device.peers.map((peer) => ({ ...peer, latestHandshake })),
});

describe('plan', () => {
  test('sets key, port and peers once, then nothing', () => {
    const plan = planDevice(wantedOf(to2, to3), EMPTY, NOW);
    expect(plan).toMatchObject({ privateKey: ownKey, listenPort: 4500 });
    expect(plan.setPeers[0]).toEqual({
      publicKey: publicKeyOf(keyOf2),
      presharedKey: psk,
      endpoint: '198.18.0.2:4500',
      allowedIps: ['100.66.0.0/16', '10.131.0.0/16'],
      keepaliveSeconds: 0,
    });
    expect(both.peers.map(({ keepaliveSeconds }) => keepaliveSeconds)).toEqual([10, 10]);
    expect(planDevice(wantedOf(to2, to3), both, NOW)).toEqual(NO_CHANGE);
    const shuffled = both.peers.map((peer) => ({ ...peer, allowedIps: peer.allowedIps.toReversed() }));
    expect(planDevice(wantedOf(to2, to3), { ...both, peers: shuffled }, NOW)).toEqual(NO_CHANGE);
  });

  test('the side with the lesser cable name begins the handshake', () => {
    const early = { ...to2, localClusterId: 'a' };
    expect(planDevice(wantedOf(early), EMPTY, NOW).setPeers[0]!.keepaliveSeconds).toBe(10);
  });

  test('a peer that is not wanted goes, a change touches only its peer', () => {
    expect(planDevice(wantedOf(to3), both, NOW)).toEqual({ ...NO_CHANGE, removePeers: [publicKeyOf(keyOf2)] });
    const fewer = { ...to2, remoteSubnets: ['10.131.0.0/16'] };
    const plan = planDevice(wantedOf(fewer, to3), both, NOW);
    expect(plan.setPeers.map(({ publicKey, allowedIps, endpoint }) => ({ publicKey, allowedIps, endpoint }))).toEqual([
      { publicKey: publicKeyOf(keyOf2), allowedIps: ['10.131.0.0/16'], endpoint: undefined },
    ]);
  });

  test('a living peer behind NAT keeps the address it was seen at; a silent one, or one without NAT, is moved', () => {
    const moved = (usingNat: boolean, age: number): number => {
      const device = withHandshake(both, NOW - age);
      const peers = device.peers.map((peer) => ({ ...peer, endpoint: '203.0.113.7:61000' }));
      const wanted = wantedOf({ ...to2, usingNat }, { ...to3, usingNat });
      return planDevice(wanted, { ...device, peers }, NOW).setPeers.filter(({ endpoint }) => endpoint !== undefined)
        .length;
    };
    expect([moved(true, 10), moved(true, 500), moved(false, 10)]).toEqual([0, 2, 2]);
  });
});

test.each([
  [0, 'connecting', 'no handshake with 198.18.0.2:4500 yet'],
  [NOW - 10, 'connected', 'last handshake 10 s ago, Rx=0 Bytes, Tx=0 Bytes'],
  [NOW - 181, 'error', 'last handshake 181 s ago, Rx=0 Bytes, Tx=0 Bytes'],
])('a handshake at %d is %s', (at, status, message) => {
  expect(observedPeer(to2, withHandshake(both, at), NOW)).toMatchObject({ status, message });
});

test('a cable without a peer is absent; one whose CIDRs are another peer’s says so', () => {
  expect(observedPeer(cableTo(5, { remoteConfig: { publicKey: 'x' } }), both, NOW)).toBeUndefined();
  const less = both.peers.map((peer) => ({ ...peer, allowedIps: [], latestHandshake: NOW }));
  expect(observedPeer(to2, { ...both, peers: less }, NOW)?.message).toContain(
    'not carried: 100.66.0.0/16, 10.131.0.0/16',
  );
});

test('cables without a key, with a stolen key, or routed into themselves are problems', () => {
  const stolen = { ...to3, remoteConfig: to2.remoteConfig };
  const own = cableTo(4, { remoteConfig: { publicKey: publicKeyOf(ownKey) } });
  const inside = cableTo(5, {
    remoteConfig: { publicKey: publicKeyOf(generatePrivateKey()) },
    remoteSubnets: ['198.18.0.0/16'],
  });
  const problems = wireguardProblems([to2, stolen, own, inside, cableTo(6)], publicKeyOf(ownKey));
  expect([...problems].map(([name, problem]) => [name.slice(-1), problem.replace(/,.*/, '')])).toEqual([
    ['3', 'cluster c3 publishes the WireGuard key of cluster c2'],
    ['4', 'cluster c4 publishes the WireGuard key of this gateway'],
    ['5', 'the CIDR 198.18.0.0/16 of cluster c5 contains the address of its gateway'],
    ['6', 'the Endpoint of cluster c6 publishes no WireGuard key'],
  ]);
});
