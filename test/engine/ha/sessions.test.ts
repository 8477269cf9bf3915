import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Beat, BeatHeader } from '../../../src/engine/ha/beat.ts';
import {
  excuse,
  FAST,
  hear,
  heardSession,
  isStable,
  judge,
  newSession,
  patienceMs,
  SLOW,
  type PeerSession,
} from '../../../src/engine/ha/sessions.ts';

const OWN = 42n;

function beat(over: Partial<BeatHeader> = {}, term = 1): Beat {
  const claims = { active: true, term, ready: true, hears: [], uses: new Map<string, string>() };
  return {
    header: { session: 7n, heard: OWN, counter: 1, everyMs: 100, sentMs: 0, echoMs: Number.NaN, heldMs: 0, ...over },
    body: { clusterId: 'b', cableName: 'b1', to: 'a1', claims },
  };
}

/** A beat every 100 ms from `fromMs` to `toMs`; of those `lost` says, nothing arrives. */
function regular(
  before: PeerSession,
  [fromMs, toMs]: readonly [number, number],
  over: Partial<BeatHeader> = {},
  lost: (index: number) => boolean = () => false,
): PeerSession {
  let session = before;
  for (let ms = fromMs; ms <= toMs; ms += 100) {
    session = judge(session, FAST, ms);
    const index = ms / 100;
    if (!lost(index)) session = hear(session, beat({ counter: index + 1, ...over }), OWN, ms).session;
  }
  return session;
}

const alive = regular(newSession(0), [0, 1000]);

