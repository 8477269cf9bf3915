import { describe, expect, test } from '@jest/globals';
import type { ProbeResult } from '../../src/host/probe.ts';
import { Probes } from '../../src/routeagent/probes.ts';
import { FakeClock } from '../fakes/clock.ts';

const WEST = { clusterId: 'west', address: '10.131.1.1' };

interface Lab {
  readonly probes: Probes;
  readonly clock: FakeClock;
  readonly asked: string[];
  readonly changes: string[];
  answer: ProbeResult | (() => Promise<ProbeResult>);
  readonly stop: () => Promise<void>;
}

function lab(): Lab {
  const clock = new FakeClock();
  const stop = new AbortController();
  const made: Lab = {
    clock,
    asked: [],
    changes: [],
    answer: { rttMs: 2 },
    stop: async () => {
      stop.abort();
      await clock.advance(1000);
      await running;
    },
    probes: new Probes({
      probe: async (address) => {
        made.asked.push(address);
        return typeof made.answer === 'function' ? made.answer() : made.answer;
      },
      clock,
      calmMs: 30_000,
      alarmedMs: 1000,
      maxLosses: 3,
      onChange: () => made.changes.push(made.probes.verdict('west')?.status ?? ''),
    }),
  };
  const running = made.probes.run(stop.signal);
  return made;
}

describe('probes', () => {
  test('are rare while answers come, frequent while they do not, and say when it matters', async () => {
    const at = lab();
    at.probes.setTargets([WEST]);
    expect(at.probes.verdict('west')).toEqual({ status: 'connecting', message: '', latency: undefined });
    await at.clock.advance(10_000);
    expect(at.asked).toHaveLength(6);
    await at.clock.advance(60_000);
    expect(at.asked).toHaveLength(8);
    at.answer = { failure: 'Destination Host Unreachable' };
    await at.clock.advance(35_000);
    expect(at.probes.verdict('west')).toMatchObject({
      status: 'error',
      message: expect.stringMatching(/^no reply from 10\.131\.1\.1 to \d+ probes: Destination Host Unreachable$/),
    });
    at.answer = { rttMs: 4 };
    await at.clock.advance(2000);
    expect(at.probes.verdict('west')).toMatchObject({
      status: 'connected',
      message: '',
      latency: { last: '4ms', min: '2ms' },
    });
    expect(at.changes).toEqual(['connected', 'error', 'connected']);
    await at.stop();
  });

  test('a round trip that ends a silence is no measure', async () => {
    const at = lab();
    at.answer = async () => ({ rttMs: at.asked.length % 2 === 1 ? 900 : 2 });
    at.probes.setTargets([WEST]);
    await at.clock.advance(1000);
    expect(at.asked).toHaveLength(2);
    expect(at.probes.verdict('west')).toMatchObject({ status: 'connected', latency: { last: '2ms', max: '2ms' } });
    await at.stop();
  });

  test('one lost answer is no outage', async () => {
    const at = lab();
    at.probes.setTargets([WEST]);
    await at.clock.advance(10_000);
    at.answer = { failure: 'lost' };
    await at.clock.advance(26_000);
    at.answer = { rttMs: 2 };
    await at.clock.advance(5000);
    expect(at.changes).toEqual(['connected']);
    await at.stop();
  });

  test('an answer for a target that was replaced meanwhile is dropped', async () => {
    const at = lab();
    let reply: (result: ProbeResult) => void = () => undefined;
    at.answer = () => new Promise((resolve) => (reply = resolve));
    at.probes.setTargets([WEST]);
    await at.clock.advance(1000);
    expect(at.asked).toEqual(['10.131.1.1']);
    at.probes.setTargets([{ clusterId: 'west', address: '10.131.9.9' }]);
    reply({ rttMs: 1 });
    await at.clock.advance(0);
    expect(at.probes.verdict('west')?.status).toBe('connecting');
    at.answer = { rttMs: 3 };
    await at.clock.advance(2000);
    expect(at.asked.at(-1)).toBe('10.131.9.9');
    expect(at.probes.verdict('west')?.status).toBe('connected');
    at.probes.setTargets([]);
    expect(at.probes.verdict('west')).toBeUndefined();
    await at.stop();
  });
});
