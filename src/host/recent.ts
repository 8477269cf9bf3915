import { systemClock, type Clock } from '../runtime/clock.ts';

interface Look {
  readonly answer: unknown;
  readonly takenMs: number;
}

/**
 * The latest looks at the kernel, good for as long as the programs that watch it have reported nothing at all: like a
 * cache kept by a watch, except that a report never changes an answer, it only makes the next one a real look.
 *
 * INVARIANTS:
 * - while any of the watching programs is not surely listening, every look is a real one;
 * - any report, and any change of our own, makes everything forgotten, what is being looked at meanwhile too;
 * - nothing older than `maxAgeMs` is answered: what no program reports (FDB, the inside of nft tables) is seen by then.
 */
export class RecentLooks {
  readonly #clock: Clock;
  readonly #maxAgeMs: number;
  readonly #looks = new Map<string, Look>();
  #trusted = false;
  #reports = 0;

  constructor(options: { readonly maxAgeMs: number; readonly clock?: Clock }) {
    this.#clock = options.clock ?? systemClock;
    this.#maxAgeMs = options.maxAgeMs;
  }

  /** The last answer to the question when it is still good, else a new one. One question has one kind of answer. */
  async take<T>(question: string, look: () => Promise<T>): Promise<T> {
    const takenMs = this.#clock.monotonic();
    const known = this.#looks.get(question);
    if (known !== undefined && takenMs - known.takenMs < this.#maxAgeMs) return known.answer as T;
    const reports = this.#reports;
    const answer = await look();
    if (this.#trusted && reports === this.#reports) this.#looks.set(question, { answer, takenMs });
    return answer;
  }

  /** Something has changed, or may have. */
  forget(): void {
    this.#reports += 1;
    this.#looks.clear();
  }

  /** From now on every change is reported, or not any more. */
  trust(reported: boolean): void {
    this.#trusted = reported;
    this.forget();
  }
}
