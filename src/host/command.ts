import { spawn } from 'node:child_process';
import { messageOf } from '../runtime/errors.ts';
import { childEnvironment } from '../runtime/environment.ts';
import type { Logger } from '../runtime/logger.ts';
import { WITH_LINKS, type Part, type RecentLooks } from './recent.ts';
import { openSpool } from './spool.ts';
import { StandingPrograms } from './standing.ts';

/** How one program run is limited and fed. */
export interface RunOptions {
  readonly stdin?: string;
  /** Default 10 s; the run is killed and rejects when it is over. */
  readonly timeoutMs?: number;
  /** Exit codes that do not reject; default [0]. */
  readonly okExitCodes?: readonly number[];
  readonly signal?: AbortSignal;
  /**
   * It writes its output a word at a time: into a file in memory, which is read when it has ended, where there is one. To
   * be woken for each word costs many times what the program does.
   */
  readonly wordy?: boolean;
  /** Lines for `ip` or `bridge` in batch mode (BATCH_WORDS): a process that stays may take them. */
  readonly lines?: boolean;
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** By a process that had run before: what it knew of links may have been out of date. */
  readonly stood?: boolean;
}

/** Runs programs without a shell, LC_ALL=C, every run debug-logged in pasteable form. Rejects with CommandError. */
export interface CommandRunner {
  /** Where the kernel of this machine is being watched: what was seen of it last, as long as that is still good. */
  readonly recent?: RecentLooks;
  /** Programs run in the network namespace of this process: what they would read in /proc/sys it can read itself. */
  readonly here?: boolean;
  run(file: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** A program that could not be started, ran too long or left with an exit code that was not expected. */
export class CommandError extends Error {
  override readonly name: string = 'CommandError';
  readonly file: string;
  readonly args: readonly string[];
  /** Undefined when the program was not there, was killed or timed out. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  constructor(
    file: string,
    args: readonly string[],
    run: { readonly exitCode?: number; readonly stdout: string; readonly stderr: string },
    reason?: string,
  ) {
    const code = run.exitCode === undefined ? '' : ` (exit code ${run.exitCode})`;
    const why = reason ?? firstLine(run.stderr) ?? firstLine(run.stdout) ?? 'failed';
    super(`${formatCommand(file, args)}: ${why}${code}`);
    this.file = file;
    this.args = args;
    this.exitCode = run.exitCode;
    this.stdout = run.stdout;
    this.stderr = run.stderr;
  }
}

function firstLine(text: string): string | undefined {
  return text
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line !== '');
}

/** A command line that can be pasted into a POSIX shell. */
export function formatCommand(file: string, args: readonly string[]): string {
  return [file, ...args]
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ');
}

interface Finished {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Why there is no exit code. */
  readonly reason?: string;
  readonly stood?: boolean;
}

/** What an operator installs when a program of the daemons is missing. */
const DEBIAN_PACKAGES: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  bridge: 'iproute2',
  ss: 'iproute2',
  nft: 'nftables',
  ping: 'iputils-ping',
  sysctl: 'procps',
  wg: 'wireguard-tools',
  conntrack: 'conntrack',
  nsenter: 'util-linux',
  unshare: 'util-linux',
};

function startFailure(program: string, error: NodeJS.ErrnoException): string {
  if (error.code !== 'ENOENT') return error.message;
  const debian = DEBIAN_PACKAGES[program];
  return `program ${program} not found${debian === undefined ? '' : ` (Debian package ${debian})`}`;
}

/** Resolves when the program has ended and both streams are closed, or at once when it could not be started; never rejects. */
function execute(program: string, args: readonly string[], options: RunOptions, timeoutMs: number): Promise<Finished> {
  const { signal, stdin = '' } = options;
  return new Promise((resolve) => {
    const spool = options.wordy === true ? openSpool() : undefined;
    const stdio = ['pipe', spool?.descriptor ?? 'pipe', 'pipe'] as const;
    const child = spawn(program, args, { env: childEnvironment({ LC_ALL: 'C' }), stdio: [...stdio] });
    const output = { stdout: '', stderr: '' };
    let reason: string | undefined;
    const kill = (why: string): void => {
      reason ??= why;
      child.kill('SIGKILL');
    };
    const cancel = (): void => kill('cancelled');
    const timer = setTimeout(() => kill(`not finished after ${timeoutMs} ms, killed`), timeoutMs);
    let finished = false;
    const finish = (exitCode: number | null, why: string | undefined): void => {
      // A program that could not be started says so, and is then closed.
      if (finished) return;
      finished = true;
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
      if (spool !== undefined) output.stdout = spool.take();
      resolve({ ...output, exitCode: exitCode ?? undefined, ...(why === undefined ? {} : { reason: why }) });
    };
    child.on('error', (error) => finish(null, startFailure(program, error)));
    child.on('close', (code, killedBy) => finish(reason === undefined ? code : null, reason ?? killedBy ?? undefined));
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => (output[name] += text));
    }
    // A program that ends without having read its input says why by itself.
    child.stdin?.on('error', () => undefined).end(stdin);
    signal?.addEventListener('abort', cancel);
    if (signal?.aborted === true) cancel();
  });
}

