/** Bounds of an exponential back-off, in milliseconds. */
export interface BackoffOptions {
  /** Delay after the first failure; default 500. */
  readonly initialMs?: number;
  /** Longest delay; default 30 000. */
  readonly maxMs?: number;
  /** Default 2. */
  readonly factor?: number;
  /** A number in [0, 1); default Math.random. */
  readonly random?: () => number;
}

/** Delays that grow with each failure in a row, spread over the upper half of each step so that peers do not move in step. */
export class Backoff {
  readonly #initialMs: number;
  readonly #maxMs: number;
  readonly #factor: number;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions = {}) {
    this.#initialMs = options.initialMs ?? 500;
    this.#maxMs = options.maxMs ?? 30_000;
    this.#factor = options.factor ?? 2;
    this.#random = options.random ?? Math.random;
  }

  /** Failures since the last reset. */
  get failures(): number {
    return this.#failures;
  }

  /** The delay before the next attempt, in milliseconds; counts one failure. */
  nextMs(): number {
    const full = Math.min(this.#maxMs, this.#initialMs * this.#factor ** this.#failures);
    this.#failures += 1;
    return jittered(full / 2, full, this.#random);
  }

  /** To be called after a success. */
  reset(): void {
    this.#failures = 0;
  }
}

/** A number between `low` and `high`. */
export function jittered(low: number, high: number, random: () => number = Math.random): number {
  return low + (high - low) * random();
}
