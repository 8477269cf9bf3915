import { afterEach, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { createLeaseElector, type LeaseElector } from '../../src/kube/lease.ts';
import {
  decideLease,
  heldRecord,
  microTime,
  observeLease,
  offerOf,
  releasedRecord,
} from '../../src/kube/leaserules.ts';
import type { Lease } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { createStore } from '../../src/kube/store.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { FakeClock, settle } from '../fakes/clock.ts';
import { FakeKube, type FakeCall } from '../fakes/kube.ts';
import { gone, linkTo } from '../fakes/link.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Candidate {
  readonly elector: LeaseElector;
  readonly kube: FakeKube;
  stop(): Promise<void>;
}

const place = { namespace: 'ns', name: 'lock' };
/** A candidate with a link of its own to the shared API server; `cut` makes its requests fail. */
function candidate(
  kube: FakeKube,
  clock: FakeClock,
  identity: string,
  withStore: boolean,
  isCut = () => false,
  mayTakeOver: (lease: Lease) => boolean = () => false,
): Candidate {
  const stop = new AbortController();
  const link = linkTo(kube, isCut);
  const store = createStore<Lease>(link, RESOURCES.leases, { namespace: 'ns', logger: silentLogger, clock });
  const elector = createLeaseElector({
    client: link,
    ...place,
    identity,
    logger: silentLogger,
    clock,
    mayTakeOver,
    ...(withStore ? { store } : {}),
  });
  const done = Promise.all([elector.run(stop.signal), withStore ? store.run(stop.signal) : undefined]);
  const end = async (): Promise<void> => {
    stop.abort();
    const progress = { finished: false };
    const settled = done.then(() => (progress.finished = true));
    for (let turn = 0; turn < 50 && !progress.finished; turn += 1) await clock.advance(200);
    await settled;
  };
  cleanups.push(end);
  return { elector, kube, stop: end };
}

const lock = (kube: FakeKube): Lease => kube.all<Lease>(RESOURCES.leases, 'ns')[0]!;
const leaders = (all: readonly Candidate[]): boolean[] => all.map(({ elector }) => elector.leader);

