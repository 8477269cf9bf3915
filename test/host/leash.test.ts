import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from '@jest/globals';
import { leashed } from '../../src/host/leash.ts';

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

const PROGRAM = `
  import { spawn } from 'node:child_process';
  const [file, ...args] = JSON.parse(process.argv[1]);
  const child = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  child.on('exit', () => process.exit(3));
`;

/** A process that starts these words as its child and waits. */
function start(words: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, JSON.stringify(words)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanups.push(() => child.kill('SIGKILL'));
  return child;
}

/** The process id that the shell in the middle prints; it stays through exec. */
async function pidOf(child: ChildProcess): Promise<number> {
  const [chunk] = (await once(child.stdout!, 'data')) as [Buffer];
  const pid = Number(chunk.toString());
  cleanups.push(() => isAlive(pid) && process.kill(pid, 'SIGKILL'));
  return pid;
}

function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 20) {
    if (waited > 5000) throw new Error(`not within 5 s: ${what}`);
    await sleep(20);
  }
}

const WAITING = leashed(['sh', '-c', 'echo $$; exec sleep 1000']);

test('a leashed program ends with the process that started it, also when that is killed', async () => {
  const parent = start(WAITING);
  const pid = await pidOf(parent);
  expect(isAlive(pid)).toBe(true);
  parent.kill('SIGKILL');
  await until('the program has ended', () => !isAlive(pid));
});

test('where there is no setpriv the program runs as it is', () => {
  expect(leashed(['sleep', '1000'], () => undefined)).toEqual(['sleep', '1000']);
});

test('a program that is not there ends the command', async () => {
  const parent = start(leashed(['no-such-program']));
  expect(await once(parent, 'exit')).toEqual([3, null]);
});
