import { ExpectedError } from '../../runtime/errors.ts';

/** Resolves or rejects with the work, or rejects with ExpectedError `why` when the signal is aborted first. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal, why: string): Promise<T> {
  work.catch(() => undefined);
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(new ExpectedError(why));
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
