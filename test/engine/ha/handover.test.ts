import { describe, expect, test } from '@jest/globals';
import {
  mayHaveSuccessor,
  mayLetGo,
  pickSuccessor,
  type DepartureInput,
  type Leaver,
} from '../../../src/engine/ha/handover.ts';
import type { PeerReport } from '../../../src/engine/ha/report.ts';
import { peer } from './reports.ts';

const LEAVER: Leaver = {
  clusterId: 'a',
  cableName: 'a1',
  term: 3,
  uses: new Map([
    ['b', 'b1'],
    ['c', 'c1'],
  ]),
};
const others = [peer('b1'), peer('b2'), peer('c1')];

describe('the successor', () => {
  test.each<[what: string, peers: readonly PeerReport[], successor: string | undefined, misses?: readonly string[]]>([
    ['nobody else', others, undefined],
    ['a standby that hears all it needs', [peer('a2', { hears: ['b1', 'c1'] })], 'a2'],
    ['rather the one that misses nothing', [peer('a2', { hears: ['b1'] }), peer('a3', { hears: ['b1', 'c1'] })], 'a3'],
    ['one that misses something rather than nobody', [peer('a2', { hears: ['b2'] })], 'a2', ['b', 'c']],
    [
      'rather one without a recent failure',
      [peer('a2', { hears: ['b1', 'c1'], stable: false }), peer('a3', { hears: ['b1', 'c1'] })],
      'a3',
    ],
    ['not one that is not ready', [peer('a2', { ready: false })], undefined],
    ['not one that is silent', [peer('a2', { state: 'silent' })], undefined],
    ['in name order', [peer('a3', { hears: ['b1', 'c1'] }), peer('a2', { hears: ['b1', 'c1'] })], 'a2'],
  ])('%s', (_, own, successor, misses = []) => {
    expect(pickSuccessor(LEAVER, [...own, ...others])).toEqual(successor && { cableName: successor, misses });
  });

  test('need not hear what the active one does not hear either', () => {
    const peers = [peer('a2', { hears: ['b1'] }), peer('b1'), peer('c1', { state: 'silent' })];
    expect(pickSuccessor(LEAVER, peers)).toEqual({ cableName: 'a2', misses: [] });
  });

  test.each<[what: string, own: readonly PeerReport[], may: boolean]>([
    ['nobody else', [], false],
    ['one that is not ready', [peer('a2', { ready: false })], true],
    ['one that was never heard', [peer('a2', { state: 'waiting', ready: false })], false],
    ['one that is silent', [peer('a2', { state: 'silent', ready: false })], false],
  ])('may yet be there: %s', (_, own, may) => {
    expect(mayHaveSuccessor(LEAVER, [...own, ...others])).toBe(may);
  });

  test('has the lowest slot', () => {
    const all = { hears: ['b1', 'c1'] };
    const slots = new Map([
      ['a2', 1],
      ['a3', 0],
    ]);
    expect(pickSuccessor(LEAVER, [peer('a2', all), peer('a3', all), ...others], slots)?.cableName).toBe('a3');
  });
});

const follower = peer('a2', { active: true, term: 4 });
const usesUs = peer('b1', { uses: new Map([['a', 'a1']]) });
const usesOther = peer('b1', { uses: new Map([['a', 'a2']]) });

function departure(peers: readonly PeerReport[], over: Partial<DepartureInput> = {}): string {
  const input = { nowMs: 1000, startedMs: 0, leaver: LEAVER, peers, nodesSwitched: true, ...over };
  const { letGo, reason } = mayLetGo(input);
  return `${letGo ? 'go' : 'stay'}: ${reason}`;
}

describe('who hands over', () => {
  test.each<[what: string, peers: readonly PeerReport[], over: Partial<DepartureInput>, outcome: string]>([
    ['stays until another one is active', [peer('a2'), usesUs], {}, 'stay: no other gateway is active yet'],
    [
      'stays for a claim that is not newer',
      [peer('a2', { active: true, term: 3 }), usesOther],
      {},
      'stay: no other gateway is active yet',
    ],
    ['stays while somebody sends here', [follower, usesUs], {}, 'stay: b1 still sends here'],
    [
      'stays while nodes send here',
      [follower, usesOther],
      { nodesSwitched: false },
      'stay: nodes of this cluster still send here',
    ],
    ['stays for what is under way', [follower, usesOther], {}, 'stay: packets may be under way'],
    [
      'stays for what is under way, still',
      [follower, usesOther],
      { switchedMs: 900 },
      'stay: packets may be under way',
    ],
    ['goes then', [follower, usesOther], { switchedMs: 800 }, 'go: everybody has switched'],
    ['goes without a standby', [usesUs], { switchedMs: 800 }, 'go: everybody has switched'],
    [
      'does not wait for who is silent',
      [follower, { ...usesUs, state: 'silent' }],
      { switchedMs: 0 },
      'go: everybody has switched',
    ],
    ['does not wait for ever', [follower, usesUs], { nowMs: 10_000 }, 'go: gave up waiting: b1 still sends here'],
    [
      'does not wait longer than it may',
      [peer('a2')],
      { limitMs: 500 },
      'go: gave up waiting: no other gateway is active yet',
    ],
  ])('%s', (_, peers, over, outcome) => {
    expect(departure(peers, over)).toBe(outcome);
  });

  test('counts the time since the last one switched', () => {
    const base = { startedMs: 0, leaver: LEAVER, nodesSwitched: true };
    const first = mayLetGo({ ...base, nowMs: 1000, peers: [follower, usesOther] });
    expect(first).toMatchObject({ letGo: false, waitMs: 200, switchedMs: 1000 });
    const relapse = mayLetGo({ ...base, nowMs: 1100, peers: [follower, usesUs], switchedMs: first.switchedMs });
    expect(relapse.switchedMs).toBeUndefined();
    const again = mayLetGo({ ...base, nowMs: 1250, peers: [follower, usesOther], switchedMs: relapse.switchedMs });
    expect(again).toMatchObject({ letGo: false, switchedMs: 1250 });
  });
});
