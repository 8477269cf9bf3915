import { describe, expect, test } from '@jest/globals';
import type { PeerReport } from '../../../src/engine/ha/report.ts';
import {
  considerTakeover,
  mustStepDown,
  nextTerm,
  type ActiveSelf,
  type Candidate,
  type LeaseView,
  type TakeoverInput,
} from '../../../src/engine/ha/takeover.ts';
import { peer } from './reports.ts';

const START = 100_000;
const SELF: Candidate = { clusterId: 'a', cableName: 'a2', node: 'node-2', ready: true };
const HELD: LeaseView = { holder: { node: 'node-1', cableName: 'a1' }, term: 3, expired: false };
const FREE: LeaseView = { holder: undefined, term: 3, expired: false };

const active = peer('a1', { active: true, term: 3 });
const silent = peer('a1', { active: true, term: 3, state: 'silent' });
const hearsBoth = peer('b1', { hears: ['a1', 'a2'] });
const hearsUs = peer('b1', { hears: ['a2'] });

interface Setting {
  readonly lease?: LeaseView | undefined;
  readonly self?: Partial<Candidate>;
  readonly peers?: readonly PeerReport[];
  readonly slots?: ReadonlyMap<string, number>;
}

function inputOf({ self, ...rest }: Setting, nowMs: number): TakeoverInput {
  return { nowMs, lease: HELD, peers: [], ...rest, self: { ...SELF, ...self } };
}

/** After how many milliseconds of an unchanged situation it takes the lease, and why; looked at every 100 ms for 10 s. */
function outcome(setting: Setting): string {
  let memory: ReturnType<typeof considerTakeover>['memory'] | undefined;
  for (let ms = 0; ms <= 10_000; ms += 100) {
    const decision = considerTakeover(inputOf(setting, START + ms), memory);
    if (decision.take !== undefined) return `${ms} ${decision.take.cause}`;
    memory = decision.memory;
  }
  return 'never';
}

