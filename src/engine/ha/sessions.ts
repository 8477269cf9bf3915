/** What one gateway knows of another from its beats. Pure; times are milliseconds of the own monotonic clock. */
import type { Beat, Claims } from './beat.ts';

/** How often a peer is told that we live, and how long it may be silent when nothing gets lost. */
export interface Pace {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** Where at least one of the two clusters has a standby. */
export const FAST: Pace = { intervalMs: 100, timeoutMs: 500 };
/** Where nobody could take over anyway. */
export const SLOW: Pace = { intervalMs: 1000, timeoutMs: 5000 };
/** A peer that was silent must not be so again for that long before it is preferred. */
export const STABLE_MS = 30_000;

/** waiting: nothing two-way since our start; alive: we hear it and it hears us; silent: it was alive before. */
export type Liveness = 'waiting' | 'alive' | 'silent';

/** One peer as seen by us. */
export interface PeerSession {
  readonly state: Liveness;
  /** When that began; of a silence, when the last two-way beat came. */
  readonly sinceMs: number;
  /** The session that proved that it hears us. */
  readonly current: { readonly session: bigint; readonly counter: number } | undefined;
  /** One that has not yet, e.g. of a process that just started. */
  readonly candidate: { readonly session: bigint; readonly counter: number; readonly atMs: number } | undefined;
  /** Sessions that ended; a recording of them proves nothing. */
  readonly retired: readonly bigint[];
  /** When the current session was last heard, two-way or not. */
  readonly heardMs: number;
  /** Last two-way beat. */
  readonly provenMs: number;
  /** When the last silence ended. */
  readonly returnedMs: number;
  /** Until then it may not hear us because we slept. */
  readonly excusedMs: number;
  /** Share of its beats that get lost, as a moving average. */
  readonly loss: number;
  /** The interval it sends at now. */
  readonly everyMs: number;
  readonly rttMs: number | undefined;
  /** What it sent last: to be sent back. */
  readonly echo: { readonly sentMs: number; readonly atMs: number } | undefined;
  readonly claims: Claims;
}

/** As before anything was heard, but for what keeps recordings from being believed: it is reached another way now. */
export function renew(session: PeerSession, nowMs: number): PeerSession {
  const { current, candidate, retired, claims } = session;
  return { ...newSession(nowMs), current, candidate, retired, claims };
}

/** How one datagram was taken. */
export interface Hearing {
  readonly session: PeerSession;
  /** stale: a repetition, or from a session that ended; unproven: it does not (yet) hear us. */
  readonly verdict: 'stale' | 'unproven' | 'proven';
}

const NEVER = Number.NEGATIVE_INFINITY;
const NO_CLAIMS: Claims = { active: false, term: 0, ready: false, hears: [], uses: new Map() };
const RETIRED = 64;
const LOSS_WEIGHT = 1 / 50;
/** A peer that loses beats is given so many that all get lost only once in so many times. */
const DOUBT = Math.log(1e-7);
const MAX_BEATS = 20;
/** A gap above that is an outage rather than loss. */
const MAX_GAP = 20;

/** A peer nothing is known of yet. */
export function newSession(nowMs: number): PeerSession {
  return {
    state: 'waiting',
    sinceMs: nowMs,
    current: undefined,
    candidate: undefined,
    retired: [],
    heardMs: NEVER,
    provenMs: NEVER,
    returnedMs: NEVER,
    excusedMs: NEVER,
    loss: 0,
    everyMs: 0,
    rttMs: undefined,
    echo: undefined,
    claims: NO_CLAIMS,
  };
}

/** After an authentic beat of the peer; `own` is our session. */
export function hear(session: PeerSession, { header, body }: Beat, own: bigint, nowMs: number): Hearing {
  const { current, candidate } = session;
  if (session.retired.includes(header.session)) return { session, verdict: 'stale' };
  const known = [current, candidate].find((one) => one?.session === header.session);
  if (known !== undefined && header.counter <= known.counter) return { session, verdict: 'stale' };
  const base: PeerSession = { ...session, everyMs: header.everyMs, echo: { sentMs: header.sentMs, atMs: nowMs } };
  const { session: id, counter } = header;
  if (header.heard !== own) {
    if (current?.session === id) return { session: deaf(base, counter, nowMs), verdict: 'unproven' };
    return { session: { ...base, candidate: { session: id, counter, atMs: nowMs } }, verdict: 'unproven' };
  }
  return { session: proven(base, { header, body }, nowMs), verdict: 'proven' };
}

/** We hear the session we know, but it no longer hears us. */
function deaf(session: PeerSession, counter: number, nowMs: number): PeerSession {
  const { current, state, provenMs, excusedMs } = session;
  const heard = { ...session, current: current && { ...current, counter }, heardMs: nowMs };
  return state === 'alive' && nowMs > excusedMs ? { ...heard, state: 'silent', sinceMs: provenMs } : heard;
}

function proven(session: PeerSession, { header, body }: Beat, nowMs: number): PeerSession {
  const { current, state, sinceMs, retired } = session;
  const same = current?.session === header.session;
  const ended = current === undefined || same ? [] : [current.session];
  return {
    ...session,
    state: 'alive',
    sinceMs: state === 'alive' ? sinceMs : nowMs,
    returnedMs: state === 'silent' ? nowMs : session.returnedMs,
    current: { session: header.session, counter: header.counter },
    candidate: same ? session.candidate : undefined,
    retired: ended.length === 0 ? retired : [...retired, ...ended].slice(-RETIRED),
    heardMs: nowMs,
    provenMs: nowMs,
    loss: same && state === 'alive' ? lossAfter(session.loss, header.counter - current.counter - 1) : session.loss,
    rttMs: smoothed(session.rttMs, nowMs - header.echoMs - header.heldMs),
    claims: body.claims,
  };
}

function lossAfter(loss: number, gap: number): number {
  let after = loss;
  for (let lost = 0; lost < Math.min(gap, MAX_GAP); lost += 1) after += (1 - after) * LOSS_WEIGHT;
  return after * (1 - LOSS_WEIGHT);
}

function smoothed(before: number | undefined, rttMs: number): number | undefined {
  if (!Number.isFinite(rttMs) || rttMs < 0) return before;
  return before === undefined ? rttMs : before + (rttMs - before) / 8;
}

/** How long the peer may be silent: longer when it sends more rarely than we do, and when many of its beats get lost. */
export function patienceMs({ loss, everyMs }: PeerSession, { intervalMs, timeoutMs }: Pace): number {
  const beats = timeoutMs / intervalMs;
  const needed = loss < 0.01 ? beats : Math.min(MAX_BEATS, Math.max(beats, DOUBT / Math.log(loss)));
  return needed * Math.max(intervalMs, everyMs);
}

/** After time has passed. */
export function judge(session: PeerSession, pace: Pace, nowMs: number): PeerSession {
  if (session.state !== 'alive' || nowMs - session.provenMs <= patienceMs(session, pace)) return session;
  return { ...session, state: 'silent', sinceMs: session.provenMs };
}

/** Nobody is blamed for the time we slept ourselves, nor for having given us up meanwhile. */
export function excuse(session: PeerSession, pace: Pace, sleptMs: number, nowMs: number): PeerSession {
  const later = (ms: number): number => Math.min(nowMs, ms + sleptMs);
  return {
    ...session,
    heardMs: later(session.heardMs),
    provenMs: later(session.provenMs),
    excusedMs: nowMs + pace.timeoutMs,
  };
}

/** The session of the peer we can say we hear; 0 when we do not. */
export function heardSession(session: PeerSession, pace: Pace, nowMs: number): bigint {
  const { current, candidate, heardMs } = session;
  const limitMs = patienceMs(session, pace);
  if (current !== undefined && nowMs - heardMs <= limitMs) return current.session;
  return candidate !== undefined && nowMs - candidate.atMs <= limitMs ? candidate.session : 0n;
}

/** Alive, and not silent for a moment within the last `stableMs`. */
export function isStable({ state, returnedMs }: PeerSession, nowMs: number, stableMs = STABLE_MS): boolean {
  return state === 'alive' && nowMs - returnedMs >= stableMs;
}
