import { ExpectedError, messageOf } from '../../runtime/errors.ts';

/** Runs every part, one after the other; when some reject, rejects with one error that names all of them. */
export async function runAll(parts: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const part of parts) {
    try {
      await part();
    } catch (error) {
      failures.push(error);
    }
  }
  throwAll(failures);
}

/** The same for parts that do not need each other: all at once. */
export async function runAtOnce(parts: readonly (() => Promise<void>)[]): Promise<void> {
  const outcomes = await Promise.allSettled(parts.map((part) => part()));
  throwAll(outcomes.flatMap((outcome): readonly unknown[] => (outcome.status === 'rejected' ? [outcome.reason] : [])));
}

function throwAll(failures: readonly unknown[]): void {
  if (failures.length === 0) return;
  const [first] = failures;
  if (failures.length === 1) throw first;
  const hint = failures.find((failure) => failure instanceof ExpectedError && failure.hint !== undefined);
  throw new ExpectedError(failures.map(messageOf).join('; '), {
    cause: first,
    ...(hint instanceof ExpectedError && hint.hint !== undefined ? { hint: hint.hint } : {}),
  });
}
