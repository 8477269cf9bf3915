import type { Clock } from '../runtime/clock.ts';
import { ExpectedError } from '../runtime/errors.ts';
import { formatDuration } from './duration.ts';

/** What a look at something that is being waited for found. */
export type Progress<T> = { readonly done: T } | { readonly pending: string };

/** A point in time that several waits share. */
export interface Deadline {
  readonly clock: Clock;
  /** The whole time given, in milliseconds. */
  readonly totalMs: number;
  remainingMs(): number;
}

/** A deadline `totalMs` from now. */
export function startDeadline(clock: Clock, totalMs: number): Deadline {
  const endMs = clock.monotonic() + totalMs;
  return { clock, totalMs, remainingMs: () => Math.max(0, endMs - clock.monotonic()) };
}

export interface WaitOptions<T> {
  readonly deadline: Deadline;
  /** Completes "gave up after 60s waiting for …". */
  readonly what: string;
  readonly hint: string;
  readonly look: () => Promise<Progress<T>>;
  /** Told what is missing after each look. */
  readonly onPending?: (text: string) => void;
  /** Time between two looks; default 500. */
  readonly intervalMs?: number;
}

/** Looks again and again until done; rejects with ExpectedError, naming what was missing last, when the deadline passes. */
export async function waitFor<T>(options: WaitOptions<T>): Promise<T> {
  const { deadline, what, hint, look, onPending, intervalMs = 500 } = options;
  for (;;) {
    const seen = await look();
    if ('done' in seen) return seen.done;
    onPending?.(seen.pending);
    const leftMs = deadline.remainingMs();
    if (leftMs <= 0) {
      throw new ExpectedError(
        `gave up after ${formatDuration(deadline.totalMs)} waiting for ${what}: ${seen.pending}`,
        { hint },
      );
    }
    await deadline.clock.sleep(Math.min(intervalMs, leftMs));
  }
}
