import { describe, expect, test } from '@jest/globals';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CommandError, createRunner, formatCommand } from '../../src/host/command.ts';
import { openSpool } from '../../src/host/spool.ts';
import type { LogFields, Logger } from '../../src/runtime/logger.ts';

function recordingLogger(lines: LogFields[]): Logger {
  const logger: Logger = {
    error: () => undefined,
    warn: () => undefined,
    info: () => undefined,
    debug: (_message, fields) => void lines.push(fields ?? {}),
    with: () => logger,
  };
  return logger;
}

describe('createRunner', () => {
  const lines: LogFields[] = [];
  const runner = createRunner({ logger: recordingLogger(lines) });

  test('feeds stdin and returns both streams as they were', async () => {
    const result = await runner.run('sh', ['-c', 'cat; echo oops >&2'], { stdin: 'hello\n' });
    expect(result).toEqual({ exitCode: 0, stdout: 'hello\n', stderr: 'oops\n' });
  });

  test('rejects with what the tool said', async () => {
    const failure = await runner
      .run('sh', ['-c', 'echo out; echo bad thing >&2; exit 3'])
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CommandError);
    expect(failure).toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'bad thing\n' });
    expect((failure as Error).message).toBe("sh -c 'echo out; echo bad thing >&2; exit 3': bad thing (exit code 3)");
  });

  test('an expected exit code does not reject', async () => {
    expect(await runner.run('sh', ['-c', 'exit 2'], { okExitCodes: [0, 2] })).toMatchObject({ exitCode: 2 });
  });

  test('a missing program and a run that takes too long say so', async () => {
    await expect(runner.run('no-such-program', [])).rejects.toThrow(/program no-such-program not found$/);
    await expect(runner.run('sleep', ['60'], { timeoutMs: 20 })).rejects.toThrow('not finished after 20 ms');
  });

  test('an aborted run is killed', async () => {
    const controller = new AbortController();
    const run = runner.run('sleep', ['60'], { signal: controller.signal });
    controller.abort();
    await expect(run).rejects.toThrow('cancelled');
  });

  test('a wordy program: the same results, and nothing stays open', async () => {
    const before = readdirSync('/proc/self/fd').length;
    const words = ['-c', 'for i in 1 2 3; do echo "wört $i"; done; cat; echo oops >&2; exit 4'];
    const run = { wordy: true, stdin: 'hello\n', okExitCodes: [4] };
    const expected = { exitCode: 4, stdout: 'wört 1\nwört 2\nwört 3\nhello\n', stderr: 'oops\n' };
    expect(await runner.run('sh', words, run)).toEqual(expected);
    await expect(runner.run('no-such-program', [], run)).rejects.toThrow(/program no-such-program not found$/);
    await expect(runner.run('sleep', ['60'], { ...run, timeoutMs: 20 })).rejects.toThrow('not finished after 20 ms');
    expect(readdirSync('/proc/self/fd')).toHaveLength(before);
  });

  test('speaks the C locale and logs a line that can be pasted', async () => {
    expect((await runner.run('sh', ['-c', 'echo $LC_ALL'])).stdout).toBe('C\n');
    expect(lines.at(-1)?.['command']).toBe("sh -c 'echo $LC_ALL'");
  });
});

test('formatCommand quotes what a shell would read', () => {
  expect(formatCommand('nft', ['add', "it's", '', 'a/b.c'])).toBe(`nft add 'it'\\''s' '' a/b.c`);
});

test('a spool has no name, and is not had where there is no place for it', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'spool-test-'));
  try {
    const spool = openSpool(folder)!;
    expect(readdirSync(folder)).toEqual([]);
    expect(spool.take()).toBe('');
  } finally {
    rmSync(folder, { recursive: true });
  }
  expect(openSpool('/no/such/folder')).toBeUndefined();
});
