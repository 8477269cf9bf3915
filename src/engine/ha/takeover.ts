/** When a standby takes the lease, and when an active gateway steps down. Pure; times are monotonic milliseconds. */
import { compareNames, reportsOf, type PeerReport } from './report.ts';
import { STABLE_MS } from './sessions.ts';

/** The lease as this gateway sees it now. */
export interface LeaseView {
  /** undefined: nobody holds it (released, or never taken). */
  readonly holder: LeaseHolder | undefined;
  /** `leaseTransitions`. */
  readonly term: number;
  /** Its time has run out; somebody may take it by the rules of leases alone. */
  readonly expired: boolean;
  /** Node (or cable name) an operator, or a gateway that stops, wants it to go to. */
  readonly moveTo?: string;
  /** Why it is to go there, for operators. */
  readonly moveCause?: string;
}

/** Who holds a lease; who has no Endpoint we know is known by its node only. */
export interface LeaseHolder {
  readonly node: string;
  readonly cableName?: string;
}

/** A gateway that could take the lease. */
export interface Candidate {
  readonly clusterId: string;
  readonly cableName: string;
  readonly node: string;
  /** Its driver works and its cables are as they ought to be. */
  readonly ready: boolean;
  /** When it last lost the lease against its will, or heard nobody any more though it did before. */
  readonly failedMs?: number;
}

export interface TakeoverInput {
  readonly nowMs: number;
  /** undefined while the API server cannot be asked: then nobody can take anything. */
  readonly lease: LeaseView | undefined;
  readonly self: Candidate;
  /** Gateways of the own and of other clusters. */
  readonly peers: readonly PeerReport[];
  /** Slots of the own cluster's gateways by cable name; who has none comes last. */
  readonly slots?: ReadonlyMap<string, number>;
}

type Reason = 'move' | 'free' | 'expired' | 'silent' | 'unheard';

/** Since when there is a reason to take over; to be handed in with the next look. */
export interface TakeoverMemory {
  readonly atMs: number;
  readonly term: number;
  readonly since: ReadonlyMap<Reason, number>;
}

export interface TakeoverDecision {
  readonly memory: TakeoverMemory;
  /** Take it now, with optimistic locking; the cause is for operators. */
  readonly take?: { readonly cause: string };
  /** Look again after so long, also when nothing has happened until then. */
  readonly waitMs?: number;
}

/** So long nobody must hear the holder while they hear us. */
const CONFIRM_MS = 50;
/** The same for a gateway that has failed of late itself. */
const DOUBTFUL_CONFIRM_MS = 1000;
/** So long a holder may be silent to us while gateways of other clusters say they hear it. */
const CONTRADICTED_MS = 1500;
/** Each candidate that goes first is given so long. */
const RANK_MS = 300;
/** A gateway of another cluster we have heard for less is no witness: it may not have heard everybody yet. */
const WITNESS_MS = 3000;
/** An active gateway without a lease is given so long to write one. */
const RENEWAL_MS = 3000;
/** Who has a reason looks at least so often. */
const LOOK_MS = 1000;
/** A look that comes later than that after the one before starts the waiting anew. */
const PAUSE_MS = 2000;

/** Whether this gateway takes the lease now. To be asked on any change, and when `waitMs` is over. */
export function considerTakeover(input: TakeoverInput, memory?: TakeoverMemory): TakeoverDecision {
  const { nowMs, lease, self } = input;
  if (lease === undefined || !self.ready) return { memory: { atMs: nowMs, term: 0, since: new Map() } };
  const since = sinceWhen(reasonsToTake(input, lease), lease.term, nowMs, memory);
  const next: TakeoverMemory = { atMs: nowMs, term: lease.term, since };
  let waitMs = LOOK_MS;
  for (const [reason, sinceMs] of since) {
    const untilMs = reason === 'unheard' ? witnessedMs(input) : nowMs;
    const leftMs = Math.max(sinceMs + patienceFor(reason, input, lease), untilMs) - nowMs;
    if (leftMs <= 0) return { memory: next, take: { cause: causeOf(reason, lease) } };
    waitMs = Math.min(waitMs, leftMs);
  }
  return { memory: next, ...(since.size > 0 ? { waitMs } : {}) };
}

