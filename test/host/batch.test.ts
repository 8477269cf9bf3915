import { describe, expect, test } from '@jest/globals';
import { answerOf, readBatch, runBatch } from '../../src/host/batch.ts';
import { CommandError, type CommandRunner, type RunResult } from '../../src/host/command.ts';

function runner(result: RunResult): CommandRunner {
  return {
    run: async (file, args, options) => {
      await Promise.resolve();
      if ((options?.okExitCodes ?? [0]).includes(result.exitCode)) return result;
      throw new CommandError(file, args, result);
    },
  };
}

const LINES = [
  ['route', 'add', 'a'],
  ['route', 'add', 'b'],
  ['route', 'add', 'c'],
];

describe('a batch of changes', () => {
  test('tells which lines failed and why', async () => {
    const stderr = 'RTNETLINK answers: File exists\nCommand failed -:1\nCannot find device "x"\nCommand failed -:3\n';
    expect(await runBatch(runner({ exitCode: 1, stdout: '', stderr }), 'ip', LINES)).toEqual([
      'RTNETLINK answers: File exists',
      undefined,
      'Cannot find device "x"',
    ]);
  });

  test('that broke off counts as failed from there, and what had failed keeps its reason', async () => {
    const stderr =
      'RTNETLINK answers: File exists\nCommand failed -:1\nError: any valid prefix is expected rather than "b".\n';
    const outcome = await runBatch(runner({ exitCode: 1, stdout: '', stderr }), 'ip', LINES);
    expect(outcome[0]).toBe('RTNETLINK answers: File exists');
    expect(outcome.slice(1).every((reason) => reason?.includes('any valid prefix'))).toBe(true);
  });

  test('that could not run at all failed as a whole', async () => {
    expect(await runBatch(runner({ exitCode: 127, stdout: '', stderr: '' }), 'ip', LINES)).toEqual(
      Array(3).fill('ip -N -d -j -force -batch -: failed (exit code 127)'),
    );
  });
});

describe('a batch that a process took which had run before', () => {
  const asked: (readonly [string, boolean])[] = [];
  const standing = (second: RunResult): CommandRunner => ({
    run: async (_file, _args, { stdin = '', lines = false } = {}) => {
      await Promise.resolve();
      asked.push([stdin.trim(), lines]);
      if (!lines) return second;
      const stderr = 'Cannot find device "x"\nCommand failed -:1\nRTNETLINK answers: File exists\nCommand failed -:3\n';
      return { exitCode: 1, stdout: '', stderr, stood: true };
    },
  });

  test('goes once more to a new one, as far as it was refused', async () => {
    const second = { exitCode: 1, stdout: '', stderr: 'RTNETLINK answers: File exists\nCommand failed -:2\n' };
    expect(await runBatch(standing(second), 'ip', LINES)).toEqual([
      undefined,
      undefined,
      'RTNETLINK answers: File exists',
    ]);
    expect(asked).toEqual([
      ['route add a\nroute add b\nroute add c', true],
      ['route add a\nroute add c', false],
    ]);
  });
});

describe('a batch of questions', () => {
  const stderr = 'Error: ipv4: FIB table does not exist.\nDump terminated\nCommand failed -:2\n';
  const ask = (stdout: string, more = stderr): ReturnType<typeof readBatch> =>
    readBatch(runner({ exitCode: 1, stdout, stderr: more }), LINES);

  test.each([
    ['nothing', '[{"a":1}]\n[]\n'],
    ['a lone bracket before the next answer', '[{"a":1}]\n[[]\n'],
  ])('matches answers and failures when a failure prints %s', async (_name, stdout) => {
    expect(await ask(stdout)).toEqual([
      { output: '[{"a":1}]' },
      { failure: 'Error: ipv4: FIB table does not exist.' },
      { output: '[]' },
    ]);
  });

  test('refuses what cannot be matched', async () => {
    await expect(ask('[]\n')).rejects.toThrow(CommandError);
    await expect(ask('[]\n[]\n[]\n[]\n', '')).rejects.toThrow(CommandError);
  });

  test('asked at the same moment goes to one process, each question once, and each caller gets its own answers', async () => {
    const asked: string[] = [];
    const echo: CommandRunner = {
      run: async (_file, _args, options) => {
        await Promise.resolve();
        const lines = options?.stdin?.trim().split('\n') ?? [];
        asked.push(lines.join(', '));
        const failed = lines.indexOf('b') + 1;
        const stdout = lines.map((line) => (line === 'b' ? '' : `["${line}"]\n`)).join('');
        return { exitCode: 1, stdout, stderr: failed === 0 ? '' : `no b\nCommand failed -:${failed}\n` };
      },
    };
    const { signal } = new AbortController();
    const [first, second, third] = await Promise.all([
      readBatch(echo, [['a'], ['b']]),
      readBatch(echo, [['c'], ['a']]),
      readBatch(echo, [['a']], signal),
    ]);
    expect(first).toEqual([{ output: '["a"]' }, { failure: 'no b' }]);
    expect(second).toEqual([{ output: '["c"]' }, { output: '["a"]' }]);
    expect(third).toEqual([{ output: '["a"]' }]);
    expect(await readBatch(echo, [['a']])).toEqual([{ output: '["a"]' }]);
    expect(asked).toEqual(['a, b, c', 'a', 'a']);
  });

  test('a failure is an error unless it means that there is nothing', () => {
    expect(answerOf({ failure: 'no such thing' }, 'x', /no such/)).toBe('');
    expect(() => answerOf({ failure: 'out of memory' }, 'rule show', /no such/)).toThrow('ip rule show: out of memory');
    expect(answerOf({ output: '[]' }, 'x')).toBe('[]');
  });
});
