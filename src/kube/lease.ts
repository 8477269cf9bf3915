import { withAbort, withTimeLimit } from '../runtime/abort.ts';
import { jittered } from '../runtime/backoff.ts';
import { systemClock, type Clock } from '../runtime/clock.ts';
import { messageOf } from '../runtime/errors.ts';
import { isAlreadyExists, isConflict, isNotFound } from './errors.ts';
import {
  decideLease,
  heldRecord,
  OFFER_ANNOTATION,
  holderOf,
  observeLease,
  offerOf,
  releasedRecord,
  transitionsAfter,
  withoutOffer,
  type LeaseObservation,
} from './leaserules.ts';
import type { LeaseElectorOptions } from './leaseoptions.ts';
import type { Lease } from './objects.ts';
import { RESOURCES } from './resources.ts';

/** One candidate for a lease. */
export interface LeaseElector {
  /**
   * True from taking the lease until somebody else is seen to hold it or it was given back. Stays true while the API
   * server is away, as nobody can be seen then; `confirmed` tells.
   */
  readonly leader: boolean;
  /** True while the last renewal is younger than the lease: no other candidate can hold it. */
  readonly confirmed: boolean;
  /** Who held the lease when it was last seen. */
  readonly holder: string | undefined;
  /** `leaseTransitions` of the lease as last seen: grows with every change of the holder. */
  readonly term: number | undefined;
  /** Who is asked to take the lease, see `offer`. */
  readonly offeredTo: string | undefined;
  /** Why the lease cannot be looked at or renewed now. */
  readonly problem: string | undefined;
  /** Called when any of the above has changed. */
  onChange(listener: () => void): () => void;
  /** Looks again now, for instance because `mayTakeOver` would answer otherwise. */
  reconsider(): void;
  /** Leads no longer, though the lease may not say so yet: somebody is known to have taken it. */
  stepAside(): void;
  /** Asks the one with this name to take the lease from us (an annotation of the lease); rejects when that cannot be written. */
  offer(to: string, signal: AbortSignal): Promise<void>;
  /** Takes part until aborted, then gives the lease back (holderIdentity ""); never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

/** A candidate for a Lease with upstream's (client-go's) field semantics. */
export function createLeaseElector(options: LeaseElectorOptions): LeaseElector {
  return new Elector(options);
}

/**
 * INVARIANTS:
 * - every write carries the resourceVersion it was decided on, so of two candidates that decide at once one gets a conflict;
 * - a record counts as expired only after it was seen unchanged for its duration by our own clock, while the API server was
 *   in contact all the time: after an outage the holder gets a full lease to renew before anyone takes over;
 * - `confirmed` counts from before the renewal was sent, others count from after they saw it: two candidates are never
 *   confirmed at the same time;
 * - one request at a time, none longer than half a lease (at least 2 s).
 */
class Elector implements LeaseElector {
  readonly #options: LeaseElectorOptions;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #renewMs: number;
  readonly #limitMs: number;
  readonly #listeners = new Set<() => void>();
  #leader = false;
  #problem: string | undefined;
  #observed: LeaseObservation | undefined;
  /** The lease as the last answer or the store had it. */
  #lease: Lease | undefined;
  #renewedAt = Number.NEGATIVE_INFINITY;
  /** The resourceVersion a write of ours was based on that did not succeed. */
  #refused: string | undefined;
  /** The most `leaseTransitions` ever seen: a lease that was deleted and made anew does not begin at 0 again. */
  #newest: number | undefined;
  #announced = '';
  #wake: () => void = () => undefined;

  constructor(options: LeaseElectorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#leaseMs = options.leaseMs ?? 5000;
    this.#renewMs = options.renewMs ?? 1000;
    this.#limitMs = Math.max(2000, this.#leaseMs / 2);
  }

  get leader(): boolean {
    return this.#leader;
  }

  get confirmed(): boolean {
    return this.#leader && this.#clock.monotonic() - this.#renewedAt < this.#leaseMs;
  }

