import { describeFailure } from '../host/command.ts';
import type { Endpoint } from '../api/types.ts';
import type { KubeObject } from '../kube/client.ts';
import { desiredCables, judgeRemotes } from './cables.ts';
import type { DesiredCables } from './drivers/driver.ts';
import type { EngineDependencies, EngineState } from './context.ts';
import type { LocalGateway } from './local.ts';
import type { Decision } from './natdiscovery/discovery.ts';

const NOTHING: DesiredCables = { cables: [], guardedCidrs: [], cniAddress: undefined, lookup: 'all' };

/** Makes the cables of this gateway what they ought to be now; rejects when the driver could not do all of it. */
export async function syncCables(
  dependencies: EngineDependencies,
  state: EngineState,
  signal: AbortSignal,
): Promise<void> {
  const { current } = state.local;
  if (current === undefined || !dependencies.stores.endpoints.synced) return;
  state.remotes = judgeRemotes(dependencies.stores.endpoints.list(), current.spec);
  if (!current.ready || current.driver === undefined) return;
  if (dependencies.elector.leader) await syncActive(dependencies, state, current, signal);
  else await syncPassive(dependencies, state, current, signal);
}

async function syncActive(
  { memory, config }: EngineDependencies,
  state: EngineState,
  current: LocalGateway,
  signal: AbortSignal,
): Promise<void> {
  const { remotes, nat, health } = state;
  nat.setPeers(
    remotes.accepted.map(({ peer }) => peer),
    ({ cableName }) => memory.get(cableName),
  );
  const desired = desiredCables(remotes, current.spec, {
    decision: (name) => nat.decision(name),
    udpPort: current.node.udpPort,
    cniAddress: current.cniAddress,
  });
  const programmed = new Set(desired.cables.map(({ name }) => name));
  const targets = remotes.accepted.flatMap(({ spec: { cable_name: cableName, healthCheckIP: address } }) =>
    address !== undefined && address !== '' && programmed.has(cableName) ? [{ cableName, address }] : [],
  );
  await runDriver(state, () => current.driver?.sync(desired, signal));
  health.setTargets(config.healthCheck.enabled ? targets : [], current.cniAddress);
  const decided = desired.cables.map(({ name }) => [name, nat.decision(name)] as const);
  memory.save(new Map(decided.filter((pair): pair is [string, Decision] => pair[1] !== undefined)));
}

/** A passive gateway keeps what it has until another one is known to carry the traffic. */
async function syncPassive(
  { stores, config }: EngineDependencies,
  state: EngineState,
  current: LocalGateway,
  signal: AbortSignal,
): Promise<void> {
  state.nat.setPeers([], () => undefined);
  state.health.setTargets([], undefined);
  const endpoints = stores.endpoints.list() as readonly (KubeObject & Partial<Endpoint>)[];
  const another = endpoints.some(
    ({ spec }) => spec?.cluster_id === config.clusterId && spec.hostname !== config.nodeName,
  );
  if (another) await runDriver(state, () => current.driver?.sync(NOTHING, signal));
  else state.cableFailure = undefined;
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
