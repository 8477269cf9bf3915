import { systemClock, type Clock } from '../runtime/clock.ts';

/**
 * What is looked at apart, because a report about one says nothing of the others: links with their addresses and sysctls;
 * routes and rules; FDB; nft tables.
 */
export type Part = 'link' | 'route' | 'fdb' | 'nft';

/** All parts. */
export const PARTS: readonly Part[] = ['link', 'route', 'fdb', 'nft'];

/** What may be different once a link, an address or a sysctl is: routes and FDB go with a link without a word. */
export const WITH_LINKS: readonly Part[] = ['link', 'route', 'fdb'];

/** Nothing about links goes unreported, so that looks at nothing else are good for so many times longer. */
const LASTING = 4;

interface Look {
  readonly answer: unknown;
  readonly takenMs: number;
  /** Reports there had been of its parts when it began. */
  readonly reports: number;
}

/**
 * The latest looks at the kernel, good for as long as the programs that watch it have reported nothing of what was looked
 * at: like a cache kept by a watch, except that a report never changes an answer, it only makes the next one a real look.
 *
 * INVARIANTS:
 * - while any of the watching programs is not surely listening, every look is a real one;
 * - any report, and any change of our own, makes all looks at its part forgotten, those under way too;
 * - nothing older than `maxAgeMs` is answered (links alone: four times that): what no program reports (FDB, the inside of
 *   nft tables) is seen by then.
 */
export class RecentLooks {
  readonly #clock: Clock;
  readonly #maxAgeMs: number;
  readonly #looks = new Map<string, Look>();
  readonly #reports: Record<Part, number> = { link: 0, route: 0, fdb: 0, nft: 0 };
  #trusted = false;

  constructor(options: { readonly maxAgeMs: number; readonly clock?: Clock }) {
    this.#clock = options.clock ?? systemClock;
    this.#maxAgeMs = options.maxAgeMs;
  }

  /**
   * The last answer to the question when it is still good, else a new one. One question has one kind of answer, and is
   * about the same parts each time.
   */
  async take<T>(parts: readonly Part[], question: string, look: () => Promise<T>): Promise<T> {
    const takenMs = this.#clock.monotonic();
    const reports = this.reportsOf(parts);
    const known = this.#looks.get(question);
    const maxAgeMs = this.#maxAgeMs * (parts.every((part) => part === 'link') ? LASTING : 1);
    if (known?.reports === reports && takenMs - known.takenMs < maxAgeMs) return known.answer as T;
    const answer = await look();
    if (this.#trusted && this.reportsOf(parts) === reports) this.#looks.set(question, { answer, takenMs, reports });
    return answer;
  }

  /** Something of these parts has changed, or may have. */
  forget(parts: readonly Part[] = PARTS): void {
    for (const part of parts) this.#reports[part] += 1;
  }

  /** From now on every change is reported, or not any more. */
  trust(reported: boolean): void {
    this.#trusted = reported;
    this.forget();
  }

  /** Whether every change is reported now. */
  get trusted(): boolean {
    return this.#trusted;
  }

  /** Grows with every report of any of the parts. */
  reportsOf(parts: readonly Part[]): number {
    return parts.reduce((sum, part) => sum + this.#reports[part], 0);
  }
}
