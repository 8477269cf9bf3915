import type { ObservedDevice } from '../../host/wg.ts';
import { Pacer } from './pacer.ts';
import type { DesiredPeer } from './wireguard-device.ts';

/** How long tunnels that are made at one moment on both sides get special treatment. */
const HASTE_MS = 10_000;
/** How long the side that does not begin leaves it to the other. */
const LATE_MS = 1000;
/** How long the side that begins waits for the first answer: the other one may not have had its port yet. */
const ANSWER_MS = 300;

/**
 * WireGuard peers that are made at one moment on both sides, with packets waiting on both. Handshakes that cross in the
 * network cancel each other, and one that is not answered is repeated only after 5 s: so one side cannot begin for a
 * while, and the other begins anew. Times are of one monotonic clock, in milliseconds.
 */
export class Haste {
  readonly #untilMs: number;
  readonly #pacer = new Pacer();

  /** Without a beginning there is no haste. */
  constructor(sinceMs?: number) {
    this.#untilMs = sinceMs === undefined ? Number.NEGATIVE_INFINITY : sinceMs + HASTE_MS;
  }

  isOn(nowMs: number): boolean {
    return nowMs < this.#untilMs;
  }

  /** The peers as they are wanted now, and when to look again while one of them has not answered. */
  apply(
    peers: readonly DesiredPeer[],
    observed: ObservedDevice,
    nowMs: number,
  ): { readonly peers: readonly DesiredPeer[]; readonly lookMs?: number } {
    if (!this.isOn(nowMs)) return { peers };
    const known = new Map(observed.peers.map((peer) => [peer.publicKey, peer.latestHandshake > 0]));
    const treated = peers.map((peer) => (known.get(peer.publicKey) === true ? peer : this.#treat(peer, nowMs)));
    const silent = treated.some(({ publicKey }) => known.get(publicKey) !== true);
    return silent ? { peers: treated, lookMs: ANSWER_MS } : { peers: treated };
  }

  #treat(peer: DesiredPeer, nowMs: number): DesiredPeer {
    const { publicKey, late } = peer;
    // A handshake that could not be sent counts as one that was: only a new peer begins at once.
    if (this.#pacer.due(publicKey, nowMs, late ? LATE_MS : ANSWER_MS)) return { ...peer, late: false, begins: 'again' };
    return late ? { ...peer, begins: 'not yet' } : peer;
  }
}
