import type { Claims } from './beat.ts';
import type { Liveness } from './sessions.ts';

/** What a gateway knows of another one. A silent peer's claims are the last it made; a waiting one has made none. */
export interface PeerReport extends Claims {
  readonly cableName: string;
  readonly clusterId: string;
  readonly state: Liveness;
  /** When that began, monotonic milliseconds; of a silence, when it was last heard. */
  readonly sinceMs: number;
  /** Alive, and not silent for a moment within the last 30 s. */
  readonly stable: boolean;
  readonly rttMs?: number;
}

/** The reports of one cluster's gateways, or of all others. */
export function reportsOf(
  peers: readonly PeerReport[],
  clusterId: string,
): { readonly own: readonly PeerReport[]; readonly others: readonly PeerReport[] } {
  return {
    own: peers.filter((peer) => peer.clusterId === clusterId),
    others: peers.filter((peer) => peer.clusterId !== clusterId),
  };
}

/** Orders texts as their characters do. */
export function compareNames(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
