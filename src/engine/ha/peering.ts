import { encodeBody, type Beat, type BeatBody, type BeatHeader, type Claims } from './beat.ts';
import type { PeerReport } from './report.ts';
import {
  excuse,
  FAST,
  hear,
  heardSession,
  isStable,
  judge,
  newSession,
  renew,
  type Pace,
  type PeerSession,
} from './sessions.ts';

/** What we say of ourselves; what we hear is added. */
export interface SelfClaims extends Omit<Claims, 'hears'> {
  readonly clusterId: string;
  readonly cableName: string;
}

/** A gateway that beats are exchanged with. */
export interface BeatPeer {
  readonly cableName: string;
  readonly clusterId: string;
  /** Where it is reached; a route makes sure that a gateway of another cluster is reached through its own cable. */
  readonly address: string;
  /** What it is reached through; when that changes, it may be silent for a moment without having failed. */
  readonly path?: string;
  /** Default FAST. */
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
}

/** What a datagram led to. */
export interface Heard {
  /** A report is different now. */
  readonly changed: boolean;
  /** The sender cannot know yet that we hear it: an answer to this session at once. */
  readonly answer: boolean;
}

interface Entry {
  readonly peer: BeatPeer;
  readonly pace: Pace;
  session: PeerSession;
  dueMs: number;
  answeredMs: number;
  wasStable: boolean;
  /** The body as it was sent last, and the revision of what it says. */
  body: { readonly revision: number; readonly body: BeatBody; readonly bytes: Buffer } | undefined;
  sentBody: Buffer | undefined;
  /** What is new was sent once and is to be repeated. */
  repeat: boolean;
}

/** A peer that has not been heard for longer gets beats more rarely; it answers the first one it hears. */
const GIVEN_UP_MS = 30_000;
const RARE_MS = 1000;
/** Peers whose time comes within this share of their interval are served together: one wake-up for all of them. */
const BATCH_SHARE = 0.25;
const URGENT_GAP_MS = 20;
/** News is told so many times, because one datagram may be lost. */
const URGENT_TIMES = 2;
const ANSWER_GAP_MS = 50;
/** A tick that comes later than that was not late because of others. */
const PAUSE_MS = 50;
const NEVER = Number.NEGATIVE_INFINITY;

/**
 * The exchange of beats without socket, clock and chance: which peer is told what when, and what is known of each.
 *
 * INVARIANTS: counters grow per peer for the life of the process; what we say changed is due at once, at most every 20 ms;
 * times never go back; a pause of our own is nobody's silence.
 */
export class Peering {
  readonly #session: bigint;
  readonly #entries = new Map<string, Entry>();
  /** Beats sent to each peer; kept when it goes, as it remembers how far we were when it comes back. */
  readonly #counters = new Map<string, number>();
  #self: SelfClaims | undefined;
  #hears: readonly string[] = [];
  #revision = 0;
  #urgent = 0;
  #urgentMs = NEVER;
  #plannedMs: number | undefined;

  /** `session`: random, not 0. */
  constructor(session: bigint) {
    this.#session = session;
  }