function sinceWhen(
  reasons: readonly Reason[],
  term: number,
  nowMs: number,
  memory: TakeoverMemory | undefined,
): ReadonlyMap<Reason, number> {
  const remembered = memory?.term === term && nowMs - memory.atMs <= PAUSE_MS ? memory.since : undefined;
  return new Map(reasons.map((reason) => [reason, remembered?.get(reason) ?? nowMs]));
}

function reasonsToTake({ peers, self }: TakeoverInput, lease: LeaseView): readonly Reason[] {
  const { holder, moveTo } = lease;
  if (holder === undefined) return ['free'];
  if (holder.node === self.node || holder.cableName === self.cableName) return [];
  return [
    ...(isMeant(moveTo, self) ? (['move'] as const) : []),
    ...(isSilent(lease, peers) ? (['silent'] as const) : []),
    ...(isUnheard(lease, self, peers) ? (['unheard'] as const) : []),
    ...(lease.expired ? (['expired'] as const) : []),
  ];
}

function isMeant(moveTo: string | undefined, { node, cableName }: Candidate): boolean {
  return moveTo !== undefined && (moveTo === node || moveTo === cableName);
}

/** It told us itself that it is the active one, and now says nothing. Who was never heard in this term is not judged. */
function isSilent({ holder, term }: LeaseView, peers: readonly PeerReport[]): boolean {
  const report = peers.find(({ cableName }) => cableName === holder?.cableName);
  return report?.state === 'silent' && report.active && report.term >= term;
}

/** Of the others we hear there is at least one, and none hears the holder but all hear us; the holder's term is the one we see. */
function isUnheard({ holder, term }: LeaseView, self: Candidate, peers: readonly PeerReport[]): boolean {
  const name = holder?.cableName;
  if (name === undefined) return false;
  const newer = peers.some((peer) => peer.cableName === name && peer.state === 'alive' && peer.term > term);
  const alive = reportsOf(peers, self.clusterId).others.filter(({ state }) => state === 'alive');
  const all = alive.every(({ hears }) => !hears.includes(name) && hears.includes(self.cableName));
  return alive.length > 0 && all && !newer;
}

/** How long a reason must hold before it is acted on. */
function patienceFor(reason: Reason, input: TakeoverInput, lease: LeaseView): number {
  const { nowMs, peers, self } = input;
  if (reason === 'move') return 0;
  const turnMs = goFirst(input, lease) * RANK_MS;
  const { others } = reportsOf(peers, self.clusterId);
  if (reason === 'expired') return turnMs;
  if (reason === 'free') return turnMs + (peers.some((peer) => isAtWork(peer, self)) ? RENEWAL_MS : 0);
  if (isIsolated(others)) return Number.POSITIVE_INFINITY;
  const doubtful = !isSound(self, nowMs);
  if (reason === 'silent') {
    if (!others.some((peer) => hearsHolder(peer, lease))) return turnMs;
    return doubtful ? Number.POSITIVE_INFINITY : CONTRADICTED_MS + turnMs;
  }
  return (doubtful ? DOUBTFUL_CONFIRM_MS : CONFIRM_MS) + turnMs;
}

/** From when on all gateways of other clusters that we hear can have heard everybody. */
function witnessedMs({ peers, self }: TakeoverInput): number {
  const alive = reportsOf(peers, self.clusterId).others.filter(({ state }) => state === 'alive');
  return Math.max(...alive.map(({ sinceMs }) => sinceMs)) + WITNESS_MS;
}

