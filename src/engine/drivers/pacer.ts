interface Pace {
  readonly dueMs: number;
  readonly nextDelayMs: number;
}

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;

/**
 * When something that failed is tried again: after 1 s, then each time twice as late, at most 30 s; so that a peer
 * that refuses is not asked in a tight loop, however often somebody looks. Times are of one monotonic clock, in ms.
 */
export class Pacer {
  readonly #paces = new Map<string, Pace>();

  /** Forgets everything but these: what is complete begins anew when it breaks. */
  keepOnly(names: ReadonlySet<string>): void {
    for (const name of this.#paces.keys()) if (!names.has(name)) this.#paces.delete(name);
  }

  /** Whether to try now, and if so counts the try. The first time for a name is `firstDelayMs` after it was asked. */
  due(name: string, nowMs: number, firstDelayMs: number): boolean {
    const pace = this.#paces.get(name) ?? { dueMs: nowMs + firstDelayMs, nextDelayMs: FIRST_RETRY_MS };
    const due = nowMs >= pace.dueMs;
    const next = Math.min(LONGEST_RETRY_MS, pace.nextDelayMs * 2);
    this.#paces.set(name, due ? { dueMs: nowMs + pace.nextDelayMs, nextDelayMs: next } : pace);
    return due;
  }

  /** Milliseconds until the next thing is due; undefined when nothing is waited for. */
  waitMs(nowMs: number): number | undefined {
    const dues = [...this.#paces.values()].map(({ dueMs }) => dueMs);
    return dues.length === 0 ? undefined : Math.max(0, Math.min(...dues) - nowMs);
  }
}
