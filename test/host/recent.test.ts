import { beforeEach, describe, expect, test } from '@jest/globals';
import { lookOnce } from '../../src/host/command.ts';
import { RecentLooks } from '../../src/host/recent.ts';
import { FakeClock } from '../fakes/clock.ts';

let clock: FakeClock;
let recent: RecentLooks;
let looks: number;
/** What the kernel has; every look counts. */
let kernel: string;
const look = async (): Promise<string> => {
  looks += 1;
  await Promise.resolve();
  return kernel;
};

beforeEach(() => {
  clock = new FakeClock();
  recent = new RecentLooks({ maxAgeMs: 1000, clock });
  looks = 0;
  kernel = 'as it was';
});

describe('while every change is reported', () => {
  beforeEach(() => recent.trust(true));

  test('the last look serves, each question for itself', async () => {
    expect(await recent.take('a', look)).toBe('as it was');
    kernel = 'changed without a report';
    expect(await recent.take('a', look)).toBe('as it was');
    expect(await recent.take('b', look)).toBe('changed without a report');
    expect(looks).toBe(2);
  });

  test('a report makes the next look a real one', async () => {
    await recent.take('a', look);
    kernel = 'changed';
    recent.forget();
    expect(await recent.take('a', look)).toBe('changed');
  });

  test('a look that was under way when a report came is not remembered', async () => {
    const early = recent.take('a', look);
    recent.forget();
    expect(await early).toBe('as it was');
    kernel = 'changed';
    expect(await recent.take('a', look)).toBe('changed');
  });

  test('a look that failed is not remembered', async () => {
    await expect(recent.take('a', () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(await recent.take('a', look)).toBe('as it was');
  });

  test('what is too old is looked at anew, counted from the begin of the look', async () => {
    await recent.take('a', async () => {
      await clock.advance(600);
      return look();
    });
    await clock.advance(399);
    await recent.take('a', look);
    expect(looks).toBe(1);
    await clock.advance(1);
    await recent.take('a', look);
    expect(looks).toBe(2);
  });

  test('when reports stop, so does the memory, also of looks under way', async () => {
    await recent.take('a', look);
    const early = recent.take('b', look);
    recent.trust(false);
    await early;
    for (const question of ['a', 'b', 'b']) await recent.take(question, look);
    expect(looks).toBe(5);
  });
});

test('before anybody reports, every look is a real one; a runner without memory always looks', async () => {
  for (let turn = 0; turn < 2; turn += 1) await recent.take('a', look);
  const run = () => Promise.reject(new Error('not asked'));
  for (let turn = 0; turn < 2; turn += 1) await lookOnce({ run }, 'a', look);
  expect(looks).toBe(4);
});
