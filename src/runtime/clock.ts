/** Time as a dependency. */
export interface Clock {
  /** Milliseconds since the epoch: for stamps others read, never for measuring. */
  now(): number;
  /** Milliseconds of a clock that never jumps: for measuring and expiry. */
  monotonic(): number;
  /**
   * Resolves when `monotonic` is `ms` further, never earlier, or at once when the signal is (or gets) aborted; never
   * rejects.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const due = performance.now() + ms;
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      // Timers count from when the event loop last looked at its clock, in whole milliseconds: they can fire early. One more
      // than asked for is nearly always enough, and saves a second one.
      const look = (): void => {
        const leftMs = due - performance.now();
        if (leftMs > 0) timer = setTimeout(look, Math.ceil(leftMs));
        else finish();
      };
      let timer = setTimeout(look, Math.ceil(ms) + 1);
      signal?.addEventListener('abort', finish);
    }),
};
