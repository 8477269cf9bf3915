import { expect, jest, test } from '@jest/globals';
import { systemClock } from '../../src/runtime/clock.ts';

test('a sleep is never shorter than asked for, though timers fire early', async () => {
  const real = globalThis.setTimeout;
  const early = jest
    .spyOn(globalThis, 'setTimeout')
    .mockImplementation((run: () => void, ms = 0) => real(run, ms > 5 ? ms - 5 : ms));
  try {
    for (const ms of [0, 1, 7, 20]) {
      const start = systemClock.monotonic();
      await systemClock.sleep(ms);
      expect(systemClock.monotonic() - start).toBeGreaterThanOrEqual(ms);
    }
  } finally {
    early.mockRestore();
  }
});

test('a sleep ends at once when it is given up, before or meanwhile', async () => {
  const start = systemClock.monotonic();
  await systemClock.sleep(60_000, AbortSignal.abort());
  const controller = new AbortController();
  const slept = systemClock.sleep(60_000, controller.signal);
  controller.abort();
  await slept;
  expect(systemClock.monotonic() - start).toBeLessThan(30_000);
});