  get holder(): string | undefined {
    return holderOf(this.#observed?.record);
  }

  get term(): number | undefined {
    return this.#observed?.record?.leaseTransitions;
  }

  get offeredTo(): string | undefined {
    const { store, name, namespace } = this.#options;
    return offerOf(store?.get(name, namespace) ?? this.#lease);
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  reconsider(): void {
    this.#wake();
  }

  stepAside(): void {
    this.#lead(false);
    this.#announce();
    this.#wake();
  }

  async offer(to: string, signal: AbortSignal): Promise<void> {
    const { client, name, namespace } = this.#options;
    const change = { metadata: { annotations: { [OFFER_ANNOTATION]: to } } };
    await client.patch(RESOURCES.leases, name, change, { patchType: 'merge', namespace, signal });
  }

  async run(signal: AbortSignal): Promise<void> {
    const unsubscribe = this.#options.store?.onChange(() => this.#storeChanged());
    while (!signal.aborted) {
      const waitMs = await this.#step(signal);
      this.#announce();
      if (!signal.aborted) await this.#rest(waitMs, signal);
    }
    unsubscribe?.();
    if (this.#leader) await this.#release();
    this.#announce();
  }

  /** Looks and acts once; the time until the next look in milliseconds. */
  async #step(signal: AbortSignal): Promise<number> {
    try {
      return await withTimeLimit(signal, this.#clock, this.#limitMs, (limit) => this.#act(limit));
    } catch (error) {
      if (signal.aborted) return 0;
      if (isConflict(error) || isAlreadyExists(error) || isNotFound(error)) {
        this.#lease = undefined;
        this.#options.logger.debug('somebody else wrote the lease', { lease: this.#options.name });
        return jittered(0, this.#renewMs / 4);
      }
      this.#lost(error);
      return jittered(this.#renewMs / 2, this.#renewMs);
    }
  }

  #lost(error: unknown): void {
    if (this.#problem === undefined) {
      const { name, logger } = this.#options;
      logger.warn('cannot reach the lease, trying again', { lease: name, leader: this.#leader, error });
    }
    this.#problem = messageOf(error);
    this.#lease = undefined;
    this.#outOfContact();
  }

  async #act(signal: AbortSignal): Promise<number> {
    const { identity } = this.#options;
    const lease = await this.#look(signal);
    const now = this.#clock.monotonic();
    this.#observed = observeLease(this.#observed, lease?.spec, now);
    this.#noteTransitions(lease);
    const decision = decideLease(this.#observed, identity, now, this.#leaseMs);
    if (decision.action === 'wait' && !this.#takesOver(lease)) {
      this.#problem = undefined;
      this.#lead(false);
      return this.#options.store === undefined ? jittered(this.#renewMs / 2, this.#renewMs) : decision.ms;
    }
    await this.#write(lease, signal);
    return this.#renewMs;
  }

  #noteTransitions(lease: Lease | undefined): void {
    if (lease?.spec === undefined) return;
    this.#newest = Math.max(this.#newest ?? 0, lease.spec.leaseTransitions ?? 0);
  }

  #takesOver(lease: Lease | undefined): boolean {
    return lease !== undefined && this.#options.mayTakeOver?.(lease) === true;
  }

  /** The lease to decide on: our own last write, what the store shows, or in doubt what the server says. */
  async #look(signal: AbortSignal): Promise<Lease | undefined> {
    const { client, name, namespace } = this.#options;
    const ownWrite = this.#showsRival() ? undefined : this.#lease;
    const known = this.#leader ? ownWrite : this.#storedLease();
    return known ?? client.find<Lease>(RESOURCES.leases, name, { namespace, signal });
  }

  /** What the store shows, unless it is out of contact, or shows what a write of ours was just refused for. */
  #storedLease(): Lease | undefined {
    const { store, name, namespace } = this.#options;
    if (store === undefined || store.problem !== undefined || this.#problem !== undefined) return undefined;
    const stored = store.get(name, namespace);
    return stored?.metadata.resourceVersion === this.#refused ? undefined : stored;
  }

  #showsRival(): boolean {
    const { store, name, namespace, identity } = this.#options;
    const stored = store?.get(name, namespace);
    return stored !== undefined && holderOf(stored.spec) !== identity;
  }

  /** A leader's own renewals come back through the store; they are no reason to renew again. */
  #storeChanged(): void {
    if (!this.#leader || this.#showsRival()) this.#wake();
  }

  /** Nobody can be said to have let a lease run out while we could not see: the time starts anew. */
  #outOfContact(): void {
    if (this.#observed !== undefined) this.#observed = { ...this.#observed, since: this.#clock.monotonic() };
  }

  async #write(lease: Lease | undefined, signal: AbortSignal): Promise<void> {
    const { client, identity, name, namespace } = this.#options;
    const sentAt = this.#clock.monotonic();
    const { nextTransitions = transitionsAfter } = this.#options;
    const transitions = nextTransitions(this.#newest);
    const spec = heldRecord(lease?.spec, identity, this.#clock.now(), this.#leaseMs, transitions);
    this.#refused = lease?.metadata.resourceVersion;
    this.#lease =
      lease === undefined
        ? await client.create<Lease>(RESOURCES.leases, { metadata: { name, namespace }, spec }, { signal })
        : await client.replace<Lease>(RESOURCES.leases, { ...withoutOffer(lease, identity), spec }, { signal });
    this.#refused = undefined;
    this.#renewedAt = sentAt;
    this.#observed = observeLease(this.#observed, this.#lease.spec, this.#clock.monotonic());
    this.#noteTransitions(this.#lease);
    this.#problem = undefined;
    this.#lead(true);
  }

  #lead(leader: boolean): void {
    if (!leader) this.#lease = undefined;
    if (this.#leader === leader) return;
    this.#leader = leader;
    const { logger, name, identity } = this.#options;
    if (leader) logger.info('took the lease', { lease: name, identity });
    else logger.info('lost the lease', { lease: name, identity, holder: this.holder });
  }

  async #release(): Promise<void> {
    const { client, name, namespace, identity, logger } = this.#options;
    try {
      await withTimeLimit(undefined, this.#clock, this.#limitMs, async (signal) => {
        const lease = await client.find<Lease>(RESOURCES.leases, name, { namespace, signal });
        if (lease?.spec === undefined || holderOf(lease.spec) !== identity) return;
        const spec = releasedRecord(lease.spec, this.#clock.now());
        await client.replace<Lease>(RESOURCES.leases, { ...lease, spec }, { signal });
        logger.info('gave the lease back', { lease: name, identity });
      });
    } catch (error) {
      logger.warn('could not give the lease back; it runs out by itself', { lease: name, error });
    }
    this.#leader = false;
  }

  async #rest(waitMs: number, signal: AbortSignal): Promise<void> {
    await withAbort(signal, (sleep) => {
      this.#wake = () => sleep.abort();
      return this.#clock.sleep(waitMs, sleep.signal);
    });
    this.#wake = () => undefined;
  }

  #announce(): void {
    const state = JSON.stringify([this.#leader, this.confirmed, this.holder, this.#problem]);
    if (state === this.#announced) return;
    this.#announced = state;
    for (const listener of this.#listeners) listener();
  }
}
