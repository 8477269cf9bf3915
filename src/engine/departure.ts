import { withTimeLimit } from '../runtime/abort.ts';
import { messageOf } from '../runtime/errors.ts';
import { syncCables } from './cablesync.ts';
import type { EngineDependencies, EngineState } from './context.ts';
import { mayHaveSuccessor, mayLetGo, pickSuccessor, type DepartureInput, type Leaver } from './ha/handover.ts';
import { leaseIdentity } from './tenure.ts';

/** Longest time a gateway that is told to stop waits for others to take its traffic; its pod is given 15 s for all. */
const LIMIT_MS = 7000;
/** So much of it goes at most to a standby that has only begun. */
const READINESS_MS = 4000;
const OFFER_MS = 2000;
const LOOK_MS = 50;
/** The last change of the node's routes is given so long. */
const CABLES_MS = 2000;
/** So long the nodes of the cluster are given to follow the new Endpoint, at least. */
const NODES_MS = 1500;
/** Nothing must have come from them for so long. */
const QUIET_MS = 500;

/**
 * Lets a standby take over before this gateway stops: make before break. Returns when nobody sends here any more, at the
 * latest after 7 s; at once for a gateway that is not active or has no standby; after 4 s when that cannot take over.
 * Never rejects.
 */
export async function handOver(dependencies: EngineDependencies, state: EngineState): Promise<void> {
  const { elector, logger, config } = dependencies;
  const { availability } = state;
  availability.leave();
  if (!elector.leader) await outlastHandOver(dependencies, state);
  if (!elector.leader || !elector.confirmed) return;
  const cableName = state.local.current?.spec.cable_name ?? '';
  const leaver = { clusterId: config.clusterId, cableName, term: elector.term ?? 0, uses: availability.uses };
  const startedMs = dependencies.clock.monotonic();
  const node = await successor(dependencies, state, leaver);
  if (node === undefined) {
    if (!elector.leader) await outlastHandOver(dependencies, state);
    return;
  }
  logger.info('hands over before it stops', { to: node });
  try {
    await offer(dependencies, node);
  } catch (error) {
    logger.warn('could not offer the lease; it is given back instead', { to: node, reason: messageOf(error) });
    return;
  }
  await departed(dependencies, state, leaver, startedMs);
  await leaveWayOut(dependencies, state);
}

/** Told to stop right after it has handed over: the nodes of the cluster are given their time here, too. */
async function outlastHandOver(dependencies: EngineDependencies, state: EngineState): Promise<void> {
  const { clock } = dependencies;
  const { availability } = state;
  if (!availability.standsBy || availability.lookup !== 'all') return;
  const traffic = new NodesTraffic(dependencies);
  const limitMs = clock.monotonic() + LIMIT_MS;
  for (let nowMs = clock.monotonic(); nowMs < limitMs; nowMs = clock.monotonic()) {
    if (traffic.isElsewhere(nowMs) && nowMs - availability.tenure.lostMs >= NODES_MS) break;
    await clock.sleep(LOOK_MS);
  }
  await leaveWayOut(dependencies, state);
}

/** From now on only what other nodes still send here goes into the cables: the other clusters give them up when this gateway has gone. */
async function leaveWayOut(dependencies: EngineDependencies, state: EngineState): Promise<void> {
  const { clock, logger } = dependencies;
  // Towards a cluster without cables on standby the cable would be taken down, and stopping must not do that.
  const everybodyStandsBy = state.remotes.accepted.every(({ announced }) => announced);
  if (dependencies.elector.leader || !everybodyStandsBy) return;
  state.availability.settle();
  try {
    await withTimeLimit(undefined, clock, CABLES_MS, (limit) => syncCables(dependencies, state, limit));
  } catch (error) {
    logger.warn('pods of this node may send into cables that go', { reason: messageOf(error) });
  }
}

/** Node of the standby to hand over to, once it is ready: one that has only begun does not hear every cluster yet. */
async function successor(
  { clock, elector, logger }: EngineDependencies,
  state: EngineState,
  leaver: Leaver,
): Promise<string | undefined> {
  const startedMs = clock.monotonic();
  for (let nowMs = startedMs; ; nowMs = clock.monotonic()) {
    const node = successorOf(state, leaver);
    if (node !== undefined || !mayHaveSuccessor(leaver, state.pulse.reports())) return node;
    if (!elector.leader) return undefined;
    if (nowMs === startedMs) logger.info('waits for a standby that is not ready yet', { limitMs: READINESS_MS });
    if (nowMs - startedMs >= READINESS_MS) {
      logger.warn('no standby became ready; the lease is given back', { afterMs: READINESS_MS });
      return undefined;
    }
    await clock.sleep(LOOK_MS);
  }
}

/** Node of the standby that takes over best; undefined when there is none. */
function successorOf({ availability, pulse }: EngineState, leaver: Leaver): string | undefined {
  const gateways = availability.announced?.gateways ?? [];
  const slots = new Map(gateways.map(({ slot, spec }) => [spec.cable_name, slot]));
  const successor = pickSuccessor(leaver, pulse.reports(), slots);
  return gateways.find(({ spec }) => spec.cable_name === successor?.cableName)?.spec.hostname;
}

/** What has been seen of the traffic of the own cluster's nodes. */
class NodesTraffic {
  readonly #use: EngineDependencies['overlayUse'];
  #received: number | undefined;
  #quietSinceMs = Number.NEGATIVE_INFINITY;

  constructor({ overlayUse }: EngineDependencies) {
    this.#use = overlayUse;
  }

  /** Whether nothing comes from other nodes any more, and the pods of this one leave through another gateway. */
  isElsewhere(nowMs: number): boolean {
    const use = this.#use?.();
    if (use === undefined) return true;
    if (this.#received !== use.received) this.#quietSinceMs = nowMs;
    this.#received = use.received;
    return use.leadsOut && nowMs - this.#quietSinceMs >= QUIET_MS;
  }
}

async function departed(
  dependencies: EngineDependencies,
  { availability, pulse }: EngineState,
  leaver: Leaver,
  startedMs: number,
): Promise<void> {
  const { clock, logger } = dependencies;
  const traffic = new NodesTraffic(dependencies);
  let switchedMs: DepartureInput['switchedMs'];
  let elsewhereMs = Number.POSITIVE_INFINITY;
  for (;;) {
    const nowMs = clock.monotonic();
    elsewhereMs = availability.activeElsewhere === undefined ? Number.POSITIVE_INFINITY : Math.min(elsewhereMs, nowMs);
    const nodesSwitched = traffic.isElsewhere(nowMs) && nowMs - elsewhereMs >= NODES_MS;
    const input = { nowMs, startedMs, limitMs: LIMIT_MS, switchedMs, leaver, peers: pulse.reports(), nodesSwitched };
    const departure = mayLetGo(input);
    switchedMs = departure.switchedMs;
    if (departure.letGo) {
      logger.info('lets go', { reason: departure.reason, afterMs: Math.round(nowMs - startedMs) });
      return;
    }
    await clock.sleep(LOOK_MS);
  }
}

async function offer({ elector, clock }: EngineDependencies, node: string): Promise<void> {
  await withTimeLimit(undefined, clock, OFFER_MS, (limit) => elector.offer(leaseIdentity(node), limit));
}
