import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { leashed } from '../../src/host/leash.ts';
import type { Job, Machine } from './machine.ts';
import { Lines, parseEvent, type GuestEvent } from './report.ts';

/** How a guest is run. */
export interface Watch {
  /** File for all that the guest writes on its console. */
  readonly log: string;
  readonly timeoutMs: number;
  readonly onEvent: (event: GuestEvent) => void;
}

const POWER_OFF_MS = 5000;

/** Boots a guest, hands on what it tells, and resolves when it is gone, by itself or by force. */
export async function runGuest(machine: Machine, job: Job, watch: Watch, signal: AbortSignal): Promise<void> {
  const guest = await machine.start(job, signal);
  const [file = '', ...args] = leashed(guest.argv);
  // A process group of its own: User-mode Linux has a process for each of the guest's.
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const end = (): void => killGroup(child.pid);
  const log = createWriteStream(watch.log);
  const lines = new Lines();
  const timer = setTimeout(end, watch.timeoutMs);
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  child.stderr.pipe(log, { end: false });
  child.stdout.on('data', (piece: Buffer) => {
    log.write(piece);
    for (const line of lines.push(piece.toString('utf8'))) {
      const event = parseEvent(line);
      if (event === undefined) continue;
      watch.onEvent(event);
      // User-mode Linux cannot be powered off by what runs in it.
      if ('exit' in event) void sleep(POWER_OFF_MS, undefined, { ref: false }).then(end);
    }
  });
  try {
    await ended;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
    end();
    log.end();
    await guest.close();
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone.
  }
}