function logRun(logger: Logger, command: string, options: RunOptions, run: Finished, durationMs: number): void {
  logger.debug('command', {
    command,
    ...(options.stdin === undefined ? {} : { stdinBytes: options.stdin.length }),
    exitCode: run.exitCode,
    ...(run.stood === true ? { stood: true } : {}),
    durationMs: Math.round(durationMs),
    ...(run.stderr === '' ? {} : { stderr: run.stderr.slice(0, 500) }),
  });
}

/** Processes that stay are not to go by what the link was before, nor is anybody else. */
function changesLinks(file: string, args: readonly string[]): boolean {
  return file === 'ip' && args[0] === 'link' && args[1] !== 'show';
}

/** Rejects, in the words of the program, when the exit code was not expected. */
function resultOf(file: string, args: readonly string[], { okExitCodes = [0] }: RunOptions, run: Finished): RunResult {
  const { exitCode, stdout, stderr, stood = false } = run;
  if (exitCode !== undefined && okExitCodes.includes(exitCode))
    return { exitCode, stdout, stderr, ...(stood ? { stood } : {}) };
  throw new CommandError(
    file,
    args,
    exitCode === undefined ? { stdout, stderr } : { exitCode, stdout, stderr },
    run.reason,
  );
}

/**
 * A runner on this machine. `namespace` names a network namespace (`ip netns`) that every program runs in; tests use
 * it, the daemons run where they are.
 */
export function createRunner(dependencies: {
  readonly logger: Logger;
  readonly namespace?: string;
  readonly recent?: RecentLooks;
}): CommandRunner {
  const { logger, namespace, recent } = dependencies;
  // nsenter takes a fifth of the time of `ip netns exec`, which mounts a /sys of its own.
  const prefix = namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${namespace}`];
  const env = childEnvironment({ LC_ALL: 'C' });
  const standing =
    recent === undefined ? undefined : new StandingPrograms(recent, { prefix, env, explain: startFailure });
  const finish = (file: string, args: readonly string[], options: RunOptions): Promise<Finished> => {
    const kept = options.lines === true ? standing?.of(file, args) : undefined;
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, stdin = '' } = options;
    if (kept !== undefined) return kept.run(stdin, { timeoutMs, signal });
    const [program = file, ...rest] = [...prefix, file, ...args];
    return execute(program, rest, options, timeoutMs);
  };
  const run = async (file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> => {
    const startedMs = performance.now();
    const finished = await finish(file, args, options);
    if (changesLinks(file, args)) recent?.forget(WITH_LINKS);
    const [program = file, ...rest] = [...prefix, file, ...args];
    logRun(logger, formatCommand(program, rest), options, finished, performance.now() - startedMs);
    return resultOf(file, args, options, finished);
  };
  return { run, here: namespace === undefined, ...(recent === undefined ? {} : { recent }) };
}

/** Looks through this runner: a recent answer when there is a good one, else a real look. */
export function lookOnce<T>(
  { recent }: Pick<CommandRunner, 'recent'>,
  parts: readonly Part[],
  question: string,
  look: () => Promise<T>,
): Promise<T> {
  return recent === undefined ? look() : recent.take(parts, question, look);
}

/** What went wrong, for a status or a log: the tool's own words when a tool said them. */
export function describeFailure(error: unknown): string {
  return error instanceof CommandError ? (firstLine(error.stderr) ?? error.message) : messageOf(error);
}
