import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { LookTimer } from '../../../src/engine/drivers/look-timer.ts';
import { Pacer } from '../../../src/engine/drivers/pacer.ts';

describe('pacer', () => {
  /** Times at which something that always fails is tried, when somebody looks every 100 ms. */
  function tries(firstDelayMs: number, untilMs: number): readonly number[] {
    const pacer = new Pacer();
    const looks = Array.from({ length: untilMs / 100 + 1 }, (_, index) => index * 100);
    return looks.filter((nowMs) => {
      pacer.keepOnly(new Set(['peer']));
      return pacer.due('peer', nowMs, firstDelayMs);
    });
  }

  test('tries at once, then after 1, 2, 4 … at most 30 s', () => {
    expect(tries(0, 100_000)).toEqual([0, 1000, 3000, 7000, 15_000, 31_000, 61_000, 91_000]);
  });

  test('waits first when it is the peer’s turn', () => {
    expect(tries(5000, 10_000)).toEqual([5000, 6000, 8000]);
  });

  test('begins anew after success, and says when to look next', () => {
    const pacer = new Pacer();
    expect(pacer.waitMs(0)).toBeUndefined();
    pacer.due('a', 0, 0);
    pacer.due('b', 0, 500);
    expect(pacer.waitMs(100)).toBe(400);
    expect(pacer.due('a', 999, 0)).toBe(false);
    pacer.keepOnly(new Set());
    expect(pacer.waitMs(1000)).toBeUndefined();
    expect(pacer.due('a', 1000, 0)).toBe(true);
  });
});

describe('look timer', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  test('the earliest wish counts, once', () => {
    const timer = new LookTimer();
    let looks = 0;
    timer.onDue(() => (looks += 1));
    timer.within(1000);
    timer.within(5000);
    timer.within(300);
    jest.advanceTimersByTime(299);
    expect(looks).toBe(0);
    jest.advanceTimersByTime(10_000);
    expect(looks).toBe(1);
    timer.within(100);
    timer.stop();
    jest.advanceTimersByTime(1000);
    expect(looks).toBe(1);
  });
});
