/** A simulated ClusterSet: time, chance, the network, API servers and the broker. */
import type { ClusterGateways } from '../../../src/api/gateways.ts';
import { holderOf } from '../../../src/kube/leaserules.ts';
import type { LeaseSpec } from '../../../src/kube/objects.ts';

/** Numbers in [0, 1), always the same for a seed. */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Things that happen, in the order of their time. */
export class Timeline {
  nowMs = 0;
  readonly #heap: { readonly atMs: number; readonly order: number; readonly run: () => void }[] = [];
  #order = 0;

  after(ms: number, run: () => void): void {
    const heap = this.#heap;
    const item = { atMs: this.nowMs + Math.max(0, ms), order: (this.#order += 1), run };
    let at = heap.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (before(heap[parent]!, item)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = item;
  }

  runUntil(ms: number): void {
    while (this.#heap.length > 0 && this.#heap[0]!.atMs <= ms) {
      const next = this.#take();
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = ms;
  }

  #take(): { readonly atMs: number; readonly order: number; readonly run: () => void } {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (before(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: { atMs: number; order: number }, b: { atMs: number; order: number }): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** The lease with its version; `spec` undefined: it does not exist. */
export interface StoredLease {
  readonly version: number;
  readonly spec: LeaseSpec | undefined;
  readonly moveTo?: string;
  readonly moveCause?: string;
}

/** What a cluster publishes of itself. */
export interface Announcement {
  readonly active: string;
  readonly gateways: ClusterGateways;
}

/** The API server of one cluster: optimistic locking, and watchers who learn of changes. */
export class ApiServer {
  lease: StoredLease = { version: 1, spec: undefined };
  announcement: Announcement | undefined;
  /** Who took the lease when, without renewals. */
  readonly holders: { readonly atMs: number; readonly holder: string }[] = [];
  onChange: () => void = () => undefined;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** False: somebody else has written since `version`. */
  write(version: number, change: Omit<StoredLease, 'version'>): boolean {
    if (version !== this.lease.version) return false;
    const holder = holderOf(change.spec);
    const last = this.holders.at(-1)?.holder;
    if (holder !== undefined && holder !== last) this.holders.push({ atMs: this.#now(), holder });
    this.lease = { ...change, version: version + 1 };
    this.onChange();
    return true;
  }

  publish(announcement: Announcement): void {
    this.announcement = announcement;
    this.onChange();
  }
}

/** What is wrong with the network now; each entry may be there several times. */
export class Faults {
  readonly #active = new Map<string, number>();
  /** Share of packets between clusters that are lost. */
  wanLoss = 0;

  add(fault: string): () => void {
    this.#active.set(fault, (this.#active.get(fault) ?? 0) + 1);
    return () => void this.#active.set(fault, (this.#active.get(fault) ?? 1) - 1);
  }

  has(fault: string): boolean {
    return (this.#active.get(fault) ?? 0) > 0;
  }

  get any(): boolean {
    return [...this.#active.values()].some((count) => count > 0);
  }
}
