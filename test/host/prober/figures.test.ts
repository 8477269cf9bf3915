import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseProcStat, parseRetransmits } from '../../../src/host/cpu.ts';
import { describeDistribution, percentile } from '../../../src/host/prober/distribution.ts';
import { busyCores, cpuUse } from '../../../src/host/prober/marks.ts';
import { summariseFlow } from '../../../src/host/prober/outages.ts';

describe('distribution', () => {
  test('of known values', () => {
    const values = Array.from({ length: 1000 }, (_, index) => 1000 - index);
    expect(describeDistribution(values)).toEqual({
      count: 1000,
      min: 1,
      mean: 500.5,
      p50: 500,
      p90: 900,
      p99: 990,
      p999: 999,
      max: 1000,
      stdDev: 288.675,
    });
    expect(describeDistribution([])).toMatchObject({ count: 0, min: 0, p50: 0, max: 0, stdDev: 0 });
  });

  test('a percentile is one of the values, at least the share of them is not larger', () => {
    const sorted = fc.array(fc.double({ noNaN: true }), { minLength: 1 }).map((list) => list.sort((a, b) => a - b));
    fc.assert(
      fc.property(sorted, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
        const found = percentile(values, share);
        expect(values).toContain(found);
        expect(values.filter((value) => value <= found).length).toBeGreaterThanOrEqual(share * values.length);
      }),
    );
  });
});

describe('outages of a flow', () => {
  const answered = (from: number, to: number, step = 100) =>
    Array.from({ length: (to - from) / step }, (_, index) => from + index * step).map((sentMs) => ({
      sentMs,
      receivedMs: sentMs + 5,
    }));
  const lost = (from: number, to: number) => answered(from, to).map((one) => ({ ...one, receivedMs: undefined }));

  test('none', () => {
    expect(summariseFlow(answered(0, 5000), 100, 5000)).toEqual({
      sent: 50,
      received: 50,
      lost: 0,
      durationMs: 5000,
      outages: [],
      longestOutageMs: 0,
    });
  });

  test('in the middle, and from the start', () => {
    const middle = summariseFlow([...answered(0, 2000), ...lost(2000, 4000), ...answered(4000, 6000)], 100, 6000);
    expect(middle).toMatchObject({ lost: 20, longestOutageMs: 2100, outages: [{ fromMs: 1905, durationMs: 2100 }] });
    const start = summariseFlow([...lost(0, 1000), ...answered(1000, 3000)], 100, 3000);
    expect(start).toMatchObject({ lost: 10, outages: [{ fromMs: 0, durationMs: 1005 }] });
  });

  test('until the end; what was sent last is not yet lost', () => {
    const end = summariseFlow([...answered(0, 1000), ...lost(1000, 4000)], 100, 4000);
    expect(end).toMatchObject({ sent: 40, received: 10, lost: 21, outages: [{ fromMs: 905, durationMs: 3095 }] });
  });

  test('late answers are an outage and no loss', () => {
    const late = lost(1000, 3000).map((one) => ({ ...one, receivedMs: 3050 }));
    const summary = summariseFlow([...answered(0, 1000), ...late, ...answered(3000, 4000)], 100, 4000);
    expect(summary).toMatchObject({ lost: 0, longestOutageMs: 2100 });
  });
});

describe('processor time', () => {
  test('of /proc/stat: busy is neither idle, nor waiting, nor stolen', () => {
    const text = 'cpu  100 10 200 5000 300 4 6 999 0 0\ncpu0 1 2 3\ncpu1 1 2 3\nintr 1\n';
    expect(parseProcStat(text)).toEqual({ busy: 3.2, cores: 2 });
  });

  test('retransmits of /proc/net/snmp', () => {
    expect(parseRetransmits('Ip: A\nIp: 1\nTcp: RtoAlgorithm RetransSegs InErrs\nTcp: 1 42 7\n')).toBe(42);
    expect(parseRetransmits('')).toBeUndefined();
  });

  test('between readings', () => {
    const reading = (at: number, busy: number, own: number) => ({ at, busy, own, machine: 'm', cores: 4 });
    expect(busyCores(reading(0, 0, 0), reading(2, 3, 0))).toBe(1.5);
    expect(busyCores(reading(0, 0, 0), reading(0, 3, 0))).toBe(0);
    const use = cpuUse([reading(0, 10, 0), reading(1, 10.25, 0)], [reading(2, 11, 1), reading(4, 15, 2.5)]);
    expect(use).toEqual({ machine: 'm', cores: 4, busy: 2, idle: 0.25, own: 0.75 });
  });
});
