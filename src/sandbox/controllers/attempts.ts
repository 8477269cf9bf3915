import { isAlreadyExists, isConflict, isNotFound } from '../../kube/errors.ts';
import { messageOf } from '../../runtime/errors.ts';

/** Some of several independent writes failed; the loop tries again from a fresh look. */
export class AttemptsError extends Error {
  override readonly name = 'AttemptsError';
}

/**
 * Runs all writes, one after the other, also when some fail; rejects with one error that lists the failures. That an
 * object is already there, or has gone or changed in between, is no failure: the change itself brings the next look.
 */
export async function attemptAll(writes: readonly (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const write of writes) {
    try {
      await write();
    } catch (error) {
      if (!isAlreadyExists(error) && !isConflict(error) && !isNotFound(error)) failures.push(error);
    }
  }
  if (failures.length > 0) throw new AttemptsError(failures.map(messageOf).join('; '), { cause: failures[0] });
}
