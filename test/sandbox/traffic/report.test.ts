import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  findGaps,
  findStalls,
  findTcpStalls,
  parseTraffic,
  reportTcp,
  reportUdp,
  type Sample,
} from '../../../src/sandbox/traffic/report.ts';

/** Datagrams 10 ms apart: `.` came back after 1 ms, `x` never. */
function stream(pattern: string): readonly Sample[] {
  return pattern
    .split('')
    .map((sign, index) => ({ sentMs: index * 10, backMs: sign === '.' ? index * 10 + 1 : undefined }));
}

const span = (endMs: number, stalls: readonly { readonly at: number; readonly ms: number }[] = []) => ({
  endMs,
  stalls,
  epochMs: 1000,
});

describe('datagrams', () => {
  test('without a loss have no gap', () => {
    const report = reportUdp(stream('......'), { duplicates: 0, reordered: 0 }, span(60));
    expect(report).toMatchObject({
      sent: 6,
      received: 6,
      lost: 0,
      gaps: [],
      longestGapMs: 0,
      medianRttMs: 1,
      maxRttMs: 1,
    });
  });

  test('a gap lasts from the first that was lost to the first that was not, or to the end', () => {
    const report = reportUdp(stream('..xxx...x.xx'), { duplicates: 1, reordered: 2 }, span(120));
    expect(report.gaps).toEqual([
      { at: 1020, ms: 30, stalledMs: 0, first: 2, packets: 3 },
      { at: 1080, ms: 10, stalledMs: 0, first: 8, packets: 1 },
      { at: 1100, ms: 20, stalledMs: 0, first: 10, packets: 2 },
    ]);
    expect(report).toMatchObject({ sent: 12, lost: 6, received: 6, longestGapMs: 30, duplicates: 1, reordered: 2 });
    expect(report.longestSilenceMs).toBe(40);
  });

  test('when nothing comes back everything is one gap', () => {
    expect(reportUdp(stream('xxx'), { duplicates: 0, reordered: 0 }, span(30))).toMatchObject({
      longestGapMs: 30,
      longestSilenceMs: 30,
      medianRttMs: null,
      maxRttMs: null,
    });
  });

  test('late is not lost, but silent', () => {
    const late = [
      { sentMs: 0, backMs: 500 },
      { sentMs: 10, backMs: 501 },
    ];
    expect(reportUdp(late, { duplicates: 0, reordered: 0 }, span(502))).toMatchObject({
      lost: 0,
      longestSilenceMs: 500,
      maxRttMs: 500,
    });
  });

  test('a stall of the sender is told from a loss', () => {
    const samples: readonly Sample[] = [
      { sentMs: 0, backMs: 1 },
      { sentMs: 10, backMs: undefined },
      { sentMs: 310, backMs: undefined },
      { sentMs: 320, backMs: 321 },
    ];
    const stalls = findStalls(
      samples.map(({ sentMs }) => sentMs),
      10,
      40,
    );
    expect(stalls).toEqual([{ at: 10, ms: 300 }]);
    expect(findGaps(samples, span(330, stalls))).toEqual([{ at: 1010, ms: 310, stalledMs: 300, first: 1, packets: 2 }]);
  });

  test('every lost packet is in exactly one gap, whatever is lost', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 90 }), (kept) => {
        const samples = stream(kept.map((one) => (one ? '.' : 'x')).join(''));
        const gaps = findGaps(samples, span(samples.length * 10));
        const lost = gaps.flatMap(({ first, packets }) => Array.from({ length: packets }, (_, index) => first + index));
        expect(lost).toEqual(kept.flatMap((one, index) => (one ? [] : [index])));
        expect(gaps.reduce((sum, { ms }) => sum + ms, 0)).toBe(lost.length * 10);
      }),
    );
  });
});

describe('lines of a connection', () => {
  test('a stall lasts from the first line that waited to the first that came back', () => {
    const lines: readonly Sample[] = [
      { sentMs: 0, backMs: 2 },
      { sentMs: 20, backMs: 1020 },
      { sentMs: 40, backMs: 1021 },
      { sentMs: 1020, backMs: 1022 },
    ];
    const report = reportTcp(lines, [], span(1100, [{ at: 0, ms: 120 }]));
    expect(report).toEqual({
      sent: 4,
      acknowledged: 4,
      resets: [],
      stalls: [{ at: 1020, ms: 1000, stalledMs: 100 }],
      longestStallMs: 1000,
    });
  });

  test('lines lost with a connection stall until one of the next comes back; the last ones until the end', () => {
    const lines: readonly Sample[] = [
      { sentMs: 0, backMs: 1 },
      { sentMs: 20, backMs: undefined },
      { sentMs: 40, backMs: undefined },
      { sentMs: 520, backMs: 530 },
      { sentMs: 540, backMs: undefined },
    ];
    expect(findTcpStalls(lines, span(900)).map(({ at, ms }) => [at, ms])).toEqual([
      [1020, 510],
      [1540, 360],
    ]);
  });

  test('a pause in which nothing was sent is no stall', () => {
    expect(
      findTcpStalls(
        [
          { sentMs: 0, backMs: 1 },
          { sentMs: 900, backMs: 901 },
        ],
        span(950),
      ),
    ).toEqual([]);
  });
});

test('events are read from lines, others left out', () => {
  expect(parseTraffic('{"event":"ready","at":1}\nnonsense\n{"x":1}\nnull\n')).toEqual([{ event: 'ready', at: 1 }]);
});