  setSelf(self: SelfClaims): void {
    if (this.#self !== undefined && sameClaims(this.#self, self)) return;
    this.#self = self;
    this.#news();
  }

  /** Exactly these from now on; who is reached at another address or another pace stays known. */
  setPeers(peers: readonly BeatPeer[], nowMs: number): void {
    const wanted = new Set(peers.map(keyOf));
    for (const [name, { peer }] of this.#entries) if (!wanted.has(keyOf(peer))) this.#entries.delete(name);
    for (const peer of peers) {
      const known = this.#entries.get(peer.cableName);
      const { intervalMs = FAST.intervalMs, timeoutMs = FAST.timeoutMs } = peer;
      const fresh: Omit<Entry, 'peer' | 'pace'> = {
        session: newSession(nowMs),
        dueMs: nowMs,
        answeredMs: NEVER,
        wasStable: false,
        body: undefined,
        sentBody: undefined,
        repeat: false,
      };
      const entry = { ...(known ?? fresh), peer, pace: { intervalMs, timeoutMs } };
      if (known !== undefined && known.peer.path !== peer.path) entry.session = renew(known.session, nowMs);
      entry.dueMs = Math.min(entry.dueMs, nowMs + intervalMs);
      this.#entries.set(peer.cableName, entry);
    }
    this.#updateHears();
  }

  get peers(): readonly BeatPeer[] {
    return [...this.#entries.values()].map(({ peer }) => peer);
  }

  /** Takes an authentic datagram in. */
  receive(beat: Beat, nowMs: number): Heard {
    const entry = this.#senderOf(beat.body);
    if (entry === undefined) return { changed: false, answer: false };
    this.#noticePause(nowMs);
    const before = entry.session;
    const { session, verdict } = hear(before, beat, this.#session, nowMs);
    entry.session = session;
    const turned = session.state !== before.state;
    if (turned) this.#updateHears();
    const unaware = verdict === 'unproven' || (turned && session.state === 'alive');
    const answer = unaware && nowMs - entry.answeredMs >= ANSWER_GAP_MS;
    if (answer) entry.answeredMs = nowMs;
    return { changed: this.#isNews(entry, before, nowMs), answer };
  }

  /** A peer whose beat is meant for us. */
  #senderOf({ cableName, clusterId, to }: BeatBody): Entry | undefined {
    const entry = this.#entries.get(cableName);
    return entry?.peer.clusterId === clusterId && to === this.#self?.cableName ? entry : undefined;
  }

  /** Judges who has been silent too long; true when a report is different now. To be called at `nextMs`. */
  tick(nowMs: number): boolean {
    this.#noticePause(nowMs);
    this.#plannedMs = undefined;
    let changed = false;
    for (const entry of this.#entries.values()) {
      const before = entry.session;
      entry.session = judge(entry.session, entry.pace, nowMs);
      if (this.#isNews(entry, before, nowMs)) changed = true;
    }
    if (changed) this.#updateHears();
    return changed;
  }

  /** The peers that get a beat now. */
  due(nowMs: number): readonly BeatPeer[] {
    if (this.#self === undefined) return [];
    const urgent = this.#urgent > 0 && nowMs - this.#urgentMs >= URGENT_GAP_MS;
    const due = [...this.#entries.values()].filter((entry) => {
      const again = urgent && entry.repeat;
      if (urgent) entry.repeat = false;
      return (
        entry.dueMs <= nowMs + entry.pace.intervalMs * BATCH_SHARE ||
        again ||
        (urgent && this.#bodyOf(entry).bytes !== entry.sentBody)
      );
    });
    if (urgent) {
      this.#urgent -= 1;
      this.#urgentMs = nowMs;
    }
    return due.map(({ peer }) => peer);
  }

  /** The next beat to a peer; `heard` is the session an answer is meant for. */
  beatTo(
    cableName: string,
    nowMs: number,
    heard?: bigint,
  ): { readonly header: BeatHeader; readonly body: BeatBody; readonly bytes: Buffer } | undefined {
    const entry = this.#entries.get(cableName);
    if (entry === undefined || this.#self === undefined) return undefined;
    const { session, pace } = entry;
    const everyMs = this.#intervalMs(entry, nowMs);
    if (heard === undefined) entry.dueMs = nowMs + everyMs;
    const { body, bytes } = this.#bodyOf(entry);
    entry.repeat = entry.repeat || (entry.sentBody !== undefined && entry.sentBody !== bytes);
    entry.sentBody = bytes;
    const header = {
      session: this.#session,
      heard: heard ?? heardSession(session, pace, nowMs),
      counter: this.#count(cableName),
      everyMs,
      sentMs: nowMs,
      echoMs: session.echo?.sentMs ?? Number.NaN,
      heldMs: session.echo === undefined ? 0 : nowMs - session.echo.atMs,
    };
    return { header, body, bytes };
  }

  #count(cableName: string): number {
    const counter = (this.#counters.get(cableName) ?? 0) + 1;
    this.#counters.set(cableName, counter);
    return counter;
  }

  /** When to call `tick` and send again. */
  nextMs(nowMs: number): number {
    const times = [...this.#entries.values()].map(({ dueMs }) => dueMs);
    if (this.#urgent > 0) times.push(Math.max(nowMs, this.#urgentMs + URGENT_GAP_MS));
    const next = Math.min(nowMs + RARE_MS, ...times);
    this.#plannedMs = Math.max(next, nowMs);
    return this.#plannedMs;
  }

  report(cableName: string, nowMs: number): PeerReport | undefined {
    const entry = this.#entries.get(cableName);
    if (entry === undefined) return undefined;
    const { state, sinceMs, rttMs, claims } = entry.session;
    const { clusterId } = entry.peer;
    const stable = isStable(entry.session, nowMs);
    return { cableName, clusterId, state, sinceMs, stable, ...(rttMs === undefined ? {} : { rttMs }), ...claims };
  }

  /** After a pause it is open whether timers or datagrams come first. */
  #noticePause(nowMs: number): void {
    const lateMs = nowMs - (this.#plannedMs ?? nowMs);
    if (lateMs <= PAUSE_MS) return;
    this.#plannedMs = nowMs;
    for (const entry of this.#entries.values()) entry.session = excuse(entry.session, entry.pace, lateMs, nowMs);
  }

  #intervalMs({ session, pace }: Entry, nowMs: number): number {
    const givenUp = session.state !== 'alive' && nowMs - session.sinceMs > GIVEN_UP_MS;
    return givenUp ? Math.max(RARE_MS, pace.intervalMs) : pace.intervalMs;
  }

  #isNews(entry: Entry, before: PeerSession, nowMs: number): boolean {
    const { wasStable, session } = entry;
    entry.wasStable = isStable(session, nowMs);
    return session.state !== before.state || session.claims !== before.claims || entry.wasStable !== wasStable;
  }

  #news(): void {
    this.#revision += 1;
    this.#urgent = URGENT_TIMES;
  }

  #updateHears(): void {
    const alive = [...this.#entries.values()].filter(({ session }) => session.state === 'alive');
    const hears = alive.map(({ peer }) => peer.cableName).sort();
    if (hears.length === this.#hears.length && hears.every((name, index) => name === this.#hears[index])) return;
    this.#hears = hears;
    this.#news();
  }

  /** Own-cluster peers learn everything, others what concerns their cluster: a beat stays small in a big ClusterSet. */
  #bodyOf(entry: Entry): { readonly body: BeatBody; readonly bytes: Buffer } {
    if (entry.body?.revision === this.#revision) return entry.body;
    const { clusterId, cableName, active, term, ready, uses } = this.#self ?? NOBODY;
    const theirs = entry.peer.clusterId;
    const all = theirs === clusterId;
    const hears = this.#hears.filter((name) => all || this.#entries.get(name)?.peer.clusterId === theirs);
    const relevant = all ? uses : new Map([...uses].filter(([id]) => id === theirs));
    const claims = { active, term, ready, hears, uses: relevant };
    const body: BeatBody = { clusterId, cableName, to: entry.peer.cableName, claims };
    const bytes = encodeBody(body);
    const kept = entry.body?.bytes.equals(bytes) === true ? entry.body : { body, bytes };
    entry.body = { ...kept, revision: this.#revision };
    return entry.body;
  }
}

const NOBODY: SelfClaims = { clusterId: '', cableName: '', active: false, term: 0, ready: false, uses: new Map() };

function keyOf({ cableName, clusterId }: BeatPeer): string {
  return JSON.stringify([clusterId, cableName]);
}

function sameClaims(a: SelfClaims, b: SelfClaims): boolean {
  const flat = ({ clusterId, cableName, active, term, ready, uses }: SelfClaims): string =>
    JSON.stringify([
      clusterId,
      cableName,
      active,
      term,
      ready,
      [...uses].map(([id, name]) => `${id} ${name}`).toSorted(),
    ]);
  return flat(a) === flat(b);
}
