/** The rules of leader election on a Lease, as client-go has them, without I/O. Times without a zone are monotonic milliseconds of the observer. */
import type { Lease, LeaseSpec } from './objects.ts';

/** Annotation of a lease that names the candidate who is asked to take it from its holder. */
export const OFFER_ANNOTATION = 'subctl.submariner.io/move-to';

/** Who is asked to take the lease; undefined when nobody is. */
export function offerOf(lease: Lease | undefined): string | undefined {
  return lease?.metadata.annotations?.[OFFER_ANNOTATION] || undefined;
}

/** The lease as `identity` writes it: an offer is answered when another one takes the lease, or by who has it already. */
export function withoutOffer(lease: Lease, identity: string): Lease {
  const offer = offerOf(lease);
  if (offer === undefined || (holderOf(lease.spec) === identity && offer !== identity)) return lease;
  const { [OFFER_ANNOTATION]: _answered, ...annotations } = lease.metadata.annotations ?? {};
  return { ...lease, metadata: { ...lease.metadata, annotations } };
}

/** What a candidate has seen of the lease. */
export interface LeaseObservation {
  readonly record: LeaseSpec | undefined;
  /** When this candidate first saw the record as it is; the clocks of others do not count. */
  readonly since: number;
}

export type LeaseDecision =
  | { readonly action: 'acquire' }
  | { readonly action: 'renew' }
  /** Somebody else holds it for at least so long. */
  | { readonly action: 'wait'; readonly ms: number };

/** The observation after looking at the lease at `now`: the time starts anew with every change of the record. */
export function observeLease(
  previous: LeaseObservation | undefined,
  record: LeaseSpec | undefined,
  now: number,
): LeaseObservation {
  if (previous !== undefined && sameRecord(previous.record, record)) return previous;
  return { record, since: now };
}

/** What a candidate may do now. */
export function decideLease(
  observation: LeaseObservation,
  identity: string,
  now: number,
  leaseMs: number,
): LeaseDecision {
  const holder = holderOf(observation.record);
  if (holder === undefined) return { action: 'acquire' };
  if (holder === identity) return { action: 'renew' };
  const left = observation.since + durationMs(observation.record, leaseMs) - now;
  return left <= 0 ? { action: 'acquire' } : { action: 'wait', ms: left };
}

/** Who holds a lease, expired or not; undefined when it was released or never taken. */
export function holderOf(record: LeaseSpec | undefined): string | undefined {
  const holder = record?.holderIdentity;
  return holder === '' ? undefined : holder;
}

/** The transitions a new holder writes for those it has seen, undefined = none: client-go's rule. */
export function transitionsAfter(seen: number | undefined): number {
  return seen === undefined ? 0 : seen + 1;
}

/**
 * The record with which `identity` takes or renews a lease. `wallMs` is milliseconds since the epoch; `transitions` is what
 * a new holder writes.
 */
export function heldRecord(
  previous: LeaseSpec | undefined,
  identity: string,
  wallMs: number,
  leaseMs: number,
  transitions = transitionsAfter(previous === undefined ? undefined : (previous.leaseTransitions ?? 0)),
): LeaseSpec {
  const renewTime = microTime(wallMs);
  const mine = previous?.holderIdentity === identity;
  return {
    holderIdentity: identity,
    leaseDurationSeconds: Math.max(1, Math.round(leaseMs / 1000)),
    acquireTime: mine ? (previous.acquireTime ?? renewTime) : renewTime,
    renewTime,
    leaseTransitions: mine ? (previous.leaseTransitions ?? 0) : transitions,
  };
}

/** The record with which a holder gives a lease back, so that nobody has to wait for its end. */
export function releasedRecord(previous: LeaseSpec, wallMs: number): LeaseSpec {
  const time = microTime(wallMs);
  return {
    holderIdentity: '',
    leaseDurationSeconds: 1,
    acquireTime: time,
    renewTime: time,
    leaseTransitions: previous.leaseTransitions ?? 0,
  };
}

/** RFC 3339 with six decimals (meta/v1 MicroTime). */
export function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace('Z', '000Z');
}

function durationMs(record: LeaseSpec | undefined, fallbackMs: number): number {
  const seconds = record?.leaseDurationSeconds;
  return seconds === undefined || seconds <= 0 ? fallbackMs : seconds * 1000;
}

const RECORD_FIELDS = [
  'holderIdentity',
  'renewTime',
  'acquireTime',
  'leaseTransitions',
  'leaseDurationSeconds',
] as const;

function sameRecord(a: LeaseSpec | undefined, b: LeaseSpec | undefined): boolean {
  return RECORD_FIELDS.every((field) => a?.[field] === b?.[field]);
}
