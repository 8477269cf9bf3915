import type { Failover } from '../api/availability.ts';
import type { LeaseElector } from '../kube/lease.ts';
import type { Clock } from '../runtime/clock.ts';

/** Suffix of the identity with which a gateway holds the lease (upstream's). */
const IDENTITY_SUFFIX = '-submariner-gateway';

/** The identity with which the gateway of a node takes part in the election. */
export function leaseIdentity(nodeName: string): string {
  return `${nodeName}${IDENTITY_SUFFIX}`;
}

/** Node of the gateway that holds a lease under this identity. */
export function nodeOfIdentity(identity: string): string {
  return identity.endsWith(IDENTITY_SUFFIX) ? identity.slice(0, -IDENTITY_SUFFIX.length) : identity;
}

/** A change of the active gateway that is not complete yet. */
interface Takeover {
  readonly at: string;
  readonly startedMs: number;
  readonly cause: string;
  readonly from: string;
}

/** What happened to this gateway in the election, and when: for damping and for the status. */
export class Tenure {
  readonly #elector: LeaseElector;
  readonly #nodeName: string;
  readonly #clock: Clock;
  #leads = false;
  #formerHolder = '';
  #since: string;
  #lostMs = Number.NEGATIVE_INFINITY;
  #failedMs: number | undefined;
  #takeover: Takeover | undefined;
  #failover: Failover | undefined;

  constructor(elector: LeaseElector, nodeName: string, clock: Clock) {
    this.#elector = elector;
    this.#nodeName = nodeName;
    this.#clock = clock;
    this.#since = this.#isoNow();
  }

  /** Since when this gateway is active or not; RFC 3339. */
  get since(): string {
    return this.#since;
  }

  /** When the lease was lost last; monotonic milliseconds. */
  get lostMs(): number {
    return this.#lostMs;
  }

  /** When the lease was lost last without an order to. */
  get failedMs(): number | undefined {
    return this.#failedMs;
  }

  /** How this gateway became the active one. */
  get failover(): Failover | undefined {
    return this.#failover;
  }

  /**
   * To be called when the lease changed: whether this gateway has just become active, or no longer is. `why` says what
   * brought it to take the lease and when the trouble began.
   */
  leaseChanged(
    why: (former: string) => { readonly cause: string | undefined; readonly sinceMs: number | undefined },
  ): 'won' | 'lost' | undefined {
    const { leader } = this.#elector;
    const turn = leader ? 'won' : 'lost';
    const turned = leader !== this.#leads;
    this.#leads = leader;
    if (turned) this.#since = this.#isoNow();
    if (turned && leader) this.#won(why);
    if (turned && !leader) this.#lost();
    this.#noteHolder();
    return turned ? turn : undefined;
  }

  #noteHolder(): void {
    const { holder } = this.#elector;
    if (holder !== undefined && holder !== leaseIdentity(this.#nodeName)) this.#formerHolder = nodeOfIdentity(holder);
  }

  #lost(): void {
    this.#lostMs = this.#clock.monotonic();
    if (this.#elector.offeredTo === undefined) this.#failedMs = this.#lostMs;
    this.#takeover = undefined;
  }

  /** The others have been told that this gateway is active: the fail-over that is complete by that, once. */
  complete(): Failover | undefined {
    if (this.#takeover === undefined) return undefined;
    const { startedMs, ...rest } = this.#takeover;
    this.#takeover = undefined;
    this.#failover = { ...rest, durationMs: Math.round(this.#clock.monotonic() - startedMs) };
    return this.#failover;
  }

  #won(why: (former: string) => { readonly cause: string | undefined; readonly sinceMs: number | undefined }): void {
    const from = this.#formerHolder;
    if (from === '') return;
    const { cause = `gateway ${from} did not hold the lease any more`, sinceMs = this.#clock.monotonic() } = why(from);
    this.#takeover = { at: this.#since, startedMs: sinceMs, cause, from };
  }

  #isoNow(): string {
    return new Date(this.#clock.now()).toISOString();
  }
}