describe('a standby takes the lease', () => {
  test.each<[when: string, setting: Setting, outcome: string]>([
    ['not while the holder is well', { peers: [active, hearsBoth] }, 'never'],
    ['not while the lease cannot be seen', { lease: undefined, peers: [silent, hearsUs] }, 'never'],
    ['not from itself', { lease: { ...HELD, holder: { node: 'node-2', cableName: 'a2' }, expired: true } }, 'never'],
    ['when nobody ever had it', { lease: { ...FREE, term: 0 } }, '0 no gateway was active'],
    ['when it was given back', { lease: FREE }, '0 the former gateway gave the lease back'],
    [
      'when it was given back for a reason',
      { lease: { ...FREE, moveTo: 'a2', moveCause: 'planned: gateway node-1 stops' } },
      '0 planned: gateway node-1 stops',
    ],
    ['not while it is not ready', { lease: FREE, self: { ready: false } }, 'never'],
    [
      'that disappeared only when the active one does not write it anew',
      { lease: FREE, peers: [active] },
      '3300 the former gateway gave the lease back',
    ],
    ['when it expired', { lease: { ...HELD, expired: true } }, '0 lease of gateway node-1 expired'],
    [
      'when it expired, though it hears no other cluster any more',
      { lease: { ...HELD, expired: true }, peers: [peer('b1', { state: 'silent' })] },
      '0 lease of gateway node-1 expired',
    ],
    [
      'when it expired and its holder has no Endpoint',
      { lease: { ...HELD, holder: { node: 'x' }, expired: true } },
      '0 lease of gateway x expired',
    ],
    [
      'when an operator wants its node',
      { lease: { ...HELD, moveTo: 'node-2' }, peers: [active, hearsBoth] },
      '0 planned: handed over',
    ],
    [
      'when its cable name is wanted',
      { lease: { ...HELD, moveTo: 'a2', moveCause: 'planned: gateway node-1 stops' }, peers: [active] },
      '0 planned: gateway node-1 stops',
    ],
    ['not when another node is wanted', { lease: { ...HELD, moveTo: 'node-3' }, peers: [active] }, 'never'],
    ['when the holder is silent', { peers: [silent, hearsUs] }, '0 gateway node-1 is silent'],
    [
      'when the holder is silent and no other cluster sends beats',
      { peers: [silent, peer('b1', { state: 'waiting' })] },
      '0 gateway node-1 is silent',
    ],
    ['not when the holder was never heard', { peers: [peer('a1', { state: 'waiting' }), hearsBoth] }, 'never'],
    [
      'not when the holder was never heard as such',
      { peers: [peer('a1', { state: 'silent', term: 2 }), hearsBoth] },
      'never',
    ],
    ['not when it hears nobody at all any more', { peers: [silent, peer('b1', { state: 'silent' })] }, 'never'],
    ['late when others still hear the silent holder', { peers: [silent, hearsBoth] }, '1500 gateway node-1 is silent'],
    [
      'not when others still hear it and we have just failed ourselves',
      { peers: [silent, hearsBoth], self: { failedMs: START - 9000 } },
      'never',
    ],
    [
      'when nobody else can, though it has just failed',
      { peers: [silent, hearsUs], self: { failedMs: START - 9000 } },
      '0 gateway node-1 is silent',
    ],
    [
      'when all other clusters hear us but not the holder',
      { peers: [active, hearsUs, peer('c1', { hears: ['a2'] })] },
      '100 no cluster hears gateway node-1 any more',
    ],
    [
      'not so soon when we have just failed',
      { peers: [active, hearsUs], self: { failedMs: START - 9000 } },
      '1000 no cluster hears gateway node-1 any more',
    ],
    [
      'not when one cluster hears the holder',
      { peers: [active, hearsUs, peer('c1', { hears: ['a1', 'a2'] })] },
      'never',
    ],
    ['not when one cluster does not hear us', { peers: [active, hearsUs, peer('c1')] }, 'never'],
    [
      'clusters we do not hear do not count',
      { peers: [active, hearsUs, peer('c1', { state: 'silent', hears: ['a1'] })] },
      '100 no cluster hears gateway node-1 any more',
    ],
    ['not when we hear no other cluster', { peers: [active] }, 'never'],
    [
      'not before a witness had the time to hear everybody',
      { peers: [active, peer('b1', { hears: ['a2'], sinceMs: START - 1000 })] },
      '2000 no cluster hears gateway node-1 any more',
    ],
    [
      'not when the holder claims a newer term than our view of the lease',
      { peers: [{ ...active, term: 4 }, hearsUs] },
      'never',
    ],
    [
      'after one that has the lower name',
      { self: { cableName: 'a3', node: 'node-3' }, peers: [silent, peer('a2')] },
      '300 gateway node-1 is silent',
    ],
    ['before one that has the higher name', { peers: [silent, peer('a3')] }, '0 gateway node-1 is silent'],
    [
      'before a lower one that is not ready',
      { self: { cableName: 'a3' }, peers: [silent, peer('a2', { ready: false })] },
      '0 gateway node-1 is silent',
    ],
    [
      'before a lower one that is not heard',
      { self: { cableName: 'a3' }, peers: [silent, peer('a2', { state: 'silent' })] },
      '0 gateway node-1 is silent',
    ],
    [
      'before a lower one that has just failed',
      { self: { cableName: 'a3' }, peers: [silent, peer('a2', { stable: false })] },
      '0 gateway node-1 is silent',
    ],
    [
      'after a higher one when it has just failed itself',
      { self: { failedMs: START - 1000 }, peers: [silent, peer('a3')] },
      '300 gateway node-1 is silent',
    ],
    [
      'in the order of slots before names',
      {
        peers: [silent, peer('a3')],
        slots: new Map([
          ['a2', 1],
          ['a3', 0],
        ]),
      },
      '300 gateway node-1 is silent',
    ],
    [
      'last without a slot',
      {
        peers: [silent, peer('a3'), peer('a4')],
        slots: new Map([
          ['a3', 0],
          ['a4', 1],
        ]),
      },
      '600 gateway node-1 is silent',
    ],
    [
      'after the one it is meant for',
      { lease: { ...FREE, moveTo: 'a3' }, peers: [peer('a3')] },
      '300 the former gateway gave the lease back',
    ],
    [
      'after others when it expired and it hears no other cluster',
      { lease: { ...HELD, expired: true }, peers: [peer('a3'), peer('b1', { state: 'silent' })] },
      '300 lease of gateway node-1 expired',
    ],
  ])('%s', (_, setting, expected) => {
    expect(outcome(setting)).toBe(expected);
  });

  test('says when to look again', () => {
    const setting = { peers: [active, hearsUs] };
    const first = considerTakeover(inputOf(setting, START));
    expect(first.waitMs).toBe(50);
    expect(considerTakeover(inputOf(setting, START + 30), first.memory).waitMs).toBe(20);
    expect(considerTakeover(inputOf({ lease: FREE, peers: [active] }, START)).waitMs).toBe(1000);
    expect(considerTakeover(inputOf({ peers: [active, hearsBoth] }, START)).waitMs).toBeUndefined();
  });

  test.each<[what: string, between: Setting, gapMs: number]>([
    ['the reason went away', { peers: [active, hearsBoth] }, 100],
    ['somebody else became active', { lease: { ...HELD, term: 4 }, peers: [active, hearsBoth] }, 100],
    ['it has not looked for long', { peers: [active, hearsUs] }, 2500],
  ])('waits anew when %s', (_, between, gapMs) => {
    const setting = { peers: [active, hearsUs] };
    const first = considerTakeover(inputOf(setting, START));
    const second = considerTakeover(inputOf(between, START + gapMs), first.memory);
    expect(considerTakeover(inputOf(setting, START + gapMs + 40), second.memory).take).toBeUndefined();
  });
});

