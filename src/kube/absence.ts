import type { Clock } from '../runtime/clock.ts';

/** Tells what has been missing for a while from what is only being replaced: whoever comes back in time was never gone. */
export class Absences {
  readonly #graceMs: number;
  readonly #clock: Clock;
  #sinceMs: ReadonlyMap<string, number> = new Map();

  /** `graceMs`: so long something must be missing without a break. */
  constructor(graceMs: number, clock: Clock) {
    this.#graceMs = graceMs;
    this.#clock = clock;
  }

  /** To be called with all that is missing at each look; gives the keys of what may be given up now, and how long the next one has. */
  look(missing: readonly string[]): { readonly gone: ReadonlySet<string>; readonly waitMs: number | undefined } {
    const nowMs = this.#clock.monotonic();
    const since = new Map(missing.map((key) => [key, this.#sinceMs.get(key) ?? nowMs]));
    this.#sinceMs = since;
    const left = [...since].map(([key, sinceMs]) => [key, sinceMs + this.#graceMs - nowMs] as const);
    const waits = left.flatMap(([, ms]) => (ms > 0 ? [ms] : []));
    return {
      gone: new Set(left.flatMap(([key, ms]) => (ms > 0 ? [] : [key]))),
      waitMs: waits.length === 0 ? undefined : Math.min(...waits),
    };
  }
}
