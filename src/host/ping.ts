import { spawn } from 'node:child_process';
import { systemClock, type Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { leashed } from './leash.ts';

/** What is pinged, and how. */
export interface PingTarget {
  /** An IPv4 or IPv6 address. */
  readonly address: string;
  readonly intervalMs: number;
  /** The local address to send from; default: what the route says. */
  readonly source?: string;
}

export interface PingListener {
  /** A round-trip time in milliseconds. */
  onReply(rttMs: number): void;
  /** The program says why nothing can be sent, e.g. no route. */
  onFailure(reason: string): void;
}

/** Pings without end until the signal is aborted; never rejects, starts the program again when it ends. */
export type PingWatcher = (target: PingTarget, listener: PingListener, signal: AbortSignal) => Promise<void>;

/** A line of `ping -n`: a reply, a reason why not, or nothing of interest. */
export function parsePingLine(line: string): { readonly rttMs: number } | { readonly failure: string } | undefined {
  const reply = /\btime[=<](\d+(?:\.\d+)?) ?ms\b/.exec(line);
  if (reply !== null && /bytes from /.test(line)) return { rttMs: Number(reply[1]) };
  const icmp = /^From (\S+?):? icmp_seq=\d+ (.+)$/.exec(line);
  if (icmp !== null) return { failure: `${icmp[2] ?? ''} (said ${icmp[1] ?? ''})` };
  if (/^env: .*ping/.test(line)) return { failure: 'the program ping is not there; install iputils-ping' };
  const own = /^ping: (.+)$/.exec(line);
  return own === null ? undefined : { failure: own[1] ?? '' };
}

const MAX_LINE = 2000;

/** Calls back with each whole line of a stream of chunks; overlong ones are cut. */
export function lineReader(onLine: (line: string) => void): (chunk: string) => void {
  let rest = '';
  return (chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = (lines.pop() ?? '').slice(0, MAX_LINE);
    for (const line of lines) onLine(line.trimEnd());
  };
}

/** Words of the ping command: numeric, without end. */
export function pingWords({ address, intervalMs, source }: PingTarget): readonly string[] {
  const from = source === undefined ? [] : ['-I', source];
  return ['-n', '-i', String(intervalMs / 1000), ...from, address];
}

/**
 * A watcher on the `ping` of iputils, one process a target. `namespace` names a network namespace (`ip netns`) to run
 * in; for tests only.
 */
export function createPingWatcher(dependencies: {
  readonly logger: Logger;
  readonly namespace?: string;
  readonly clock?: Clock;
}): PingWatcher {
  const { logger, namespace, clock = systemClock } = dependencies;
  const prefix = namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace];
  return async (target, listener, signal) => {
    const [program = 'env', ...args] = leashed([...prefix, 'env', 'LC_ALL=C', 'ping', ...pingWords(target)]);
    while (!signal.aborted) {
      const ended = await runOnce(program, args, listener, signal);
      if (signal.aborted) return;
      logger.debug('ping ended, starting it again', { address: target.address, ended });
      await clock.sleep(target.intervalMs, signal);
    }
  };
}

/** Resolves when the program has ended, for whatever reason. */
function runOnce(
  program: string,
  args: readonly string[],
  listener: PingListener,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const kill = (): void => void child.kill('SIGKILL');
    signal.addEventListener('abort', kill);
    const read = lineReader((line) => {
      const parsed = parsePingLine(line);
      if (parsed === undefined || signal.aborted) return;
      if ('rttMs' in parsed) listener.onReply(parsed.rttMs);
      else listener.onFailure(parsed.failure);
    });
    child.stdout.setEncoding('utf8').on('data', read);
    child.stderr.setEncoding('utf8').on('data', read);
    const finish = (how: string): void => {
      signal.removeEventListener('abort', kill);
      resolve(how);
    };
    child.on('error', (error) => {
      listener.onFailure(`cannot run ping: ${error.message}`);
      finish(error.message);
    });
    child.on('close', (code, killedBy) => finish(killedBy ?? `exit code ${code ?? ''}`));
  });
}
