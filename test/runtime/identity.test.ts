import { spawn, spawnSync } from 'node:child_process';
import { expect, test } from '@jest/globals';
import { hasEnded, ownIdentity } from '../../src/runtime/identity.ts';

test('a process that has ended is told from one that runs', async () => {
  const own = ownIdentity();
  expect(own).toMatchObject({ user: expect.stringMatching(/./), host: expect.stringMatching(/./), pid: process.pid });
  expect(hasEnded(own)).toBe(false);
  expect(hasEnded({ ...own, pid: spawnSync('true').pid })).toBe(true);
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
  expect(hasEnded({ ...own, pid: child.pid ?? 0 })).toBe(false);
  child.stdin.end();
  await new Promise((resolve) => child.once('close', resolve));
  expect(hasEnded({ ...own, pid: child.pid ?? 0 })).toBe(true);
});

test('of a process elsewhere nothing is known', () => {
  const { host, space } = ownIdentity();
  const { pid } = spawnSync('true');
  expect(hasEnded({ host: 'elsewhere', space, pid })).toBe(false);
  expect(hasEnded({ host, space: 'pid:[1]', pid })).toBe(false);
});
