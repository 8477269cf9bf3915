import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { ReconcileLoop } from '../../src/runtime/loop.ts';
import { silentLogger, type Logger } from '../../src/runtime/logger.ts';
import { FakeClock, settle } from '../fakes/clock.ts';

function setUp(
  reconcile: (signal: AbortSignal) => Promise<void>,
  more: { resyncMs?: number; settleMs?: number; logger?: Logger } = {},
) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const loop = new ReconcileLoop({
    name: 'test',
    reconcile,
    logger: silentLogger,
    clock,
    backoff: { initialMs: 1000, maxMs: 8000 },
    ...more,
  });
  return { clock, stop, loop };
}

describe('ReconcileLoop', () => {
  test('looks once at the start, then once for any number of triggers', async () => {
    let runs = 0;
    const { loop, stop } = setUp(async () => void (runs += 1));
    const done = loop.run(stop.signal);
    await settle();
    expect(runs).toBe(1);
    for (let index = 0; index < 10; index += 1) loop.trigger();
    await settle();
    expect(runs).toBe(2);
    stop.abort();
    await done;
  });

  test('looks again after the resync time', async () => {
    let runs = 0;
    const { loop, stop, clock } = setUp(async () => void (runs += 1), { resyncMs: 1000 });
    const done = loop.run(stop.signal);
    await clock.advance(890);
    expect(runs).toBe(1);
    await clock.advance(110);
    expect(runs).toBe(2);
    stop.abort();
    await done;
  });

  test('a failure is repeated with growing delays that triggers do not shorten, a success resets them', async () => {
    const runs: number[] = [];
    let fail = true;
    const { loop, stop, clock } = setUp(async () => {
      runs.push(clock.monotonic());
      if (fail) throw new Error('no');
    });
    const done = loop.run(stop.signal);
    await settle();
    for (let index = 0; index < 4; index += 1) {
      loop.trigger();
      await clock.advance(clock.nextMs ?? Number.NaN);
    }
    expect(runs).toHaveLength(5);
    const gaps = runs.slice(1).map((at, index) => at - runs[index]!);
    gaps.forEach((gap, index) => {
      expect(gap).toBeGreaterThanOrEqual(500 * 2 ** index - 1);
      expect(gap).toBeLessThanOrEqual(Math.min(8000, 1000 * 2 ** index));
    });
    fail = false;
    await clock.advance(8000);
    fail = true;
    const before = runs.length;
    loop.trigger();
    await settle();
    await clock.advance(1000);
    expect(runs.length).toBe(before + 2);
    stop.abort();
    await done;
  });

  test('warns of the first failure, of another reason and of every tenth, and says when it is over', async () => {
    const told: string[] = [];
    const tell =
      (level: string): Logger['warn'] =>
      (message, fields) =>
        told.push(`${level} ${message} ${String(fields?.['failures'])}`);
    const logger = { ...silentLogger, info: tell('info'), warn: tell('warn') };
    let reason: string | undefined = 'server away';
    const { loop, stop, clock } = setUp(
      async () => {
        if (reason !== undefined) throw new Error(reason);
      },
      { logger },
    );
    const done = loop.run(stop.signal);
    const next = async (): Promise<void> => clock.advance(clock.nextMs ?? Number.NaN);
    await settle();
    for (let run = 2; run <= 10; run += 1) await next();
    reason = 'no right';
    await next();
    await next();
    reason = undefined;
    await next();
    const failed = 'reconcile failed, trying again';
    expect(told).toEqual([
      `warn ${failed} 1`,
      `warn ${failed} 10`,
      `warn ${failed} 11`,
      'info reconcile works again 12',
    ]);
    stop.abort();
    await done;
  });

  test('aborting waits for the run in flight and starts no other', async () => {
    let finish: () => void = () => undefined;
    let runs = 0;
    const { loop, stop } = setUp(() => {
      runs += 1;
      return new Promise((resolve) => (finish = resolve));
    });
    let ended = false;
    const done = loop.run(stop.signal).then(() => (ended = true));
    await settle();
    loop.trigger();
    stop.abort();
    await settle();
    expect(ended).toBe(false);
    finish();
    await done;
    expect(runs).toBe(1);
  });

  test('no trigger is lost, and no two runs overlap, whatever the timing', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('trigger', 'finish', 'fail', 'turn', 'advance'), { maxLength: 40 }),
        async (script) => {
          let version = 0;
          let seen = -1;
          let running = 0;
          let overlap = false;
          let end: ((error?: Error) => void) | undefined;
          const { loop, stop, clock } = setUp(async () => {
            running += 1;
            overlap ||= running > 1;
            const at = version;
            try {
              await new Promise<void>((resolve, reject) => {
                end = (error) => (error === undefined ? resolve() : reject(error));
              });
              seen = at;
            } finally {
              running -= 1;
            }
          });
          const done = loop.run(stop.signal);
          const actions: Record<string, () => unknown> = {
            trigger: () => {
              version += 1;
              loop.trigger();
            },
            finish: () => end?.(),
            fail: () => end?.(new Error('x')),
            turn: settle,
            advance: () => clock.advance(700),
          };
          for (const action of script) await actions[action]?.();
          for (let index = 0; index < 20; index += 1) {
            await clock.advance(9000);
            end?.();
            await settle();
          }
          expect(seen).toBe(version);
          expect(overlap).toBe(false);
          stop.abort();
          end?.();
          await done;
        },
      ),
      { numRuns: 60 },
    );
  });
});
