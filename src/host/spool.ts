import { randomUUID } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync, unlinkSync } from 'node:fs';

/** Memory that every Linux system and container has as files, also where everything else is read-only. */
const FOLDER = '/dev/shm';

/** A file in memory that has no name (any more): it goes with its last descriptor, however its users end. */
export interface Spool {
  readonly descriptor: number;
  /** What was written, as UTF-8; closes it. */
  take(): string;
}

/** undefined where there is no such memory. */
export function openSpool(folder = FOLDER): Spool | undefined {
  const name = `${folder}/subctl-${randomUUID()}`;
  try {
    const descriptor = openSync(name, 'wx+', 0o600);
    unlinkSync(name);
    return { descriptor, take: () => take(descriptor) };
  } catch {
    return undefined;
  }
}

function take(descriptor: number): string {
  try {
    const bytes = Buffer.alloc(fstatSync(descriptor).size);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = readSync(descriptor, bytes, length, bytes.length - length, length);
    return bytes.toString('utf8', 0, length);
  } finally {
    closeSync(descriptor);
  }
}
