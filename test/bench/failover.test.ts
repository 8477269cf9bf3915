import { describe, expect, test } from '@jest/globals';
import { renderKinds, runOf, type Run } from '../../bench/failover/results.ts';
import { percentile, spread } from '../../bench/failover/statistics.ts';
import type { FlowOutcome, Outcome, Seen } from '../faults/perform.ts';
import { violations } from '../faults/perform.ts';
import { SCENARIOS, UNNOTICED } from '../faults/scenarios.ts';

describe('spread', () => {
  test('of 100 values the 99th is not the largest, of 30 it is', () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(spread(values)).toEqual({ p50: 50, p99: 99, max: 100 });
    expect(spread(values.slice(0, 30))).toEqual({ p50: 85, p99: 100, max: 100 });
    expect(percentile([7], 0.5)).toBe(7);
  });
});

const QUIET: Seen = { lost: 0, gapMs: 0, rawGapMs: 0, stallMs: 0, resets: [] };

function flow(name: string, broken: Partial<Seen>, mended: Partial<Seen> = {}, hit = true): FlowOutcome {
  const report = { udp: { sent: 500 } } as FlowOutcome['report'];
  return { name, hit, broken: { ...QUIET, ...broken }, mended: { ...QUIET, ...mended }, report };
}

function outcome(flows: readonly FlowOutcome[], after = 'east-2'): Outcome {
  const before = { east: 'east-1', west: 'west-1' };
  const changed = { ...before, east: after };
  return { scenario: 'drain', before, after: changed, end: changed, convergedMs: 900, flows, senderStallMs: 12.4 };
}

describe('a run', () => {
  test('is the worst that any stream saw that was hit', () => {
    const flows = [
      flow('a', { lost: 3, rawGapMs: 30, gapMs: 20, resets: ['reset'] }),
      flow('b', { lost: 1, rawGapMs: 40, gapMs: 40, stallMs: 300 }, { lost: 2 }),
      flow('c', { lost: 9, rawGapMs: 99 }, {}, false),
    ];
    expect(runOf(outcome(flows))).toEqual({
      lostMs: 40,
      lostPackets: 3,
      tcpStallMs: 300,
      tcpResets: 1,
      lostOnReturn: 2,
      convergedMs: 900,
      senderStallMs: 12,
    });
  });

  test('is one line of the table with the others of its kind; a kind without a result too', () => {
    const run: Run = { ...runOf(outcome([flow('a', { lost: 3, rawGapMs: 30 })])) };
    const table = renderKinds([
      { kind: 'drain', driver: 'vxlan', runs: [run, { ...run, lostMs: 50 }], failures: [] },
      { kind: 'node-kill', driver: 'ipsec', runs: [], failures: ['never well again'] },
    ]);
    const [, drain = '', kill = ''] = table.split('\n').map((line) => line.split(/ +/).join(' '));
    expect(drain).toMatch(/^vxlan drain 2 30 50 50 3 3 3 /);
    expect(kill).toMatch(/^ipsec node-kill 0 - .* 1$/);
  });
});

describe('what was not as it had to be', () => {
  const drain = SCENARIOS.find(({ name }) => name === 'drain')!;

  test('is nothing when nothing was lost and the gateway moved', () => {
    expect(violations(outcome([flow('a', {})]), drain, UNNOTICED)).toEqual([]);
  });

  test('is told for every stream, while it was broken and afterwards', () => {
    const flows = [flow('a', { lost: 2, gapMs: 20 }), flow('b', { resets: ['reset'] }, { lost: 1, gapMs: 10 })];
    expect(violations(outcome(flows, 'east-1'), drain, UNNOTICED)).toEqual([
      'the gateway of east did not move',
      'a: 2 packets lost, 0 allowed',
      'a: nothing for 20 ms, 0 ms allowed',
      'b: TCP connection ended: reset',
      'b, after it was mended: 1 packets lost, 0 allowed',
      'b, after it was mended: nothing for 10 ms, 0 ms allowed',
    ]);
  });

  test('is also a gateway of another cluster that moved', () => {
    const wrong = outcome([]);
    expect(violations({ ...wrong, after: { ...wrong.after, west: 'west-2' } }, drain, UNNOTICED)).toEqual([
      'the gateway of west moved to west-2',
    ]);
  });

  test('traffic that is not hit may lose nothing', () => {
    const partition = SCENARIOS.find(({ name }) => name === 'partition')!;
    const limits = partition.limits('vxlan');
    const flows = [flow('a', { lost: 900, gapMs: 9000 }), flow('b', { lost: 1, gapMs: 10 }, {}, false)];
    expect(violations(outcome(flows, 'east-1'), partition, limits)).toEqual([
      'b: 1 packets lost, 0 allowed',
      'b: nothing for 10 ms, 0 ms allowed',
    ]);
  });
});

test('every kind of failure has a name of its own', () => {
  expect(new Set(SCENARIOS.map(({ name }) => name)).size).toBe(SCENARIOS.length);
});
