import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Environment } from '../runtime/process.ts';

/** One process of a sandbox, told apart from a later one with the same number by its start time. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks after boot. */
  readonly startTime: string;
}

export interface DaemonCommand {
  readonly file: string;
  readonly args: readonly string[];
  /** Name of the network namespace (`ip netns`) to run in; without it the one of the caller. */
  readonly namespace?: string;
  /** Both output streams are appended here. */
  readonly logFile: string;
  readonly env: Environment;
}

/** The start time of a process, undefined when there is none with this number or it is only waiting to be reaped. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, the name, may contain spaces and brackets.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** True while exactly this process runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  return startTimeOf(identity.pid) === identity.startTime;
}

/** The identity of a running process, undefined when it has ended. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = startTimeOf(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

/** Starts a process that outlives the caller; rejects when the program cannot be started or ends at once. */
export async function startDaemon(command: DaemonCommand): Promise<ProcessIdentity> {
  // nsenter keeps the mount namespace of the machine, unlike `ip netns exec`.
  const prefix = command.namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${command.namespace}`, '--'];
  const [file = command.file, ...args] = [...prefix, command.file, ...command.args];
  mkdirSync(path.dirname(command.logFile), { recursive: true, mode: 0o700 });
  const log = openSync(command.logFile, 'a', 0o600);
  try {
    const child = spawn(file, args, { detached: true, stdio: ['ignore', log, log], env: { ...command.env } });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    const identity = identify(child.pid ?? 0);
    if (identity === undefined) throw new Error(`${command.file} ended at once, see ${command.logFile}`);
    return identity;
  } finally {
    closeSync(log);
  }
}

/** Sends a signal to exactly this process; false when it no longer runs. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** The running processes whose command line has `argument` as one of its words. */
export function processesWithArgument(matches: (argument: string) => boolean): readonly ProcessIdentity[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((entry) => commandLine(Number(entry)).some(matches))
    .map((entry) => identify(Number(entry)))
    .filter((identity) => identity !== undefined);
}

/** The words of a process's command line, [] when it has ended. */
export function commandLine(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return [];
  }
}
