import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Peer } from '../../../src/engine/natdiscovery/discovery.ts';
import { decodeNatMessage, encodeNatMessage } from '../../../src/engine/natdiscovery/messages.ts';
import { NatDiscovery } from '../../../src/engine/natdiscovery/service.ts';
import type { UdpAddress, UdpSocket } from '../../../src/host/udp.ts';
import { ExpectedError } from '../../../src/runtime/errors.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { FakeClock } from '../../fakes/clock.ts';

interface Bound {
  readonly receive: (bytes: Uint8Array, from: UdpAddress) => void;
  fail: (error: Error) => void;
}

/** UDP between hosts; `route` may rewrite or drop a datagram, as a NAT does. */
class FakeUdp {
  readonly bound = new Map<string, Bound>();
  readonly seen: { readonly from: UdpAddress; readonly to: UdpAddress; readonly bytes: Uint8Array }[] = [];
  taken = new Set<number>();
  opened = 0;
  route: (from: UdpAddress, to: UdpAddress) => { from: UdpAddress; to: UdpAddress } | undefined = (from, to) => ({
    from,
    to,
  });

  opener(ip: string): (port: number) => Promise<UdpSocket> {
    return async (port) => {
      if (this.taken.has(port)) throw new ExpectedError(`UDP port ${port} is taken`);
      this.opened += 1;
      const key = `${ip}:${port}`;
      let receive: Bound['receive'] = () => undefined;
      const entry: Bound = { receive: (bytes, from) => receive(bytes, from), fail: () => undefined };
      this.bound.set(key, entry);
      return {
        port,
        send: async (bytes, to) => {
          const sent = { from: { ip, port }, to, bytes };
          this.seen.push(sent);
          const routed = this.route(sent.from, to);
          if (routed !== undefined)
            setImmediate(() => this.bound.get(`${routed.to.ip}:${routed.to.port}`)?.receive(bytes, routed.from));
        },
        onMessage: (listener) => (receive = listener),
        onError: (listener) => (entry.fail = listener),
        close: () => void this.bound.delete(key),
      };
    };
  }
}

const EAST = { clusterId: 'east', cableName: 'cable-east', privateIp: '172.31.0.11', port: 4490 };
const WEST = { clusterId: 'west', cableName: 'cable-west', privateIp: '172.32.0.11', port: 4491 };

function peerOf({ clusterId, cableName, privateIp, port }: typeof EAST, over: Partial<Peer> = {}): Peer {
  const base = { publicIp: '', natEnabled: false, usingLoadBalancer: false };
  return { clusterId, cableName, privateIp, port, ...base, ...over };
}

let clock: FakeClock;
let udp: FakeUdp;
let stop: AbortController;
let runs: Promise<void>[];
let number: bigint;
beforeEach(() => {
  clock = new FakeClock();
  udp = new FakeUdp();
  stop = new AbortController();
  runs = [];
  number = 5n;
});
afterEach(async () => {
  stop.abort();
  await Promise.all(runs);
  expect(udp.bound.size).toBe(0);
});

function start(identity: typeof EAST): NatDiscovery {
  const nat = new NatDiscovery({
    open: udp.opener(identity.privateIp),
    sourceAddress: async () => identity.privateIp,
    randomNumber: () => (number += 7n),
    clock,
    logger: silentLogger,
  });
  nat.setIdentity(identity);
  runs.push(nat.run(stop.signal));
  return nat;
}
const forget = (): undefined => undefined;

test('two gateways find each other at once, also before the other one is there', async () => {
  const east = start(EAST);
  east.setPeers([peerOf(WEST)], forget);
  await clock.advance(400);
  expect(east.decision('cable-west')).toBeUndefined();
  const west = start(WEST);
  west.setPeers([peerOf(EAST)], forget);
  await clock.advance(600);
  const privately = { usingNat: false, origin: 'private' };
  expect(west.decision('cable-east')).toEqual({ usingIp: '172.31.0.11', ...privately });
  expect(east.decision('cable-west')).toEqual({ usingIp: '172.32.0.11', ...privately });
});

