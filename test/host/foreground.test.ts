import { expect, test } from '@jest/globals';
import { runInForeground } from '../../src/host/foreground.ts';

const env = { PATH: process.env['PATH'] };

test('gives the exit code of the program', async () => {
  expect(await runInForeground('sh', ['-c', 'exit 7'], env)).toBe(7);
});

test('gives 128 + n when a signal ended it', async () => {
  expect(await runInForeground('sh', ['-c', 'kill -KILL $$'], env)).toBe(137);
});

test('hands over exactly the environment it is given', async () => {
  expect(await runInForeground('sh', ['-c', 'test "$A" = 1 && test -z "$HOME"'], { ...env, A: '1' })).toBe(0);
});

test('a program that is not there is an error that names it', async () => {
  await expect(runInForeground('/no/such/program', [], env)).rejects.toThrow(/cannot start \/no\/such\/program/);
});
