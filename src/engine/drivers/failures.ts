import { ExpectedError, messageOf } from '../../runtime/errors.ts';

/** Runs every part; when some reject, rejects with one error that names all of them. */
export async function runAll(parts: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const part of parts) {
    try {
      await part();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length === 0) return;
  const [first] = failures;
  if (failures.length === 1) throw first;
  const hint = failures.find((failure) => failure instanceof ExpectedError && failure.hint !== undefined);
  throw new ExpectedError(failures.map(messageOf).join('; '), {
    cause: first,
    ...(hint instanceof ExpectedError && hint.hint !== undefined ? { hint: hint.hint } : {}),
  });
}
