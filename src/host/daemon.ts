import { spawn } from 'node:child_process';
import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ExpectedError, messageOf } from '../runtime/errors.ts';

/** A process that is found again after a restart: a process id alone may belong to another program by then. */
export interface DaemonRecord {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTime: string;
}

/** A program that outlives the process that starts it. */
export interface DaemonSpec {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Folder with the record (`daemon.json`) and what the program prints (`daemon.out`). */
  readonly folder: string;
  /** Network namespace (`ip netns`) to run in; default that of this process. */
  readonly namespace?: string;
  /** A descriptor of this process that the program gets, as INHERITED_DESCRIPTOR. */
  readonly inherited?: number;
}

/** The number under which a program finds the descriptor it is given. */
export const INHERITED_DESCRIPTOR = 3;

const PROGRAM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const POLL_MS = 20;
const STOP_MS = 3000;

/** The path of a program, looked for where daemons are started from; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  const runnable = (file: string): boolean => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  };
  return PROGRAM_PATH.split(':')
    .map((folder) => path.join(folder, name))
    .find(runnable);
}

function recordFile(folder: string): string {
  return path.join(folder, 'daemon.json');
}

/** State letter and start time of a process; undefined when there is none with this id. */
function processStat(pid: number): { readonly state: string; readonly startTime: string } | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', startTime: fields[19] ?? '' };
}

function isAlive(record: DaemonRecord): boolean {
  const stat = processStat(record.pid);
  return stat !== undefined && stat.startTime === record.startTime && stat.state !== 'Z';
}

function readRecord(folder: string): DaemonRecord | undefined {
  try {
    const { pid, startTime } = JSON.parse(readFileSync(recordFile(folder), 'utf8')) as Partial<DaemonRecord>;
    if (typeof pid === 'number' && pid > 1 && typeof startTime === 'string') return { pid, startTime };
  } catch {
    // No record, or a torn one: nothing to find.
  }
  return undefined;
}

/** The running daemon whose record is in the folder. */
export function findDaemon(folder: string): DaemonRecord | undefined {
  const record = readRecord(folder);
  return record !== undefined && isAlive(record) ? record : undefined;
}

/** Whether a daemon was started from the folder and not ended by `stopDaemon`, whether or not it still runs. */
export function wasStarted(folder: string): boolean {
  return readRecord(folder) !== undefined;
}

/** Starts the program in a session of its own and writes its record; rejects when it cannot be executed. */
export async function startDaemon(spec: DaemonSpec): Promise<DaemonRecord> {
  mkdirSync(spec.folder, { recursive: true, mode: 0o700 });
  const output = openSync(path.join(spec.folder, 'daemon.out'), 'w', 0o600);
  const enter = spec.namespace === undefined ? [] : ['ip', 'netns', 'exec', spec.namespace];
  const [program = spec.file, ...args] = [...enter, spec.file, ...spec.args];
  try {
    const child = spawn(program, args, {
      detached: true,
      cwd: '/',
      stdio: ['ignore', output, output, ...(spec.inherited === undefined ? [] : [spec.inherited])],
      env: { PATH: PROGRAM_PATH, LC_ALL: 'C', ...spec.env },
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    const pid = child.pid ?? 0;
    const record = { pid, startTime: processStat(pid)?.startTime ?? '' };
    const temporary = `${recordFile(spec.folder)}.new`;
    writeFileSync(temporary, JSON.stringify(record), { mode: 0o600 });
    renameSync(temporary, recordFile(spec.folder));
    return record;
  } catch (cause) {
    throw new ExpectedError(`cannot start ${program}: ${messageOf(cause)}`, { cause });
  } finally {
    closeSync(output);
  }
}

const TAIL_BYTES = 64 * 1024;

/** The end of a text file, 64 KiB at most, beginning with a whole line; empty when it cannot be read. */
export function readTail(file: string): string {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const { size } = fstatSync(descriptor);
    const start = Math.max(0, size - TAIL_BYTES);
    const bytes = Buffer.alloc(size - start);
    const length = readSync(descriptor, bytes, 0, bytes.length, start);
    const text = bytes.toString('utf8', 0, length);
    return start === 0 ? text : text.slice(text.indexOf('\n') + 1);
  } catch {
    return '';
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** The last lines the daemon printed, on one line. */
export function daemonOutput(folder: string, file = 'daemon.out', lines = 5): string {
  return readTail(path.join(folder, file)).trim().split('\n').slice(-lines).join(' | ');
}

/** Resolves to true as soon as `condition` holds, to false when it does not in time. */
export async function waitFor(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal });
  }
  return true;
}

function kill(record: DaemonRecord, signal: 'SIGTERM' | 'SIGKILL'): void {
  if (!isAlive(record)) return;
  try {
    process.kill(record.pid, signal);
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== 'ESRCH') throw error;
  }
}

/**
 * Ends the daemon whose record is in the folder: SIGTERM, and SIGKILL after 3 s, or without a word at once; then removes
 * the record.
 */
export async function stopDaemon(folder: string, how: 'asked' | 'at once' = 'asked'): Promise<void> {
  const record = findDaemon(folder);
  if (record !== undefined) {
    const gone = (): boolean => !isAlive(record);
    kill(record, how === 'asked' ? 'SIGTERM' : 'SIGKILL');
    if (!(await waitFor(gone, STOP_MS))) {
      kill(record, 'SIGKILL');
      if (!(await waitFor(gone, STOP_MS))) {
        throw new ExpectedError(`process ${record.pid} (started from ${folder}) does not end`, {
          hint: `See what it waits for: cat /proc/${record.pid}/stack`,
        });
      }
    }
  }
  rmSync(recordFile(folder), { force: true });
}
