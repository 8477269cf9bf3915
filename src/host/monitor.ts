import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { systemClock, type Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { leashed } from './leash.ts';
import { lineReader } from './ping.ts';
import { PARTS, WITH_LINKS, type Part, type RecentLooks } from './recent.ts';

const RESTART_MS = 5000;
/** A program that is not seen to listen after so long counts as one that does, but not as one to rely on. */
const LISTEN_MS = 2000;
const LISTEN_LOOK_MS = 20;

/** Programs that print a line whenever somebody changes the network of this machine. */
const MONITORS = [
  ['ip', '-4', 'monitor', 'link', 'address', 'route', 'rule', 'netconf'],
  ['nft', 'monitor', 'destroy', 'tables'],
  ['nft', 'monitor', 'destroy', 'chains'],
] as const;

/** Routes and rules, as `ip monitor` reports them; all else is about a link, or may be. */
const ROUTE_OR_RULE = /^(?:Deleted )?(?:\d+:\tfrom |(?:[a-z]+ )?(?:default|\d+\.\d+\.\d+\.\d+(?:\/\d+)?)(?: |$))/;

/** What has to be looked at anew after a program has printed this line. */
function reportedParts(program: (typeof MONITORS)[number][0], line: string): readonly Part[] {
  if (LOST.test(line)) return PARTS;
  if (program === 'nft') return ['nft'];
  return ROUTE_OR_RULE.test(line) ? ['route'] : WITH_LINKS;
}

/** What watching the kernel needs. */
export interface MonitorDependencies {
  readonly logger: Logger;
  readonly namespace?: string;
  readonly clock?: Clock;
  /** Made to forget what a report is about, and to rely on the reports as long as all programs are listening. */
  readonly recent?: RecentLooks;
}

/** Which of the programs are listening; only all of them together hear everything. */
class Listeners {
  readonly #recent: RecentLooks | undefined;
  readonly #listening = new Set<unknown>();

  constructor(recent: RecentLooks | undefined) {
    this.#recent = recent;
  }

  heard(parts: readonly Part[]): void {
    this.#recent?.forget(parts);
  }

  set(program: unknown, listening: boolean): void {
    if (listening) this.#listening.add(program);
    else this.#listening.delete(program);
    this.#recent?.trust(this.#listening.size === MONITORS.length);
  }
}

/**
 * Calls back when the kernel reports a change whose line matches `relevant`, and when a program has begun to listen,
 * until the signal is aborted; never rejects. A program that ends is started again. Says only that something changed:
 * look again.
 */
export async function watchNetwork(
  dependencies: MonitorDependencies,
  relevant: RegExp,
  onChange: () => void,
  signal: AbortSignal,
): Promise<void> {
  const { logger, namespace, clock = systemClock, recent } = dependencies;
  const prefix = namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${namespace}`];
  const listeners = new Listeners(recent);
  const follow = async (words: (typeof MONITORS)[number]): Promise<void> => {
    const onLine = (line: string): void => {
      listeners.heard(reportedParts(words[0], line));
      if (relevant.test(line) || LOST.test(line)) onChange();
    };
    while (!signal.aborted) {
      const onListening = (sure: boolean): void => {
        listeners.set(words, sure);
        onChange();
      };
      const ended = await runMonitor(leashed([...prefix, ...words]), { onLine, onListening, clock }, signal);
      listeners.set(words, false);
      if (signal.aborted) return;
      const command = words.join(' ');
      logger.debug('network monitor ended, starting it again', { command, ended, retryMs: RESTART_MS });
      await clock.sleep(RESTART_MS, signal);
    }
  };
  await Promise.all(MONITORS.map(follow));
}

/** What the programs say when they could not read as fast as the kernel reported. */
const LOST = /lost some netlink events|No buffer space/;

/** Inodes of the sockets a process has open. */
function socketsOf(pid: number): ReadonlySet<string> {
  const folder = `/proc/${pid}/fd`;
  const targets = readdirSync(folder).map((name) => readlinkSync(`${folder}/${name}`));
  return new Set(targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []));
}

/** Whether the process has a netlink socket that takes part in a group (the fourth column; the last is the inode). */
function isListening(pid: number): boolean {
  try {
    const rows = readFileSync(`/proc/${pid}/net/netlink`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
    const own = socketsOf(pid);
    return rows.some((row) => own.has(row.at(-1) ?? '') && /[1-9a-f]/.test(row[3] ?? ''));
  } catch {
    return false;
  }
}

interface MonitorEvents {
  readonly onLine: (line: string) => void;
  /** Called once for each run; false when it could not be found out. */
  readonly onListening: (sure: boolean) => void;
  readonly clock: Clock;
}

async function awaitListening(pid: number, { onListening, clock }: MonitorEvents, ended: AbortSignal): Promise<void> {
  const endMs = clock.monotonic() + LISTEN_MS;
  let listening = isListening(pid);
  while (!listening && !ended.aborted && clock.monotonic() < endMs) {
    await clock.sleep(LISTEN_LOOK_MS, ended);
    listening = isListening(pid);
  }
  if (!ended.aborted) onListening(listening);
}

/** Resolves with how the program ended. */
function runMonitor(words: readonly string[], events: MonitorEvents, signal: AbortSignal): Promise<string> {
  const [program = 'ip', ...args] = words;
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const over = new AbortController();
    const kill = (): void => void child.kill('SIGTERM');
    signal.addEventListener('abort', kill);
    child.stdout.setEncoding('utf8').on('data', lineReader(events.onLine));
    let stderr = '';
    const onError = lineReader(events.onLine);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr = text.slice(0, 200);
      onError(text);
    });
    const finish = (how: string): void => {
      over.abort();
      signal.removeEventListener('abort', kill);
      resolve(how);
    };
    child.on('error', (error) => finish(error.message));
    child.on('close', (code, killedBy) => finish(killedBy ?? `exit code ${code ?? ''} ${stderr}`.trim()));
    if (child.pid !== undefined) void awaitListening(child.pid, events, over.signal);
    if (signal.aborted) kill();
  });
}
