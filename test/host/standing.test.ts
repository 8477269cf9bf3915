import { expect, test } from '@jest/globals';
import { StandingProgram } from '../../src/host/standing.ts';

const program = (script: string): StandingProgram =>
  new StandingProgram({
    words: ['sh', '-c', script],
    env: process.env,
    age: () => 0,
    explain: (name, error) => `${name}: ${error.message}`,
  });
const LIMITS = { timeoutMs: 10_000 };

test('a batch whose program ends without a word before the end of its lines is not done', async () => {
  expect(await program('read line; echo "$line"; exit 0').run('one\ntwo\n', LIMITS)).toEqual({
    exitCode: undefined,
    stdout: 'one\n',
    stderr: '',
    reason: 'ended before it had done all its lines',
    stood: false,
  });
});

test('what says nothing is killed when its time is over, and the next batch has another process', async () => {
  const silent = program('while read line; do :; done');
  for (const timeoutMs of [50, 60]) {
    const run = await silent.run('one\n', { timeoutMs });
    expect(run).toMatchObject({ reason: `not finished after ${timeoutMs} ms, killed`, stood: false });
  }
});