const ACTIVE: ActiveSelf = { clusterId: 'a', cableName: 'a1', node: 'node-1', term: 3, confirmed: true };

describe('an active gateway steps down', () => {
  test.each<[when: string, lease: LeaseView | undefined, peers: readonly PeerReport[], why: string | undefined]>([
    ['not while it holds the lease', HELD, [peer('a2')], undefined],
    ['not while the lease cannot be seen', undefined, [peer('a2')], undefined],
    ['not because the lease is gone', FREE, [], undefined],
    [
      'not for a view of the lease that is older than its own term',
      { holder: { node: 'node-2' }, term: 2, expired: false },
      [],
      undefined,
    ],
    [
      'when another one holds the lease',
      { holder: { node: 'node-2' }, term: 4, expired: false },
      [],
      'the lease is held by node-2',
    ],
    [
      'when a stranger wrote its name into the lease',
      { holder: { node: 'x' }, term: 3, expired: false },
      [],
      'the lease is held by x',
    ],
    [
      'when it hears of a newer one, without an API server',
      undefined,
      [peer('a2', { active: true, term: 4 })],
      'a2 has become active',
    ],
    ['not for an older claim', HELD, [peer('a2', { active: true, term: 2 })], undefined],
    ['not for who is only a standby of a newer term', HELD, [peer('a2', { term: 4 })], undefined],
    [
      'not for the last words of a silent one',
      HELD,
      [peer('a2', { active: true, term: 4, state: 'silent' })],
      undefined,
    ],
    ['not for a gateway of another cluster', HELD, [peer('b1', { active: true, term: 9 })], undefined],
  ])('%s', (_, lease, peers, why) => {
    expect(mustStepDown(ACTIVE, lease, peers)).toBe(why);
  });
});

describe('the term a new holder writes', () => {
  test.each<[what: string, transitions: number | undefined, peers: readonly PeerReport[], term: number]>([
    ['first of all', undefined, [], 0],
    ['next', 3, [active], 4],
    ['newer than any claim, though the lease was deleted', undefined, [active], 4],
    ['newer than any claim, though the lease was put back', 1, [active, peer('a3', { term: 7 })], 8],
    ['regardless of other clusters', 3, [peer('b1', { term: 99 })], 4],
  ])('%s', (_, transitions, peers, term) => {
    expect(nextTerm(transitions, SELF, peers)).toBe(term);
  });
});
