import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Peering, type BeatPeer } from '../../../src/engine/ha/peering.ts';

const SELF = {
  clusterId: 'east',
  cableName: 'e1',
  active: true,
  term: 1,
  ready: true,
  uses: new Map<string, string>(),
};

function peer(n: number, intervalMs: number): BeatPeer {
  const cableName = `c${n}`;
  return { cableName, clusterId: `cluster-${n}`, address: `10.0.0.${n}`, intervalMs, timeoutMs: 5 * intervalMs };
}

/** Runs the loop of a gateway to which peers come one after another; the times it wakes up, and those of beats by peer. */
function serve(
  peers: readonly (readonly [peer: BeatPeer, fromMs: number])[],
  untilMs: number,
): { readonly wakes: readonly number[]; readonly sent: ReadonlyMap<string, readonly number[]> } {
  const peering = new Peering(1n);
  peering.setSelf(SELF);
  const sent = new Map<string, number[]>();
  const wakes: number[] = [];
  const changes = peers.map(([, fromMs]) => fromMs).toSorted((a, b) => a - b);
  for (let nowMs = 0; nowMs < untilMs;) {
    const known = peers.filter(([, fromMs]) => fromMs <= nowMs).map(([one]) => one);
    if (known.length !== peering.peers.length) peering.setPeers(known, nowMs);
    wakes.push(nowMs);
    peering.tick(nowMs);
    for (const { cableName } of peering.due(nowMs)) {
      peering.beatTo(cableName, nowMs);
      sent.set(cableName, [...(sent.get(cableName) ?? []), nowMs]);
    }
    const nextChangeMs = changes.find((ms) => ms > nowMs) ?? Number.POSITIVE_INFINITY;
    nowMs = Math.min(nextChangeMs, Math.max(nowMs + 1, peering.nextMs(nowMs)));
  }
  return { wakes, sent };
}

describe('peers that came at any time', () => {
  const arrivals = fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 20 });

  test('of one pace are served at a few moments, not at one each', () => {
    fc.assert(
      fc.property(arrivals, (times) => {
        const { wakes } = serve(
          times.map((ms, n) => [peer(n, 1000), ms] as const),
          30_000,
        );
        expect(wakes.filter((ms) => ms >= 10_000).length).toBeLessThanOrEqual(20 * 5);
      }),
    );
  });

  test('get a beat at least as often as their pace says', () => {
    const pace = fc.constantFrom(100, 300, 1000);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 3000 }), pace), { minLength: 1, maxLength: 8 }),
        (all) => {
          const peers = all.map(([ms, intervalMs], n) => [peer(n, intervalMs), ms] as const);
          const { sent } = serve(peers, 10_000);
          for (const [{ cableName, intervalMs = 0 }, fromMs] of peers) {
            const times = [fromMs, ...(sent.get(cableName) ?? []), 10_000];
            const gaps = times.slice(1).map((ms, index) => ms - (times[index] ?? 0));
            expect(Math.max(...gaps)).toBeLessThanOrEqual(intervalMs);
          }
        },
      ),
    );
  });
});
