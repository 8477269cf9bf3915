import { beforeEach, describe, expect, test } from '@jest/globals';
import { lookOnce } from '../../src/host/command.ts';
import { PARTS, RecentLooks } from '../../src/host/recent.ts';
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
    expect(await recent.take(['link'], 'a', look)).toBe('as it was');
    kernel = 'changed without a report';
    expect(await recent.take(['link'], 'a', look)).toBe('as it was');
    expect(await recent.take(['link'], 'b', look)).toBe('changed without a report');
    expect(looks).toBe(2);
  });

  test('a report makes the next look a real one', async () => {
    await recent.take(['link'], 'a', look);
    kernel = 'changed';
    recent.forget();
    expect(await recent.take(['link'], 'a', look)).toBe('changed');
  });

  test('a report about one part leaves the looks at the others, also those under way', async () => {
    for (const part of PARTS) await recent.take([part], part, look);
    await recent.take(['link', 'route'], 'both', look);
    kernel = 'changed';
    const early = recent.take(['nft'], 'late', look);
    recent.forget(['route']);
    expect(await early).toBe('changed');
    expect(looks).toBe(6);
    for (const part of ['link', 'fdb', 'nft'] as const) expect(await recent.take([part], part, look)).toBe('as it was');
    await recent.take(['nft'], 'late', look);
    expect(looks).toBe(6);
    expect(await recent.take(['route'], 'route', look)).toBe('changed');
    expect(await recent.take(['link', 'route'], 'both', look)).toBe('changed');
  });

  test('a look that was under way when a report came is not remembered', async () => {
    const early = recent.take(['link'], 'a', look);
    recent.forget();
    expect(await early).toBe('as it was');
    kernel = 'changed';
    expect(await recent.take(['link'], 'a', look)).toBe('changed');
  });

  test('a look that failed is not remembered', async () => {
    await expect(recent.take(['link'], 'a', () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(await recent.take(['link'], 'a', look)).toBe('as it was');
  });

  test.each([
    [['route'], 1000],
    [['link', 'route'], 1000],
    [['fdb'], 1000],
    [['nft'], 1000],
    [['link'], 4000],
  ] as const)('a look at %j that is %i ms old is too old, counted from its begin', async (parts, maxAgeMs) => {
    await recent.take(parts, 'a', async () => {
      await clock.advance(600);
      return look();
    });
    await clock.advance(maxAgeMs - 601);
    await recent.take(parts, 'a', look);
    expect(looks).toBe(1);
    await clock.advance(1);
    await recent.take(parts, 'a', look);
    expect(looks).toBe(2);
  });

  test('when reports stop, so does the memory, also of looks under way', async () => {
    await recent.take(['link'], 'a', look);
    const early = recent.take(['link'], 'b', look);
    recent.trust(false);
    await early;
    for (const question of ['a', 'b', 'b']) await recent.take(['link'], question, look);
    expect(looks).toBe(5);
  });
});

test('before anybody reports, every look is a real one; a runner without memory always looks', async () => {
  for (let turn = 0; turn < 2; turn += 1) await recent.take(['link'], 'a', look);
  for (let turn = 0; turn < 2; turn += 1) await lookOnce({}, ['link'], 'a', look);
  expect(looks).toBe(4);
});
