import type { Clock } from '../runtime/clock.ts';

/** Longest time other work waits, milliseconds. */
const LIMIT_MS = 150;

/**
 * What a gateway that takes over does first: it tells that it is the active one, which all nodes and clusters wait for. Its
 * cables carry already; what it does to them, and what it says of them, would only keep the processor busy meanwhile.
 */
export class HeadStart {
  readonly #clock: Clock;
  #over: Promise<void> = Promise.resolve();
  #end: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begin(): void {
    this.end();
    this.#over = new Promise((resolve) => {
      this.#end = resolve;
    });
    void this.#clock.sleep(LIMIT_MS).then(this.#end);
  }

  /** The others know. */
  end(): void {
    this.#end();
  }

  /** Resolves when other work may go on: when the others know, or after 150 ms. */
  get over(): Promise<void> {
    return this.#over;
  }
}
