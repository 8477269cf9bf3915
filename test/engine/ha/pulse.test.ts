import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { PresharedKeys } from '../../../src/engine/drivers/dependencies.ts';
import type { SelfClaims } from '../../../src/engine/ha/peering.ts';
import { BEAT_PORT, GatewayPulse } from '../../../src/engine/ha/pulse.ts';
import type { UdpAddress, UdpSocket } from '../../../src/host/udp.ts';
import { ExpectedError } from '../../../src/runtime/errors.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { FakeClock } from '../../fakes/clock.ts';

interface Bound {
  receive: (bytes: Uint8Array, from: UdpAddress) => void;
  fail: (error: Error) => void;
}

/** UDP between hosts; whatever `drops` says is lost. */
class FakeUdp {
  readonly bound = new Map<string, Bound>();
  readonly seen: { readonly from: string; readonly to: string; readonly bytes: Buffer }[] = [];
  taken = new Set<string>();
  drops: (from: string, to: string) => boolean = () => false;

  opener(ip: string): (port: number) => Promise<UdpSocket> {
    return async (port) => {
      if (this.taken.has(ip)) throw new ExpectedError(`UDP port ${port} of this node is taken by another program`);
      const entry: Bound = { receive: () => undefined, fail: () => undefined };
      this.bound.set(ip, entry);
      return {
        port,
        send: async (bytes, to) => {
          expect(to.port).toBe(BEAT_PORT);
          this.seen.push({ from: ip, to: to.ip, bytes: Buffer.from(bytes) });
          if (!this.drops(ip, to.ip)) setImmediate(() => this.bound.get(to.ip)?.receive(bytes, { ip, port }));
        },
        onMessage: (listener) => (entry.receive = listener),
        onError: (listener) => (entry.fail = listener),
        close: () => void this.bound.delete(ip),
      };
    };
  }
}

let clock: FakeClock;
let udp: FakeUdp;
let stop: AbortController;
let runs: Promise<void>[];
let draws: number;
beforeEach(() => {
  clock = new FakeClock();
  udp = new FakeUdp();
  stop = new AbortController();
  runs = [];
  draws = 0;
});
afterEach(async () => {
  stop.abort();
  await Promise.all(runs);
  expect(udp.bound.size).toBe(0);
  expect(clock.sleeping).toBe(0);
});

function self(cableName: string, over: Partial<SelfClaims> = {}): SelfClaims {
  return { clusterId: cableName[0]!, cableName, active: false, term: 1, ready: true, uses: new Map(), ...over };
}

/** A gateway whose address is its name. */
function start(
  name: string,
  peers: readonly string[],
  options: { psk?: string; keys?: () => PresharedKeys; signal?: AbortSignal } = {},
): GatewayPulse {
  const { keys } = options;
  const pulse = new GatewayPulse({
    open: udp.opener(name),
    psk: options.psk ?? 'secret',
    ...(keys === undefined ? {} : { keys }),
    randomBytes: (count) => Buffer.alloc(count, (draws += 1)),
    clock,
    logger: silentLogger,
  });
  pulse.setSelf(self(name));
  pulse.setPeers(peers.map((peer) => ({ cableName: peer, clusterId: peer[0]!, address: peer })));
  runs.push(pulse.run(options.signal ?? stop.signal));
  return pulse;
}

