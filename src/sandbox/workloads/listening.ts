import type { EventEmitter } from 'node:events';

/** Resolves when a server or socket listens; rejects when it cannot. */
export function listening(server: EventEmitter): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('listening', resolve);
    server.once('error', reject);
  });
}

/** Resolves when the signal is aborted; keeps the process alive meanwhile. */
export function closed(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // A pending promise alone does not keep a process alive.
    const alive = setInterval(() => undefined, 3_600_000);
    const finish = (): void => {
      clearInterval(alive);
      resolve();
    };
    if (signal.aborted) finish();
    else signal.addEventListener('abort', finish, { once: true });
  });
}
