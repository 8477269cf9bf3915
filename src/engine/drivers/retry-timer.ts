/** Asks for another look some time after an incomplete one, each time twice as late, until it is stopped. */
export class RetryTimer {
  readonly #firstMs: number;
  readonly #longestMs: number;
  readonly #listeners = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #nextMs: number;

  constructor(firstMs: number, longestMs: number) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
    this.#nextMs = firstMs;
  }

  onDue(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Sets the timer unless it runs; it does not keep the process alive. */
  arm(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      for (const listener of this.#listeners) listener();
    }, this.#nextMs);
    this.#timer.unref();
    this.#nextMs = Math.min(this.#longestMs, this.#nextMs * 2);
  }

  /** Everything is complete: the next trouble begins with the shortest wait. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#nextMs = this.#firstMs;
  }
}