describe.each([true, false])('elector (store: %s)', (withStore) => {
  test('takes a lease nobody has and renews it every second', async () => {
    const [kube, clock] = [new FakeKube(), new FakeClock()];
    const { elector } = candidate(kube, clock, 'a', withStore);
    let changes = 0;
    elector.onChange(() => (changes += 1));
    await settle();
    expect([elector.leader, elector.confirmed, elector.holder, elector.problem]).toEqual([true, true, 'a', undefined]);
    const first = lock(kube).spec!;
    expect(first).toEqual({
      holderIdentity: 'a',
      leaseDurationSeconds: 5,
      acquireTime: microTime(clock.now()),
      renewTime: microTime(clock.now()),
      leaseTransitions: 0,
    });
    expect(first.renewTime).toMatch(/\.\d{6}Z$/);
    await clock.advance(10_000);
    expect(lock(kube).spec).toEqual({ ...first, renewTime: microTime(clock.now()) });
    const writes = kube.writes.length;
    expect(writes).toBeGreaterThanOrEqual(10);
    expect(writes).toBeLessThanOrEqual(12);
    expect(changes).toBe(1);
  });

  test('of several exactly one leads; when it stops the next takes over at once', async () => {
    const [kube, clock] = [new FakeKube(), new FakeClock()];
    const all = ['a', 'b', 'c'].map((identity) => candidate(kube, clock, identity, withStore));
    await clock.advance(3000);
    expect(leaders(all).filter(Boolean)).toHaveLength(1);
    const first = leaders(all).indexOf(true);
    await all[first]!.stop();
    expect(all[first]!.elector.leader).toBe(false);
    await clock.advance(withStore ? 10 : 1000);
    const next = leaders(all).indexOf(true);
    expect(leaders(all).filter(Boolean)).toHaveLength(1);
    expect(next).not.toBe(first);
    expect(lock(kube).spec).toMatchObject({ leaseTransitions: 1 });
  });

  test('a holder that vanished is replaced after the time in its record, by the observer’s clock', async () => {
    const [kube, clock] = [new FakeKube(), new FakeClock()];
    kube.seed(RESOURCES.leases, {
      metadata: place,
      // a holder whose clock is a year ahead
      spec: { ...heldRecord(undefined, 'dead', clock.now() + 3e10, 7000) },
    });
    const { elector } = candidate(kube, clock, 'a', withStore);
    await clock.advance(6900);
    expect([elector.leader, elector.holder]).toEqual([false, 'dead']);
    await clock.advance(withStore ? 200 : 1200);
    expect([elector.leader, elector.holder, lock(kube).spec?.leaseTransitions]).toEqual([true, 'a', 1]);
  });

  test('a lease that was deleted does not begin at 0 again', async () => {
    const [kube, clock] = [new FakeKube(), new FakeClock()];
    kube.seed(RESOURCES.leases, { metadata: place, spec: { ...releasedRecord({}, 0), leaseTransitions: 6 } });
    const { elector } = candidate(kube, clock, 'a', withStore);
    await clock.advance(1000);
    expect(elector.term).toBe(7);
    await kube.delete(RESOURCES.leases, place.name, { namespace: place.namespace });
    await clock.advance(3000);
    expect([elector.leader, lock(kube).spec?.leaseTransitions]).toEqual([true, 8]);
  });

  test('a restarted holder resumes at once', async () => {
    const [kube, clock] = [new FakeKube(), new FakeClock()];
    const before = heldRecord(undefined, 'a', clock.now() - 2000, 5000);
    kube.seed(RESOURCES.leases, { metadata: place, spec: before });
    const { elector } = candidate(kube, clock, 'a', withStore);
    await settle();
    expect(elector.leader).toBe(true);
    expect(lock(kube).spec).toMatchObject({ acquireTime: before.acquireTime, leaseTransitions: 0 });
  });

  test('while the API server is away the holder stays leader, unconfirmed and with a problem, and nobody takes over after', async () => {
    const [kube, clock] = [new FakeKube(), new FakeClock()];
    const a = candidate(kube, clock, 'a', withStore);
    await clock.advance(1000);
    const b = candidate(kube, clock, 'b', withStore);
    await clock.advance(2000);
    kube.down = true;
    await clock.advance(60_000);
    expect([a.elector.leader, a.elector.confirmed]).toEqual([true, false]);
    expect(a.elector.problem).toContain('connection refused');
    expect(b.elector.leader).toBe(false);
    kube.down = false;
    await clock.advance(40_000);
    expect([leaders([a, b]), a.elector.confirmed, a.elector.problem]).toEqual([[true, false], true, undefined]);
    expect(lock(kube).spec?.leaseTransitions).toBe(0);
  });

  test('outages a little shorter than the lease move nothing either', async () => {
    const [kube, clock] = [new FakeKube(), new FakeClock()];
    const a = candidate(kube, clock, 'a', withStore);
    await clock.advance(1000);
    const b = candidate(kube, clock, 'b', withStore);
    for (let round = 0; round < 10; round += 1) {
      await clock.advance(31_000);
      kube.down = true;
      await clock.advance(4900);
      kube.down = false;
    }
    await clock.advance(31_000);
    expect([leaders([a, b]), lock(kube).spec?.leaseTransitions]).toEqual([[true, false], 0]);
  });

  test('a holder that is cut off is replaced and steps down as soon as it sees so', async () => {
    const [kube, clock] = [new FakeKube(), new FakeClock()];
    let cut = false;
    const a = candidate(kube, clock, 'a', withStore, () => cut);
    await clock.advance(1000);
    const b = candidate(kube, clock, 'b', withStore);
    await clock.advance(1000);
    cut = true;
    await clock.advance(7500);
    expect([leaders([a, b]), a.elector.confirmed, b.elector.confirmed]).toEqual([[true, true], false, true]);
    cut = false;
    await clock.advance(1500);
    expect([leaders([a, b]), a.elector.holder]).toEqual([[false, true], 'b']);
  });

  test('one that may take over does, as soon as it is told to look', async () => {
    const [kube, clock] = [new FakeKube(), new FakeClock()];
    const a = candidate(kube, clock, 'a', withStore);
    await clock.advance(1000);
    let dead = false;
    const b = candidate(kube, clock, 'b', withStore, undefined, (lease) => dead && lease.spec?.holderIdentity === 'a');
    await clock.advance(20_000);
    expect(leaders([a, b])).toEqual([true, false]);
    dead = true;
    b.elector.reconsider();
    await clock.advance(400);
    expect(b.elector.leader).toBe(true);
    expect([b.elector.term, lock(kube).spec?.leaseTransitions]).toEqual([1, 1]);
    await clock.advance(1500);
    expect(leaders([a, b])).toEqual([false, true]);
  });

  test('an offer is answered by who it names, and gone then', async () => {
    const [kube, clock] = [new FakeKube(), new FakeClock()];
    const a = candidate(kube, clock, 'a', withStore);
    await clock.advance(1000);
    const b = candidate(kube, clock, 'b', withStore, undefined, (lease) => offerOf(lease) === 'b');
    await clock.advance(1000);
    await a.elector.offer('b', new AbortController().signal);
    await clock.advance(2500);
    expect(leaders([a, b])).toEqual([false, true]);
    expect([offerOf(lock(kube)), lock(kube).spec?.holderIdentity]).toEqual([undefined, 'b']);
    await b.elector.offer('b', new AbortController().signal);
    await clock.advance(2500);
    expect([offerOf(lock(kube)), lock(kube).spec?.holderIdentity]).toEqual([undefined, 'b']);
  });

  test('a holder that is told that another one leads steps aside, and leads again when the lease says so', async () => {
    const [kube, clock] = [new FakeKube(), new FakeClock()];
    const a = candidate(kube, clock, 'a', withStore);
    await clock.advance(1000);
    kube.down = true;
    a.elector.stepAside();
    await clock.advance(10_000);
    expect(a.elector.leader).toBe(false);
    kube.down = false;
    await clock.advance(40_000);
    expect(a.elector.leader).toBe(true);
  });

  test('a lease deleted under the holder is made again', async () => {
    const [kube, clock] = [new FakeKube(), new FakeClock()];
    const a = candidate(kube, clock, 'a', withStore);
    await settle();
    kube.drop(RESOURCES.leases, 'lock', 'ns');
    await clock.advance(2500);
    expect([a.elector.leader, lock(kube).spec?.holderIdentity]).toEqual([true, 'a']);
  });

  test('never two confirmed leaders; one leader in the end', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constantFrom('cut', 'heal', 'restart'), who: fc.nat(2) }),
      fc.record({ do: fc.constant('advance'), ms: fc.integer({ min: 1, max: 4000 }) }),
      fc.record({ do: fc.constantFrom('down', 'up', 'break', 'flake') }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (script) => {
        const [kube, clock] = [new FakeKube(), new FakeClock()];
        let flaky = 0;
        kube.onCall = (call: FakeCall) => (call.resource === 'leases' && flaky-- > 0 ? gone : undefined);
        const cut = [false, false, false];
        const make = (index: number): Candidate =>
          candidate(kube, clock, `c${index}`, withStore, () => cut[index] === true);
        const all = [0, 1, 2].map(make);
        const check = (): void => {
          expect(all.filter(({ elector }) => elector.confirmed).length).toBeLessThanOrEqual(1);
        };
        for (const one of script) {
          const who = 'who' in one ? one.who : 0;
          if (one.do === 'cut' || one.do === 'heal') cut[who] = one.do === 'cut';
          else if (one.do === 'restart') {
            await all[who]!.stop();
            all[who] = make(who);
          } else if (one.do === 'advance') {
            for (let left = (one as { ms: number }).ms; left > 0; left -= 500) {
              await clock.advance(Math.min(500, left));
              check();
            }
          } else if (one.do === 'flake') flaky = 3;
          else if (one.do === 'break') kube.breakWatches();
          else kube.down = one.do === 'down';
          await settle();
          check();
        }
        kube.down = false;
        flaky = 0;
        cut.fill(false);
        await clock.advance(45_000);
        check();
        expect(leaders(all).filter(Boolean)).toHaveLength(1);
        expect(all.find(({ elector }) => elector.leader)?.elector.confirmed).toBe(true);
        for (const each of all) await each.stop();
        expect(lock(kube).spec?.holderIdentity).toBe('');
      }),
      { numRuns: 40 },
    );
  }, 60_000);
});

