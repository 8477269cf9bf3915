import { expect, test } from '@jest/globals';
import { HealthCheck } from '../../src/engine/healthcheck.ts';
import type { PingListener, PingTarget, PingWatcher } from '../../src/host/ping.ts';
import { FakeClock } from '../fakes/clock.ts';

/** Remembers who is pinged and lets a test answer. */
class FakePing {
  readonly running = new Map<string, { target: PingTarget; listener: PingListener }>();
  readonly watch: PingWatcher = async (target, listener, signal) => {
    const entry = { target, listener };
    this.running.set(target.address, entry);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    if (this.running.get(target.address) === entry) this.running.delete(target.address);
  };
  reply(address: string, ms = 1): void {
    this.running.get(address)!.listener.onReply(ms);
  }
}

function bench(maxPacketLossCount = 5) {
  const clock = new FakeClock();
  const ping = new FakePing();
  const health = new HealthCheck({ ping: ping.watch, intervalMs: 1000, maxPacketLossCount, clock });
  const told: string[] = [];
  health.onChange(() => told.push(health.report('c')?.state ?? 'none'));
  const stop = new AbortController();
  const done = health.run(stop.signal);
  const target = { cableName: 'c', address: '10.130.1.1' };
  return { clock, ping, health, told, stop, done, target };
}

test('waits, is alive with the first answer, dead after more losses than allowed, alive again', async () => {
  const { clock, ping, health, told, target } = bench();
  health.setTargets([target], '10.131.1.1');
  expect(ping.running.get('10.130.1.1')!.target).toEqual({
    address: '10.130.1.1',
    intervalMs: 250,
    source: '10.131.1.1',
  });
  expect(health.report('c')).toEqual({ address: '10.130.1.1', state: 'waiting' });
  await clock.advance(500);
  ping.reply('10.130.1.1', 1.5);
  expect(health.report('c')!.state).toBe('alive');
  const answeredAt = clock.now();
  await clock.advance(6000);
  expect(health.report('c')!.state).toBe('alive');
  await clock.advance(1);
  expect(health.report('c')).toMatchObject({ state: 'dead', silentSinceMs: answeredAt });
  await clock.advance(1000);
  expect(told).toEqual(['alive', 'dead']);
  expect(health.dead()).toEqual(['c']);
  ping.reply('10.130.1.1');
  expect(told).toEqual(['alive', 'dead', 'alive']);
  expect(health.dead()).toEqual([]);
});

test('what was sent into the silence counts as an answer, not as a round-trip time', async () => {
  const { clock, ping, health, told, target } = bench();
  health.setTargets([target], undefined);
  await clock.advance(1000);
  ping.reply('10.130.1.1', 1000);
  ping.reply('10.130.1.1', 750);
  expect(health.report('c')).toEqual({ address: '10.130.1.1', state: 'alive' });
  await clock.advance(2);
  expect(ping.running.get('10.130.1.1')!.target.intervalMs).toBe(1000);
  ping.reply('10.130.1.1', 2);
  expect(health.report('c')!.latency).toMatchObject({ last: '2ms', max: '2ms' });
  expect(told).toEqual(['alive', 'alive']);
  await clock.advance(10_000);
  expect(health.report('c')!.state).toBe('dead');
  ping.reply('10.130.1.1', 5000);
  expect(health.report('c')).toMatchObject({ state: 'alive', latency: { last: '2ms', max: '2ms' } });
});

test('a cable that stays silent is soon probed at the usual pace', async () => {
  const { clock, ping, health, target } = bench();
  health.setTargets([target], undefined);
  await clock.advance(10_000);
  expect(ping.running.get('10.130.1.1')!.target.intervalMs).toBe(1000);
});

test('a cable that never carries anything is dead too', async () => {
  const { clock, health, told, target } = bench(2);
  health.setTargets([target], undefined);
  await clock.advance(4001);
  expect(health.report('c')!.state).toBe('dead');
  expect(told).toEqual(['dead']);
});

test('says why nothing can be sent, until there is an answer', () => {
  const { ping, health, target } = bench();
  health.setTargets([target], undefined);
  ping.running.get('10.130.1.1')!.listener.onFailure('connect: Network is unreachable');
  expect(health.report('c')!.failure).toBe('connect: Network is unreachable');
  ping.reply('10.130.1.1');
  expect('failure' in health.report('c')!).toBe(false);
});

test('probes run for exactly the targets; an unchanged one is not started anew', async () => {
  const { clock, ping, health, stop, done, target } = bench();
  health.setTargets([target, { cableName: 'd', address: '10.132.1.1' }], undefined);
  ping.reply('10.130.1.1');
  health.setTargets([target], undefined);
  await clock.advance(0);
  expect([...ping.running.keys()]).toEqual(['10.130.1.1']);
  expect(health.report('c')!.state).toBe('alive');
  expect(health.report('d')).toBeUndefined();
  health.setTargets([{ ...target, address: '10.133.1.1' }], undefined);
  await clock.advance(0);
  expect([...ping.running.keys()]).toEqual(['10.133.1.1']);
  expect(health.report('c')!.state).toBe('waiting');
  stop.abort();
  await done;
  expect(ping.running.size).toBe(0);
});