describe('gateways that exchange beats', () => {
  test('hear each other while the key changes, and no more when one has forgotten the other one', async () => {
    const keys = new Map<string, PresharedKeys>();
    const set = (name: string, used: string, ...accepted: readonly string[]): unknown =>
      keys.set(name, { used, accepted });
    set('a1', 'old');
    set('b1', 'old');
    const gateways = ['a1', 'b1'].map((name) =>
      start(name, [name === 'a1' ? 'b1' : 'a1'], { keys: () => keys.get(name)! }),
    );
    const states = (): readonly unknown[] =>
      gateways.flatMap((one) => one.reports().map(({ state, sinceMs }) => `${state} ${sinceMs}`));
    await clock.advance(300);
    const before = states();
    for (const [used, accepted] of [
      ['old', ['new']],
      ['new', ['old']],
      ['new', []],
    ] as const) {
      for (const name of ['a1', 'b1']) {
        set(name, used, ...accepted);
        await clock.advance(1000);
        expect(states()).toEqual(before);
      }
    }
    set('a1', 'old');
    await clock.advance(1000);
    expect(gateways.map((one) => one.reports()[0]!.state)).toEqual(['silent', 'silent']);
  });

  test('hear each other and what they claim', async () => {
    const a1 = start('a1', ['b1']);
    const b1 = start('b1', ['a1']);
    await clock.advance(150);
    expect(a1.report('b1')).toMatchObject({ state: 'alive', stable: true, active: false, hears: ['a1'], rttMs: 0 });
    b1.setSelf(
      self('b1', {
        active: true,
        term: 3,
        uses: new Map([
          ['a', 'a1'],
          ['c', 'c1'],
        ]),
      }),
    );
    await clock.advance(0);
    expect(a1.report('b1')).toMatchObject({ active: true, term: 3, uses: new Map([['a', 'a1']]) });
    expect(b1.report('a1')).toMatchObject({ state: 'alive', term: 1 });
    expect(a1.report('zz')).toBeUndefined();
  });

  test('hear each other again after one was no peer of the other for a while', async () => {
    const a1 = start('a1', ['b1']);
    const b1 = start('b1', ['a1']);
    await clock.advance(10_000);
    a1.setPeers([]);
    await clock.advance(1000);
    expect(b1.report('a1')).toMatchObject({ state: 'silent' });
    a1.setPeers([{ cableName: 'b1', clusterId: 'b', address: 'b1' }]);
    await clock.advance(300);
    expect([a1.report('b1')?.state, b1.report('a1')?.state]).toEqual(['alive', 'alive']);
  });

  test('tell the gateways of the own cluster everything, others what concerns them', async () => {
    const a1 = start('a1', ['a2', 'b1']);
    const a2 = start('a2', ['a1']);
    const b1 = start('b1', ['a1']);
    await clock.advance(300);
    expect(a2.report('a1')?.hears).toEqual(['a2', 'b1']);
    expect(b1.report('a1')?.hears).toEqual(['b1']);
    expect(a1.reports().map(({ cableName, state }) => [cableName, state])).toEqual([
      ['a2', 'alive'],
      ['b1', 'alive'],
    ]);
  });

  test('notice silence within 600 ms and call back once', async () => {
    const a1 = start('a1', ['b1']);
    start('b1', ['a1']);
    await clock.advance(1000);
    let calls = 0;
    a1.onChange(() => (calls += 1));
    udp.drops = (from) => from === 'b1';
    await clock.advance(480);
    expect(a1.report('b1')?.state).toBe('alive');
    await clock.advance(120);
    expect(a1.report('b1')).toMatchObject({ state: 'silent', stable: false });
    expect(calls).toBe(1);
    udp.drops = () => false;
    await clock.advance(100);
    expect(a1.report('b1')).toMatchObject({ state: 'alive', stable: false });
    await clock.advance(30_100);
    expect(a1.report('b1')?.stable).toBe(true);
    expect(calls).toBe(4);
  });

  test('are not alive when only one direction works', async () => {
    const a1 = start('a1', ['b1']);
    const b1 = start('b1', ['a1']);
    await clock.advance(1000);
    udp.drops = (from) => from === 'a1';
    await clock.advance(700);
    expect([a1.report('b1')?.state, b1.report('a1')?.state]).toEqual(['silent', 'silent']);
  });

  test('with another key do not exist', async () => {
    const a1 = start('a1', ['b1']);
    start('b1', ['a1'], { psk: 'other' });
    await clock.advance(1000);
    expect(a1.report('b1')?.state).toBe('waiting');
  });

  test('know each other again after a restart, and a recording of the former life proves nothing', async () => {
    const life = new AbortController();
    const a1 = start('a1', ['b1']);
    start('b1', ['a1'], { signal: life.signal });
    await clock.advance(1000);
    const recorded = udp.seen.filter(({ from }) => from === 'b1').map(({ bytes }) => bytes);
    life.abort();
    await clock.advance(50);
    start('b1', ['a1']);
    await clock.advance(150);
    expect(a1.report('b1')).toMatchObject({ state: 'alive', stable: true });
    udp.drops = (from) => from === 'b1';
    await clock.advance(700);
    for (const bytes of recorded) udp.bound.get('a1')?.receive(bytes, { ip: 'b1', port: BEAT_PORT });
    expect(a1.report('b1')?.state).toBe('silent');
  });

  test('ignore what is no beat and who is no peer', async () => {
    const a1 = start('a1', ['b1']);
    start('c1', ['a1']);
    await clock.advance(200);
    udp.bound.get('a1')?.receive(new Uint8Array(0), { ip: 'x', port: 1 });
    udp.bound.get('a1')?.receive(Buffer.alloc(70_000, 1), { ip: 'x', port: 1 });
    expect(a1.reports().map(({ state }) => state)).toEqual(['waiting']);
  });

  test('say why they cannot when the port is taken, and try again', async () => {
    udp.taken.add('a1');
    const a1 = start('a1', ['b1']);
    start('b1', ['a1']);
    await clock.advance(100);
    expect(a1.failure).toBe('beats: UDP port 4491 of this node is taken by another program');
    udp.taken.clear();
    await clock.advance(6000);
    expect([a1.failure, a1.report('b1')?.state]).toEqual([undefined, 'alive']);
  });

  test('open a lost socket again at once', async () => {
    const a1 = start('a1', ['b1']);
    start('b1', ['a1']);
    await clock.advance(300);
    udp.bound.get('a1')?.fail(new Error('gone'));
    await clock.advance(400);
    expect(a1.report('b1')).toMatchObject({ state: 'alive', stable: true });
  });

  test('send ten beats a second to each peer, and one to a peer that has been away for long', async () => {
    start('a1', ['b1', 'b2']);
    start('b1', ['a1']);
    await clock.advance(60_000);
    udp.seen.length = 0;
    await clock.advance(10_000);
    const sent = (to: string): number => udp.seen.filter((one) => one.from === 'a1' && one.to === to).length;
    expect([sent('b1'), sent('b2')]).toEqual([100, 10]);
  });

  test('repeat news once, because a datagram may be lost', async () => {
    const a1 = start('a1', ['b1']);
    const b1 = start('b1', ['a1']);
    await clock.advance(1010);
    let lost = 0;
    udp.drops = (from) => from === 'b1' && (lost += 1) === 1;
    b1.setSelf(self('b1', { active: true, term: 2 }));
    await clock.advance(30);
    expect(lost).toBe(2);
    expect(a1.report('b1')?.active).toBe(true);
  });
});
