import { compareNames, type PeerReport } from './report.ts';
import { STABLE_MS } from './sessions.ts';

/** A cluster as it announces itself and as it is heard. */
export interface ClusterView {
  /** Cable name of its Endpoint: what the broker says is active. */
  readonly endpoint: string;
  /** Cable names of all announced gateways; empty or only the Endpoint's when it announces none. */
  readonly announced: readonly string[];
  readonly report: (cableName: string) => PeerReport | undefined;
  /** What carries now; kept among equals. */
  readonly current?: string;
  readonly nowMs: number;
  /** So long the Endpoint's gateway may be without a first beat before another one that claims nothing is taken; default 5 s. */
  readonly graceMs?: number;
}

const GRACE_MS = 5000;

/**
 * The gateway of another cluster that its traffic goes to. What is heard counts more than what the broker says: first
 * who claims to be active and has not failed of late (the newest claim), then who could be and has been heard for a
 * while, then who claims it but has failed of late, then any that lives. When nobody is heard, e.g. because the peer does
 * not send beats: the Endpoint's.
 */
export function chooseGateway(view: ClusterView): string {
  const { endpoint, announced, report, nowMs, graceMs = GRACE_MS } = view;
  const names = [...new Set([endpoint, ...announced])];
  const alive = names.flatMap((name) => report(name) ?? []).filter(({ state }) => state === 'alive');
  const best = alive.toSorted((a, b) => compare(a, b, view))[0];
  if (best === undefined) return endpoint;
  const own = report(endpoint);
  const tooEarly = own?.state === 'waiting' && nowMs - own.sinceMs < graceMs;
  return tooEarly && !best.active ? endpoint : best.cableName;
}

function compare(a: PeerReport, b: PeerReport, { endpoint, current, nowMs }: ClusterView): number {
  return (
    rank(a, nowMs) - rank(b, nowMs) ||
    Number(b.active) - Number(a.active) ||
    (a.active ? b.term - a.term : 0) ||
    Number(b.cableName === current) - Number(a.cableName === current) ||
    Number(b.cableName === endpoint) - Number(a.cableName === endpoint) ||
    compareNames(a.cableName, b.cableName)
  );
}

/** Who has just appeared, perhaps anew, is not known to be well. */
function rank({ active, stable, ready, sinceMs }: PeerReport, nowMs: number): number {
  if (active && stable) return 0;
  if (stable && ready && nowMs - sinceMs >= STABLE_MS) return 1;
  if (active) return 2;
  return 3;
}
