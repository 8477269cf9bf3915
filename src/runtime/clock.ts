/** Time as a dependency. */
export interface Clock {
  /** Milliseconds since the epoch: for stamps others read, never for measuring. */
  now(): number;
  /** Milliseconds of a clock that never jumps: for measuring and expiry. */
  monotonic(): number;
  /** Resolves after `ms`, or at once when the signal is (or gets) aborted; never rejects. */
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
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      signal?.addEventListener('abort', finish);
    }),
};
