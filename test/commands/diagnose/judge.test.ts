import { describe, expect, test } from '@jest/globals';
import type { ProbeReport } from '../../../src/host/prober/protocol.ts';
import {
  datagrams,
  echoes,
  judgeCrossings,
  losses,
  sources,
  streams,
} from '../../../src/commands/diagnose/traffic/judge.ts';
import type { Crossing, Place } from '../../../src/commands/diagnose/traffic/model.ts';

const GOOD = { sent: 5, received: 5, rttMs: 1, failure: '' };
const LOST = { sent: 5, received: 0, rttMs: null, failure: 'no answer within 1 s' };

function place(cluster: string, node: string, kind: Place['kind'] = 'pod'): Place {
  return { cluster, node, kind, address: `10.0.0.${node.slice(-1)}` };
}

function crossing(from: string, to: string, report: Omit<ProbeReport, 'id'> | undefined): Crossing {
  const [a = '', b = ''] = [from, to].map((node) => node.split('-')[0] ?? '');
  const done =
    report === undefined ? { report: undefined, failure: 'no exec' } : { report: { id: 'x', ...report }, failure: '' };
  return { from: place(a, from), to: place(b, to), ...done };
}

/** Every node of east to every node of west; those for which `isBad` holds are lost. */
function matrix(isBad: (from: string, to: string) => boolean): readonly Crossing[] {
  const nodes = [1, 2, 3];
  return nodes.flatMap((i) =>
    nodes.map((j) => {
      const [from, to] = [`east-${i}`, `west-${j}`];
      return crossing(from, to, { icmp: isBad(from, to) ? LOST : GOOD });
    }),
  );
}

describe('what bad ways have in common is said once', () => {
  const REASON = 'no answer within 1 s';

  test.each([
    ['none is bad', () => false, []],
    ['all are bad', () => true, [['east -> west', `nothing gets through: ${REASON}`]]],
    [
      'all from one node',
      (from: string) => from === 'east-2',
      [['node east-2 (east)', `to west nothing gets through: ${REASON}`]],
    ],
    [
      'all to one node',
      (_: string, to: string) => to === 'west-3',
      [['node west-3 (west)', `from east nothing gets through: ${REASON}`]],
    ],
    [
      'all from one node and all to another',
      (from: string, to: string) => from === 'east-1' || to === 'west-3',
      [
        ['node east-1 (east)', `to west nothing gets through: ${REASON}`],
        ['node west-3 (west)', `from east nothing gets through: ${REASON}`],
      ],
    ],
    [
      'a single way',
      (from: string, to: string) => from === 'east-1' && to === 'west-3',
      [['pod on east-1 -> pod on west-3', REASON]],
    ],
  ])('%s', (_, isBad, expected) => {
    expect(judgeCrossings(matrix(isBad), echoes).map(({ object, reason }) => [object, reason])).toEqual(expected);
  });

  test('a long list is cut', () => {
    const scattered = [1, 2, 3, 4, 5, 6, 7, 8].flatMap((i) => [
      crossing(`east-${i}`, `west-${i}`, { icmp: LOST }),
      crossing(`east-${i}`, `west-${(i % 8) + 1}`, { icmp: GOOD }),
    ]);
    const findings = judgeCrossings(scattered, echoes);
    expect(findings).toHaveLength(6);
    expect(findings.at(-1)?.object).toBe('3 more');
  });
});

describe('a way is bad', () => {
  const tcp = { ok: true, connectMs: 1, clientIP: '10.0.0.1', upBytes: 1, downBytes: 1, failure: '' };
  const burst = { bytes: 84, sent: 20, there: 20, back: 20 };
  const udp = { bursts: [burst, { bytes: 3000, sent: 3, there: 3, back: 3 }], clientIP: '10.0.0.1', failure: '' };

  test.each([
    ['when nothing was sent', echoes, undefined, 'could not be tried: no exec'],
    ['not when it answers', streams, { tcp }, undefined],
    ['when a stream stalls', streams, { tcp: { ...tcp, ok: false, failure: 'stalled' } }, 'TCP: stalled'],
    ['not when some of each size come back', datagrams, { udp }, undefined],
    [
      'when a size vanishes',
      datagrams,
      { udp: { ...udp, bursts: [burst, { bytes: 3000, sent: 3, there: 0, back: 0 }] } },
      'UDP: no packet of 3000 bytes came back',
    ],
    [
      'when a size arrives only',
      datagrams,
      { udp: { ...udp, bursts: [{ ...burst, back: 0 }] } },
      'UDP: no packet of 84 bytes came back, though they arrived',
    ],
    ['not when seen as itself', sources, { tcp, udp }, undefined],
    [
      'when seen as another',
      sources,
      { tcp: { ...tcp, clientIP: '10.130.2.1' } },
      'seen as 10.130.2.1 instead of 10.0.0.1',
    ],
  ])('%s', (_, judge, report, expected) => {
    expect(judge(crossing('east-1', 'west-1', report))).toBe(expected);
  });
});

test('loss is counted by direction, and only on ways that carry', () => {
  const udp = (there: number | null, back: number): Omit<ProbeReport, 'id'> => ({
    udp: { bursts: [{ bytes: 84, sent: 20, there, back }], clientIP: '', failure: '' },
  });
  const crossings = [
    crossing('east-1', 'west-1', udp(14, 14)),
    crossing('east-2', 'west-1', udp(20, 15)),
    crossing('east-3', 'west-1', udp(0, 0)),
    crossing('east-3', 'west-2', udp(null, 0)),
    crossing('west-1', 'east-1', udp(20, 20)),
  ];
  expect(losses({ crossings, untried: [] })).toEqual([
    { from: 'east', to: 'west', sent: 60, arrived: 54 },
    { from: 'west', to: 'east', sent: 54, arrived: 49 },
  ]);
});
