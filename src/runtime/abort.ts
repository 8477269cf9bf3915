import type { Clock } from './clock.ts';

/** One for all: making a reason of its own, with a stack, costs more than anything else of a short run. */
const ENDED = new DOMException('the run has ended', 'AbortError');

/**
 * Runs something with an abort controller of its own that is also aborted when `parent` is, and aborts it when the run
 * has ended. Unlike AbortSignal.any it leaves nothing behind on a parent that lives as long as the process.
 */
export async function withAbort<T>(
  parent: AbortSignal | undefined,
  run: (controller: AbortController) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const forward = (): void => controller.abort(parent?.reason);
  if (parent?.aborted === true) forward();
  parent?.addEventListener('abort', forward);
  try {
    return await run(controller);
  } finally {
    parent?.removeEventListener('abort', forward);
    controller.abort(ENDED);
  }
}

/** Runs something that is aborted with the parent, or with an error after `limitMs`. */
export async function withTimeLimit<T>(
  parent: AbortSignal | undefined,
  clock: Clock,
  limitMs: number,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return withAbort(parent, (limit) => {
    void clock.sleep(limitMs, limit.signal).then(() => limit.abort(new Error(`no answer within ${limitMs} ms`)));
    return run(limit.signal);
  });
}