test('through a NAT: the public address, and that there is NAT', async () => {
  udp.route = (from, to) => {
    if (to.ip === WEST.privateIp) return undefined;
    if (to.ip === '203.0.113.2') return { from: { ...from, ip: '203.0.113.1' }, to: { ...to, ip: WEST.privateIp } };
    return { from: { ip: '203.0.113.2', port: from.port }, to: { ...to, ip: EAST.privateIp } };
  };
  const east = start(EAST);
  start(WEST);
  east.setPeers([peerOf(WEST, { publicIp: '203.0.113.2' })], forget);
  await clock.advance(600);
  expect(east.decision('cable-west')).toEqual({ usingIp: '203.0.113.2', usingNat: true, origin: 'public' });
});

test('junk, empty datagrams and strangers change nothing and are survived', async () => {
  const east = start(EAST);
  await clock.advance(0);
  const { receive } = udp.bound.get('172.31.0.11:4490')!;
  const stranger = { ip: '203.0.113.66', port: 4490 };
  for (const bytes of [Buffer.alloc(0), Buffer.from('junk'), Buffer.from('1a00', 'hex'), Buffer.from('1200', 'hex')])
    receive(bytes, stranger);
  east.setPeers([peerOf(WEST)], forget);
  start(WEST);
  await clock.advance(100);
  expect(east.decision('cable-west')).toMatchObject({ origin: 'private' });
  const answers = udp.seen.filter(({ to }) => to.ip === stranger.ip).map(({ bytes }) => decodeNatMessage(bytes));
  expect(answers).toEqual([
    expect.objectContaining({ kind: 'response', response: 4, sender: { clusterId: 'east', endpointId: 'cable-east' } }),
  ]);
});

test('an unchanged peer keeps its decision, a changed one is discovered anew, a gone one forgotten', async () => {
  const east = start(EAST);
  start(WEST);
  const calls: string[] = [];
  east.onChange(() => calls.push(east.decision('cable-west')?.origin ?? 'none'));
  east.setPeers([peerOf(WEST)], forget);
  await clock.advance(100);
  east.setPeers([peerOf(WEST)], forget);
  expect(east.decision('cable-west')).toMatchObject({ origin: 'private' });
  await clock.advance(60_000);
  expect(calls).toEqual(['private']);
  east.setPeers([peerOf(WEST, { natEnabled: true })], forget);
  expect(east.decision('cable-west')).toBeUndefined();
  await clock.advance(100);
  expect(east.decision('cable-west')).toMatchObject({ origin: 'private' });
  east.setPeers([], forget);
  expect(east.decision('cable-west')).toBeUndefined();
});

test('a taken port is said; guesses are made all the same; the port is tried again', async () => {
  udp.taken.add(4490);
  const east = start(EAST);
  start(WEST);
  east.setPeers([peerOf(WEST)], forget);
  await clock.advance(0);
  expect(east.failure).toBe('NAT discovery: UDP port 4490 is taken');
  await clock.advance(3000);
  expect(east.decision('cable-west')).toMatchObject({ origin: 'fallback' });
  udp.taken.clear();
  await clock.advance(15_000);
  expect(east.failure).toBeUndefined();
  expect(east.decision('cable-west')).toMatchObject({ origin: 'private' });
});

test('a socket that fails is opened again', async () => {
  const east = start(EAST);
  await clock.advance(0);
  udp.bound.get('172.31.0.11:4490')!.fail(new Error('ENETDOWN'));
  await clock.advance(0);
  expect(udp.opened).toBe(2);
  start(WEST);
  east.setPeers([peerOf(WEST)], forget);
  await clock.advance(100);
  expect(east.decision('cable-west')).toMatchObject({ origin: 'private' });
});

test('a changed port moves the socket', async () => {
  const east = start(EAST);
  await clock.advance(0);
  east.setIdentity({ ...EAST, port: 4500 });
  await clock.advance(0);
  expect([...udp.bound.keys()]).toEqual(['172.31.0.11:4500']);
});

test('without identity nobody is answered and nothing spins', async () => {
  const nat = new NatDiscovery({
    open: udp.opener('1.1.1.1'),
    sourceAddress: async () => undefined,
    randomNumber: () => 1n,
    clock,
    logger: silentLogger,
  });
  runs.push(nat.run(stop.signal));
  nat.setPeers([peerOf(WEST)], forget);
  await clock.advance(100);
  expect(clock.nextMs).toBeGreaterThan(1000);
  expect(udp.opened).toBe(0);
  expect(encodeNatMessage({ kind: 'request', requestNumber: 0n }).length).toBeGreaterThan(0);
});
