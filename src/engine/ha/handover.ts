/** How an active gateway lets another one take over before it lets go. Pure; times are monotonic milliseconds. */
import { compareNames, reportsOf, type PeerReport } from './report.ts';

/** The active gateway that wants to let go. */
export interface Leaver {
  readonly clusterId: string;
  readonly cableName: string;
  /** The term it is active in. */
  readonly term: number;
  /** For each other cluster the cable name it sends that cluster's traffic to. */
  readonly uses: ReadonlyMap<string, string>;
}

/** Who takes over, and which clusters (IDs) it does not hear though the active one does. */
export interface Successor {
  readonly cableName: string;
  readonly misses: readonly string[];
}

/**
 * The standby that is best placed to take over: ready and alive, hears what the active one sends to, without a recent
 * failure, lowest slot and name. `misses` is empty for one that nobody will notice. undefined: there is none.
 */
export function pickSuccessor(
  leaver: Leaver,
  peers: readonly PeerReport[],
  slots?: ReadonlyMap<string, number>,
): Successor | undefined {
  const { own, others } = reportsOf(peers, leaver.clusterId);
  const heard = new Set(others.filter(({ state }) => state === 'alive').map(({ cableName }) => cableName));
  const needed = [...leaver.uses].filter(([, cableName]) => heard.has(cableName));
  const slotOf = (name: string): number => slots?.get(name) ?? Number.MAX_SAFE_INTEGER;
  const candidates = own
    .filter(({ state, ready }) => state === 'alive' && ready)
    .map((report) => ({
      ...report,
      misses: needed.filter(([, name]) => !report.hears.includes(name)).map(([clusterId]) => clusterId),
    }))
    .sort(
      (a, b) =>
        a.misses.length - b.misses.length ||
        Number(b.stable) - Number(a.stable) ||
        slotOf(a.cableName) - slotOf(b.cableName) ||
        compareNames(a.cableName, b.cableName),
    );
  const best = candidates[0];
  return best && { cableName: best.cableName, misses: best.misses.toSorted(compareNames) };
}

/** Whether another gateway of the cluster lives, which may become a successor when it is not one yet. */
export function mayHaveSuccessor({ clusterId }: Leaver, peers: readonly PeerReport[]): boolean {
  return reportsOf(peers, clusterId).own.some(({ state }) => state === 'alive');
}

/** Where a hand-over stands. */
export interface Departure {
  /** Whether the gateway may stop forwarding (or stop at all). */
  readonly letGo: boolean;
  /** What it waits for, or why it goes. */
  readonly reason: string;
  /** Look again after so long, also when nothing has happened until then. */
  readonly waitMs?: number;
}

export interface DepartureInput {
  readonly nowMs: number;
  /** When the hand-over began. */
  readonly startedMs: number;
  /** It goes after so long in any case; default 10 s. */
  readonly limitMs?: number;
  /** So long packets may still be under way after everybody has switched; default 200 ms. */
  readonly lingerMs?: number;
  /** When this last was not the case: every other gateway uses somebody else. Handed back in `memory`. */
  readonly switchedMs?: number | undefined;
  readonly leaver: Leaver;
  readonly peers: readonly PeerReport[];
  /** The nodes of the own cluster no longer send their traffic here; true where that is not known. */
  readonly nodesSwitched: boolean;
}

const LIMIT_MS = 10_000;
const LINGER_MS = 200;

/**
 * Whether the former active gateway may let go: a successor claims the traffic, every gateway of another cluster that is
 * heard says that it uses somebody else, the own nodes have switched, and what was under way has arrived.
 */
export function mayLetGo(input: DepartureInput): Departure & { readonly switchedMs: number | undefined } {
  const { nowMs, startedMs, limitMs = LIMIT_MS, lingerMs = LINGER_MS } = input;
  const missing = whatIsMissing(input);
  const leftMs = startedMs + limitMs - nowMs;
  if (missing !== undefined) {
    if (leftMs <= 0) return { letGo: true, reason: `gave up waiting: ${missing}`, switchedMs: undefined };
    return { letGo: false, reason: missing, waitMs: leftMs, switchedMs: undefined };
  }
  const switchedMs = input.switchedMs ?? nowMs;
  const lingerLeftMs = Math.min(leftMs, switchedMs + lingerMs - nowMs);
  if (lingerLeftMs <= 0) return { letGo: true, reason: 'everybody has switched', switchedMs };
  return { letGo: false, reason: 'packets may be under way', waitMs: lingerLeftMs, switchedMs };
}

function whatIsMissing({ leaver, peers, nodesSwitched }: DepartureInput): string | undefined {
  const { own, others } = reportsOf(peers, leaver.clusterId);
  const alive = own.filter(({ state }) => state === 'alive');
  if (!alive.some(({ ready, active }) => ready || active)) return undefined;
  if (!alive.some(({ active, term }) => active && term > leaver.term)) return 'no other gateway is active yet';
  const using = others.filter(
    ({ state, uses }) => state === 'alive' && uses.get(leaver.clusterId) === leaver.cableName,
  );
  if (using[0] !== undefined) return `${using[0].cableName} still sends here`;
  return nodesSwitched ? undefined : 'nodes of this cluster still send here';
}
