import { nextBackendOf } from '../api/driverchange.ts';
import { describeFailure } from '../host/command.ts';
import { judgeRemotes, type Remote } from './cables.ts';
import { desiredCables, wantsCable, type CableContext } from './desiredcables.ts';
import type { DesiredCables } from './drivers/driver.ts';
import type { EngineDependencies, EngineState } from './context.ts';
import type { LocalGateway } from './local.ts';
import type { Decision } from './natdiscovery/discovery.ts';

/** Decides which driver is to run; whoever runs it follows. */
export function chooseDriver({ stores, elector }: EngineDependencies, { choice, local }: EngineState): void {
  choice.look({
    endpoints: stores.endpoints.list(),
    gateways: stores.gateways.synced ? stores.gateways.list() : undefined,
    leader: elector.leader,
    announces: (local.current?.driver?.slots ?? 2) > 1,
    prepared: local.current && nextBackendOf(local.current.spec),
  });
}

/** Makes the cables of this gateway what they ought to be now; rejects when the driver could not do all of it. */
export async function syncCables(
  dependencies: EngineDependencies,
  state: EngineState,
  signal: AbortSignal,
): Promise<void> {
  const { stores, elector } = dependencies;
  if (!stores.endpoints.synced) return;
  chooseDriver(dependencies, state);
  await state.local.follow(signal);
  state.choice.followed();
  const { current } = state.local;
  if (current === undefined) return;
  const endpoints = stores.endpoints.list();
  state.remotes = judgeRemotes(endpoints, current.spec);
  const gateways = stores.gateways.synced ? stores.gateways.list() : undefined;
  const { remotes, choice } = state;
  const cabled = (name: string): boolean => state.cabled.has(name) && (state.nat.decision(name)?.usingIp ?? '') !== '';
  const surroundings = { local: current, endpoints, gateways, remotes, choice, cabled };
  state.availability.update(surroundings);
  if (!current.ready || current.driver === undefined) return;
  const context = contextOf(state, current, elector.leader);
  const wanted = state.remotes.accepted.filter((remote) => wantsCable(remote, current.spec, context));
  state.nat.setPeers(
    wanted.map(({ peer }) => peer),
    ({ cableName }) => dependencies.memory.get(cableName),
  );
  const desired = desiredCables(state.remotes, current.spec, context);
  try {
    if (!elector.leader && keepsWhatIsThere(state, desired)) state.cableFailure = undefined;
    else await runDriver(state, () => current.driver?.sync(desired, signal));
  } finally {
    if (notesCables(state, desired)) state.availability.update(surroundings);
  }
  watch(dependencies, state, { current, wanted, desired });
  await state.local.tidy();
}

/**
 * A gateway that does not lead touches nothing until it knows who does, and, without cables on standby, until that one
 * carries the traffic.
 */
function keepsWhatIsThere({ availability }: EngineState, { cables }: DesiredCables): boolean {
  const { activeElsewhere, lookup, standsBy } = availability;
  return !standsBy || (cables.length === 0 && (activeElsewhere === undefined || lookup === 'all'));
}

/** Remembers what has been done for which cables; whether they are other ones than before. */
function notesCables(state: EngineState, { cables }: DesiredCables): boolean {
  const before = state.cabled;
  state.cabled = new Set(cables.map(({ name }) => name));
  return before.size !== state.cabled.size || cables.some(({ name }) => !before.has(name));
}

function contextOf({ nat, availability }: EngineState, current: LocalGateway, leader: boolean): CableContext {
  return {
    decision: (name) => nat.decision(name),
    udpPort: current.node.udpPort,
    cniAddress: current.cniAddress,
    leader,
    slot: availability.slot,
    chosen: (clusterId) => availability.uses.get(clusterId),
    lookup: availability.lookup,
  };
}

/** Probes what carries packets, and remembers how peers are reached. */
function watch(
  { config, memory, elector }: EngineDependencies,
  { health, nat }: EngineState,
  seen: { readonly current: LocalGateway; readonly wanted: readonly Remote[]; readonly desired: DesiredCables },
): void {
  const { current, wanted, desired } = seen;
  const carrying = new Set(desired.cables.flatMap(({ name, carries }) => (carries ? [name] : [])));
  const targets = wanted.flatMap(({ spec: { cable_name: cableName, healthCheckIP: address } }) =>
    address !== undefined && address !== '' && carrying.has(cableName) ? [{ cableName, address }] : [],
  );
  health.setTargets(config.healthCheck.enabled && elector.leader ? targets : [], current.cniAddress);
  const decided = desired.cables.map(({ name }) => [name, nat.decision(name)] as const);
  if (decided.length > 0)
    memory.save(new Map(decided.filter((pair): pair is [string, Decision] => pair[1] !== undefined)));
}

async function runDriver(state: EngineState, run: () => Promise<void> | undefined): Promise<void> {
  try {
    await run();
    state.cableFailure = undefined;
  } catch (error) {
    state.cableFailure = `cables: ${describeFailure(error)}`;
    throw error;
  }
}