describe('a peer', () => {
  test('is waited for until it proves that it hears us', () => {
    const waiting = judge(newSession(0), FAST, 60_000);
    expect([waiting.state, isStable(waiting, 60_000)]).toEqual(['waiting', false]);
    const oneWay = hear(waiting, beat({ heard: 0n }), OWN, 60_000);
    expect([oneWay.verdict, oneWay.session.state, oneWay.session.claims.active]).toEqual([
      'unproven',
      'waiting',
      false,
    ]);
    const other = hear(waiting, beat({ heard: 41n }), OWN, 60_000);
    expect(other.verdict).toBe('unproven');
    const { session } = hear(oneWay.session, beat({ counter: 2 }), OWN, 60_100);
    expect([session.state, session.sinceMs, session.claims.active, isStable(session, 60_100)]).toEqual([
      'alive',
      60_100,
      true,
      true,
    ]);
  });

  test('is silent after 500 ms without a beat, since the last one', () => {
    expect(judge(alive, FAST, 1500).state).toBe('alive');
    expect(judge(alive, FAST, 1501)).toMatchObject({ state: 'silent', sinceMs: 1000, claims: { active: true } });
  });

  test('is silent at once when it says that it does not hear us', () => {
    const deaf = hear(alive, beat({ counter: 99, heard: 0n }), OWN, 1100);
    expect(deaf).toMatchObject({ verdict: 'unproven', session: { state: 'silent', sinceMs: 1000 } });
  });

  test('that was silent is not stable for 30 s', () => {
    const back = hear(judge(alive, FAST, 5000), beat({ counter: 99 }), OWN, 5000).session;
    expect([back.state, back.sinceMs]).toEqual(['alive', 5000]);
    expect([isStable(back, 34_999), isStable(back, 35_000)]).toEqual([false, true]);
  });

  test.each<[what: string, header: Partial<BeatHeader>]>([
    ['repeated', { counter: 11 }],
    ['older', { counter: 3 }],
    ['repeated from a former session', { session: 6n, counter: 99 }],
  ])('with a beat that is %s proves nothing', (_, header) => {
    const restarted = hear(
      hear(newSession(0), beat({ session: 6n }), OWN, 0).session,
      beat({ counter: 1 }),
      OWN,
      1,
    ).session;
    const now = regular(restarted, [100, 1000]);
    const { session, verdict } = hear(judge(now, FAST, 3000), beat(header), OWN, 3000);
    expect([verdict, session.state]).toEqual(['stale', 'silent']);
  });

  test('that is another process now goes on without a silence', () => {
    const unproven = hear(alive, beat({ session: 8n, heard: 0n }), OWN, 1100);
    expect([unproven.verdict, unproven.session.state]).toEqual(['unproven', 'alive']);
    expect(heardSession(unproven.session, FAST, 1100)).toBe(7n);
    const { session } = hear(unproven.session, beat({ session: 8n, counter: 2 }, 5), OWN, 1200);
    expect([session.state, session.claims.term, isStable(session, 1200)]).toEqual(['alive', 5, true]);
    expect(heardSession(session, FAST, 1200)).toBe(8n);
  });

  test('is told its session only while we hear it', () => {
    expect([
      heardSession(newSession(0), FAST, 0),
      heardSession(alive, FAST, 1400),
      heardSession(alive, FAST, 1600),
    ]).toEqual([0n, 7n, 0n]);
    const oneWay = hear(newSession(0), beat({ heard: 0n }), OWN, 0).session;
    expect([heardSession(oneWay, FAST, 400), heardSession(oneWay, FAST, 600)]).toEqual([7n, 0n]);
  });

  test('is not blamed for our own pause', () => {
    const slept = excuse(alive, FAST, 9000, 10_050);
    expect(judge(slept, FAST, 10_400).state).toBe('alive');
    expect(judge(slept, FAST, 10_600).state).toBe('silent');
    const gaveUsUp = hear(slept, beat({ counter: 50, heard: 0n }), OWN, 10_100).session;
    expect(gaveUsUp.state).toBe('alive');
    expect(hear(slept, beat({ counter: 50, heard: 0n }), OWN, 10_600).session.state).toBe('silent');
  });

  test('may be silent longer when it sends more rarely, or when many beats get lost', () => {
    expect([patienceMs(alive, FAST), patienceMs(alive, SLOW), patienceMs({ ...alive, everyMs: 1000 }, FAST)]).toEqual([
      500, 5000, 5000,
    ]);
    const lossy = regular(alive, [1100, 60_000], {}, (index) => index % 10 < 3);
    expect(lossy.loss).toBeGreaterThan(0.2);
    expect(patienceMs(lossy, FAST)).toBeGreaterThan(900);
    expect(patienceMs(lossy, FAST)).toBeLessThanOrEqual(2000);
    const well = regular(lossy, [60_100, 120_000]);
    expect(patienceMs(well, FAST)).toBe(500);
  });

  test('was not lossy because it was away', () => {
    const back = hear(judge(alive, FAST, 60_000), beat({ counter: 600 }), OWN, 60_000).session;
    expect(patienceMs(back, FAST)).toBe(500);
  });

  test('has a round-trip time that leaves out how long the beat was held', () => {
    const { session } = hear(newSession(0), beat({ echoMs: 70, heldMs: 10 }), OWN, 100);
    expect(session.rttMs).toBe(20);
    expect(hear(session, beat({ counter: 2, echoMs: 500, heldMs: 0 }), OWN, 200).session.rttMs).toBe(20);
  });

  test('is never alive without a beat that names our session, whatever is replayed in whatever order', () => {
    const recorded = fc.record({
      session: fc.constantFrom(7n, 8n),
      heard: fc.constantFrom(0n, 41n, OWN),
      counter: fc.integer({ min: 1, max: 20 }),
    });
    fc.assert(
      fc.property(fc.array(recorded, { maxLength: 40 }), (headers) => {
        let session = newSession(0);
        const proofs = new Set<string>();
        for (const [index, header] of headers.entries()) {
          const nowMs = index * 600;
          session = judge(session, FAST, nowMs);
          const heard = hear(session, beat(header), OWN, nowMs);
          session = heard.session;
          if (heard.verdict !== 'proven') {
            expect(session.state).not.toBe('alive');
            continue;
          }
          const proof = `${header.session} ${header.counter}`;
          expect([header.heard, proofs.has(proof)]).toEqual([OWN, false]);
          proofs.add(proof);
        }
      }),
    );
  });
});