describe('rules', () => {
  test('an unchanged record keeps its time, any change starts it anew', () => {
    const record = heldRecord(undefined, 'a', 0, 5000);
    const first = observeLease(undefined, record, 10);
    expect(observeLease(first, { ...record }, 5000)).toBe(first);
    expect(observeLease(first, { ...record, renewTime: microTime(1) }, 5000).since).toBe(5000);
  });

  test.each([
    [undefined, 0, { action: 'acquire' }],
    [releasedRecord({}, 0), 0, { action: 'acquire' }],
    [heldRecord(undefined, 'me', 0, 5000), 9e9, { action: 'renew' }],
    [heldRecord(undefined, 'you', 0, 5000), 4000, { action: 'wait', ms: 1000 }],
    [heldRecord(undefined, 'you', 0, 5000), 5000, { action: 'acquire' }],
    [{ holderIdentity: 'you' }, 14_000, { action: 'wait', ms: 1000 }],
  ])('%j at %i', (record, now, decision) => {
    expect(decideLease({ record, since: 0 }, 'me', now, 15_000)).toEqual(decision);
  });

  test('transitions count changes of the holder', () => {
    const a = heldRecord(undefined, 'a', 0, 5000);
    const b = heldRecord(a, 'b', 1000, 5000);
    const again = heldRecord(releasedRecord(b, 2000), 'b', 3000, 5000);
    expect([a, b, heldRecord(b, 'b', 2000, 5000), again].map((one) => one.leaseTransitions)).toEqual([0, 1, 1, 2]);
  });
});
