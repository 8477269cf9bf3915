/** Asks for another look after some time; of several wishes the earliest counts. Does not keep the process alive. */
export class LookTimer {
  readonly #listeners = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Number.POSITIVE_INFINITY;

  onDue(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** At the latest `ms` from now somebody has to look. */
  within(ms: number): void {
    const dueMs = performance.now() + ms;
    if (dueMs >= this.#dueMs) return;
    this.stop();
    this.#dueMs = dueMs;
    this.#timer = setTimeout(() => {
      this.stop();
      for (const listener of this.#listeners) listener();
    }, ms);
    this.#timer.unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#dueMs = Number.POSITIVE_INFINITY;
  }
}
