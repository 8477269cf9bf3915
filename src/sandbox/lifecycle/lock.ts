import { linkSync, mkdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ExpectedError } from '../../runtime/errors.ts';
import { identify, isAlive, type ProcessIdentity } from '../processes.ts';

function holderOf(lock: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(lock, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}

function tryTake(lock: string, content: string): boolean {
  const mine = `${lock}.${process.pid}`;
  writeFileSync(mine, content, { mode: 0o600 });
  try {
    // A link is made whole or not at all, so nobody ever reads half a lock.
    linkSync(mine, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    unlinkSync(mine);
  }
}

/**
 * Runs `work` while no other process works on the same sandbox; rejects at once when one does. A lock left by a process
 * that no longer runs does not count.
 */
export async function withLock<T>(lock: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(path.dirname(lock), { recursive: true, mode: 0o700 });
  const content = JSON.stringify(identify(process.pid));
  if (!tryTake(lock, content)) {
    const holder = holderOf(lock);
    if (holder !== undefined && isAlive(holder)) {
      throw new ExpectedError(`another subctl (process ${holder.pid}) is working on this sandbox`, {
        hint: 'Wait until it has ended, or stop it, and try again.',
      });
    }
    rmSync(lock, { force: true });
    if (!tryTake(lock, content)) throw new ExpectedError('another subctl has just begun to work on this sandbox');
  }
  try {
    return await work();
  } finally {
    if (holderOf(lock)?.pid === process.pid) rmSync(lock, { force: true });
  }
}
