import { withAbort } from './abort.ts';
import { Backoff, jittered, type BackoffOptions } from './backoff.ts';
import { systemClock, type Clock } from './clock.ts';
import type { Logger } from './logger.ts';

/** What a loop has done since it was made. */
export interface LoopCounts {
  readonly name: string;
  readonly runs: number;
  readonly failures: number;
  /** Milliseconds the run that goes on now has taken; 0 when none does. */
  readonly runningMs: number;
}

export interface ReconcileLoopOptions {
  readonly name: string;
  /** Looks at everything anew and makes it so; rejects when something is left to do. */
  readonly reconcile: (signal: AbortSignal) => Promise<void>;
  readonly logger: Logger;
  /** Longest time between two looks, spread by 10 %; default 60 000. */
  readonly resyncMs?: number;
  /** Time a trigger waits for others to join it; default 0 (the next turn of the event loop). */
  readonly settleMs?: number;
  readonly backoff?: BackoffOptions;
  readonly clock?: Clock;
}

/**
 * Runs one reconcile function again on every trigger, after failures, and on a timer.
 *
 * INVARIANTS:
 * - single flight: `reconcile` never runs twice at a time;
 * - no lost trigger: a trigger that arrives while `reconcile` runs leads to one more run that starts afterwards;
 * - coalesced: any number of triggers before a run lead to one run;
 * - after a failure the next run waits for the back-off; a trigger does not shorten it, so that a broken
 *   dependency is not hammered by a chatty watch. A success resets the back-off;
 * - a series of failures is one story in the log: warned of when it begins, when the reason changes and now and then; its
 *   end is told;
 * - once the signal is aborted no run starts; `run` resolves after the one in flight has ended.
 */
export class ReconcileLoop {
  readonly #options: ReconcileLoopOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  #triggered = true;
  #lastFailure = '';
  #runs = 0;
  #failedRuns = 0;
  #startedMs: number | undefined;
  #wake: () => void = () => undefined;

  constructor(options: ReconcileLoopOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#backoff = new Backoff(options.backoff);
  }

  get counts(): LoopCounts {
    const runningMs = this.#startedMs === undefined ? 0 : this.#clock.monotonic() - this.#startedMs;
    return { name: this.#options.name, runs: this.#runs, failures: this.#failedRuns, runningMs };
  }

  /** Asks for a look soon; cheap, may be called at any time and from any listener. */
  trigger(): void {
    this.#triggered = true;
    this.#wake();
  }

  /** Runs until the signal is aborted; never rejects. The first look comes at once. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#awaitTrigger(signal);
      if (signal.aborted) return;
      this.#triggered = false;
      const failure = await this.#attempt(signal);
      if (signal.aborted) return;
      if (failure === undefined) {
        this.#succeeded();
      } else {
        await this.#clock.sleep(this.#failed(failure), signal);
        this.#triggered = true;
      }
    }
  }

  #succeeded(): void {
    const { failures } = this.#backoff;
    this.#backoff.reset();
    this.#lastFailure = '';
    if (failures > 0) this.#options.logger.info('reconcile works again', { loop: this.#options.name, failures });
  }

  /** Milliseconds to wait before the next run. */
  #failed(error: Error): number {
    const { name, logger } = this.#options;
    const retryMs = Math.round(this.#backoff.nextMs());
    const { failures } = this.#backoff;
    const news = error.message !== this.#lastFailure;
    this.#lastFailure = error.message;
    const level = news || failures % 10 === 0 ? 'warn' : 'debug';
    logger[level]('reconcile failed, trying again', { loop: name, failures, retryMs, error });
    return retryMs;
  }

  async #awaitTrigger(signal: AbortSignal): Promise<void> {
    if (!this.#triggered) {
      const resyncMs = this.#options.resyncMs ?? 60_000;
      await withAbort(signal, (sleep) => {
        this.#wake = () => sleep.abort();
        return this.#clock.sleep(jittered(resyncMs * 0.9, resyncMs), sleep.signal);
      });
    }
    const settleMs = this.#options.settleMs ?? 0;
    if (settleMs > 0) await this.#clock.sleep(settleMs, signal);
    else await new Promise((resolve) => setImmediate(resolve));
  }

  async #attempt(signal: AbortSignal): Promise<Error | undefined> {
    this.#startedMs = this.#clock.monotonic();
    this.#runs += 1;
    try {
      await this.#options.reconcile(signal);
      return undefined;
    } catch (error) {
      if (!signal.aborted) this.#failedRuns += 1;
      return error instanceof Error ? error : new Error(String(error));
    } finally {
      this.#startedMs = undefined;
    }
  }
}
