import { expect, test } from '@jest/globals';
import { HeadStart } from '../../src/engine/headstart.ts';
import { FakeClock } from '../fakes/clock.ts';

/** Whether other work may go on. */
async function isOver(start: HeadStart): Promise<boolean> {
  let over = false;
  void start.over.then(() => (over = true));
  for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  return over;
}

test('other work waits from the takeover until the others know', async () => {
  const start = new HeadStart(new FakeClock());
  expect(await isOver(start)).toBe(true);
  start.begin();
  expect(await isOver(start)).toBe(false);
  start.end();
  expect(await isOver(start)).toBe(true);
});

test('and at most 150 ms when they cannot be told', async () => {
  const clock = new FakeClock();
  const start = new HeadStart(clock);
  start.begin();
  await clock.advance(149);
  expect(await isOver(start)).toBe(false);
  await clock.advance(1);
  expect(await isOver(start)).toBe(true);
});

test('a second takeover waits anew, and nobody waits for the first any more', async () => {
  const clock = new FakeClock();
  const start = new HeadStart(clock);
  start.begin();
  await clock.advance(100);
  const { over } = start;
  start.begin();
  await over;
  await clock.advance(60);
  expect(await isOver(start)).toBe(false);
  start.end();
  expect(await isOver(start)).toBe(true);
});
