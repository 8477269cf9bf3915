import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { KubeClient } from './client.ts';
import type { Lease } from './objects.ts';
import type { Store } from './store.ts';

/** What a candidate decides beyond the rules of leases. */
export interface ElectionRules {
  /** Asked at each look while somebody else holds a lease that has not run out: whether to take it all the same. */
  readonly mayTakeOver: (lease: Lease) => boolean;
  /** What to write as `leaseTransitions` on taking the lease, for the most that was ever seen there; default: one more. */
  readonly nextTransitions: (seen: number | undefined) => number;
}

/** A candidate, and the lease it is for. */
export interface LeaseElectorOptions extends Partial<ElectionRules> {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** Who we are; a restarted process with the same identity resumes at once. */
  readonly identity: string;
  readonly logger: Logger;
  /** Leases of the namespace, run by the caller; with it a waiting candidate makes no requests and learns of a release at once. */
  readonly store?: Store<Lease>;
  /** Time between renewals (and, without a store, between looks); default 1000. */
  readonly renewMs?: number;
  /** After so long without renewal others take over; whole seconds; default 5000. */
  readonly leaseMs?: number;
  readonly clock?: Clock;
}
