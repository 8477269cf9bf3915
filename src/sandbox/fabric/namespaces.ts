import { existsSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { isNamespaceOf } from '../plan.ts';
import { identify, signalProcess, type ProcessIdentity } from '../processes.ts';
import type { Clock } from '../../runtime/clock.ts';

const NETNS_DIR = '/run/netns';

/** The file `ip netns` knows a namespace by. */
export function namespaceFile(namespace: string): string {
  return `${NETNS_DIR}/${namespace}`;
}

/** Names of all network namespaces of this machine that have one. */
export function listNamespaces(): readonly string[] {
  return existsSync(NETNS_DIR) ? readdirSync(NETNS_DIR).sort() : [];
}

/** The namespaces of one sandbox, also those of its pods. */
export function namespacesOf(sandbox: string): readonly string[] {
  return listNamespaces().filter((name) => isNamespaceOf(sandbox, name));
}

/** True when the name stands for a living namespace and is not just a left-over file. */
export function isNamespace(namespace: string): boolean {
  return namespaceId(namespace) !== undefined;
}

function namespaceId(namespace: string): number | undefined {
  try {
    const file = statSync(namespaceFile(namespace));
    return file.dev === statSync('/proc/self/ns/net').dev ? file.ino : undefined;
  } catch {
    return undefined;
  }
}

function networkOf(pid: string): number | undefined {
  try {
    return Number(/\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[1]);
  } catch {
    return undefined;
  }
}

/** The processes inside the namespaces, never the caller itself. */
export function processesIn(namespaces: readonly string[]): readonly ProcessIdentity[] {
  const ids = new Set(namespaces.map(namespaceId));
  ids.delete(undefined);
  if (ids.size === 0) return [];
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid && ids.has(networkOf(entry)))
    .map((entry) => identify(Number(entry)))
    .filter((identity) => identity !== undefined);
}

const POLL_MS = 20;
/** A killed process that is still there after so long hangs in the kernel. */
const KILL_MS = 5000;

export interface StopOptions {
  readonly clock: Clock;
  /** Time between SIGTERM and SIGKILL; 0 sends SIGKILL at once. */
  readonly graceMs: number;
}

/**
 * Ends every process inside the namespaces, also those started meanwhile; resolves to how many there were. Some may be
 * left when the kernel does not let go of them.
 */
export async function stopProcessesIn(namespaces: readonly string[], options: StopOptions): Promise<number> {
  const { clock, graceMs } = options;
  const seen = new Set<number>();
  const sendAll = (signal: NodeJS.Signals, fresh: boolean): number => {
    const alive = processesIn(namespaces);
    for (const one of alive) {
      if (!fresh || !seen.has(one.pid)) signalProcess(one, signal);
      seen.add(one.pid);
    }
    return alive.length;
  };
  const until = async (signal: NodeJS.Signals, fresh: boolean, limitMs: number): Promise<boolean> => {
    const deadline = clock.monotonic() + limitMs;
    while (sendAll(signal, fresh) > 0) {
      if (clock.monotonic() >= deadline) return false;
      await clock.sleep(POLL_MS);
    }
    return true;
  };
  if (graceMs === 0 || !(await until('SIGTERM', true, graceMs))) await until('SIGKILL', false, KILL_MS);
  return seen.size;
}