/** Somebody deleted its lease, perhaps; it will write a new one. */
function isAtWork({ clusterId, state, active, ready }: PeerReport, self: Candidate): boolean {
  return clusterId === self.clusterId && state === 'alive' && active && ready;
}

function hearsHolder({ state, hears }: PeerReport, { holder }: LeaseView): boolean {
  return state === 'alive' && holder?.cableName !== undefined && hears.includes(holder.cableName);
}

/** We heard other clusters and hear none any more: then it is probably us. */
function isIsolated(others: readonly PeerReport[]): boolean {
  return others.some(({ state }) => state === 'silent') && !others.some(({ state }) => state === 'alive');
}

function isSound({ failedMs }: Candidate, nowMs: number): boolean {
  return failedMs === undefined || nowMs - failedMs >= STABLE_MS;
}

/** How many other gateways of the cluster that could take over have precedence. */
function goFirst(input: TakeoverInput, lease: LeaseView): number {
  const { self, peers, nowMs } = input;
  const { own, others } = reportsOf(peers, self.clusterId);
  const rivals = own.filter(
    ({ cableName, state, ready }) => state === 'alive' && ready && cableName !== lease.holder?.cableName,
  );
  const me = keyOf(self, isSound(self, nowMs) && !isIsolated(others), input, lease);
  return rivals.filter((rival) => compareKeys(keyOf(rival, rival.stable, input, lease), me) < 0).length;
}

type Precedence = readonly [meant: number, sound: number, slot: number, name: string];

function keyOf(
  { cableName }: { readonly cableName: string },
  sound: boolean,
  { slots }: TakeoverInput,
  { moveTo }: LeaseView,
): Precedence {
  return [moveTo === cableName ? 0 : 1, sound ? 0 : 1, slots?.get(cableName) ?? Number.MAX_SAFE_INTEGER, cableName];
}

function compareKeys(a: Precedence, b: Precedence): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || compareNames(a[3], b[3]);
}

function causeOf(reason: Reason, { holder, term, moveCause }: LeaseView): string {
  const name = holder?.node ?? '';
  const causes: Readonly<Record<Reason, string>> = {
    move: moveCause ?? 'planned: handed over',
    free: moveCause ?? (term === 0 ? 'no gateway was active' : 'the former gateway gave the lease back'),
    expired: `lease of gateway ${name} expired`,
    silent: `gateway ${name} is silent`,
    unheard: `no cluster hears gateway ${name} any more`,
  };
  return causes[reason];
}

/** The active gateway as it sees itself. */
export interface ActiveSelf {
  readonly clusterId: string;
  readonly cableName: string;
  readonly node: string;
  readonly term: number;
  /** It renewed the lease so lately that nobody else can hold it by the rules of leases. */
  readonly confirmed: boolean;
}

/** Why an active gateway must give up at once; undefined when it goes on. An API server that is away is no reason. */
export function mustStepDown(
  self: ActiveSelf,
  lease: LeaseView | undefined,
  peers: readonly PeerReport[],
): string | undefined {
  if (lease?.holder !== undefined && lease.term >= self.term && lease.holder.node !== self.node)
    return `the lease is held by ${lease.holder.node}`;
  const newer = peers.find(
    ({ clusterId, state, active, term }) =>
      clusterId === self.clusterId && state === 'alive' && active && term > self.term,
  );
  return newer === undefined ? undefined : `${newer.cableName} has become active`;
}

/**
 * The transitions a new holder writes: more than the lease has, and more than any gateway of the cluster claims, so that
 * the newest claim can be told also after somebody deleted the lease.
 */
export function nextTerm(
  transitions: number | undefined,
  self: Pick<Candidate, 'clusterId'>,
  peers: readonly PeerReport[],
): number {
  const claimed = reportsOf(peers, self.clusterId).own.map(({ term }) => term);
  const seen = [...(transitions === undefined ? [] : [transitions]), ...claimed.filter((term) => term > 0)];
  return seen.length === 0 ? 0 : Math.max(...seen) + 1;
}
