import type { Availability } from '../api/availability.ts';
import { validName } from '../api/names.ts';
import type { KeysInForce } from '../api/psk.ts';
import type { EndpointSpec } from '../api/types.ts';
import type { KubeObject } from '../kube/client.ts';
import type { Store } from '../kube/store.ts';
import type { ObservedCable } from './drivers/driver.ts';
import type { EngineDependencies, EngineState } from './context.ts';
import { removeGateways, type GatewayReporter, type StaleGateways } from './gatewaystatus.ts';
import { messageOf } from '../runtime/errors.ts';
import { fingerprints } from './keyring.ts';
import { desiredGateway } from './status.ts';

/** Looks at driver, probes and decisions, and writes the own Gateway; the active one also removes those of dead engines. */
export async function reportStatus(
  dependencies: EngineDependencies,
  state: EngineState,
  { reporter, stale }: { readonly reporter: GatewayReporter; readonly stale: StaleGateways },
  signal: AbortSignal,
): Promise<void> {
  const { config, version, elector, stores, client, logger, clock } = dependencies;
  const { local, nat, health, availability } = state;
  if (knowsNothing(dependencies, state)) return;
  const active = elector.leader;
  const seen = active ? await observe(state) : { observed: [] };
  const failures = allFailures(dependencies, state, seen.failure);
  const gateway = desiredGateway({
    nodeName: config.nodeName,
    namespace: config.namespace,
    version,
    active,
    localEndpoint: local.current?.spec ?? unknownEndpoint(dependencies),
    failures,
    keys: keysOf(state),
    change: state.choice.pending,
    driverDescription: local.current?.driver?.description,
    remotes: state.remotes,
    uses: availability.uses,
    availability: availabilityOf(state),
    decision: (name) => nat.decision(name),
    observed: seen.observed,
    probe: (name) => health.report(name),
  });
  dependencies.watcher?.reported(gateway);
  await reporter.report(gateway, signal);
  if (!active || !stores.gateways.synced) return;
  const dead = stale.find(stores.gateways.list(), validName(config.nodeName), clock.monotonic());
  await removeGateways(dead, { client, logger, signal });
}

function keysOf({ keysInForce }: EngineState): KeysInForce | undefined {
  return keysInForce === undefined ? undefined : fingerprints(keysInForce);
}

function availabilityOf({ availability, local }: EngineState): Availability {
  const { tenure } = availability;
  const { ready, reason } = availability.readiness;
  return {
    ready,
    reason,
    since: tenure.since,
    slots: local.current?.ready === true ? (local.current.driver?.slots ?? 0) : 0,
    ...(tenure.failover === undefined ? {} : { lastFailover: tenure.failover }),
    cables: availability.cables(),
  };
}

/** A process that has just started says nothing before it has looked: what the former one said still holds. */
function knowsNothing(dependencies: EngineDependencies, state: EngineState): boolean {
  return state.local.current === undefined && state.localFailure === undefined && isEarly(dependencies, state);
}

function isEarly({ clock }: EngineDependencies, { startedMs }: EngineState): boolean {
  return clock.monotonic() - startedMs < PATIENCE_MS;
}

function allFailures(
  dependencies: EngineDependencies,
  state: EngineState,
  unobserved: string | undefined,
): readonly string[] {
  const { stores } = dependencies;
  const { local, localFailure, nat, cableFailure, availability } = state;
  const own = local.current?.failures ?? (localFailure === undefined ? [] : [localFailure]);
  const early = isEarly(dependencies, state);
  const unseen = Object.entries<Pick<Store<KubeObject>, 'synced' | 'problem'>>({ ...stores })
    .filter(([, { synced }]) => !synced && !early)
    .map(([name, { problem }]) => `the ${name} of the cluster are not known yet: ${problem ?? 'still listing'}`);
  return [
    ...unseen,
    ...own,
    ...availability.problems,
    ...[nat.failure, cableFailure, unobserved].filter((text) => text !== undefined),
    ...(dependencies.elector.leader ? brokerFailures(dependencies, state) : []),
  ];
}

/** What lasts so many milliseconds is worth a word: caches that do not fill, a broker that is away. */
export const PATIENCE_MS = 3000;

function brokerFailures(
  { mirror, credential, clock, config }: EngineDependencies,
  state: EngineState,
): readonly string[] {
  const { brokerProblem, problems } = mirror;
  const nowMs = clock.monotonic();
  state.brokerAwaySinceMs = brokerProblem === undefined ? undefined : (state.brokerAwaySinceMs ?? nowMs);
  const refusal = credential?.problem(brokerProblem === undefined);
  const told = refusal === undefined ? problems : [refusal, ...problems];
  if (brokerProblem === undefined || nowMs - (state.brokerAwaySinceMs ?? nowMs) < PATIENCE_MS) return told;
  return [...told, `broker ${config.broker?.server ?? ''} is away: ${brokerProblem}`];
}

async function observe({
  local,
}: EngineState): Promise<{ readonly observed: readonly ObservedCable[]; readonly failure?: string }> {
  const { current } = local;
  if (current?.driver === undefined || !current.ready) return { observed: [] };
  try {
    return { observed: await current.driver.connections() };
  } catch (error) {
    return { observed: [], failure: `cannot observe the cables: ${messageOf(error)}` };
  }
}

/** Before anything is known of the node; the Gateway's schema asks for every field. */
function unknownEndpoint({ config }: EngineDependencies): EndpointSpec {
  return {
    cluster_id: config.clusterId,
    cable_name: '',
    hostname: config.nodeName,
    subnets: [],
    private_ip: '',
    public_ip: '',
    nat_enabled: config.natEnabled,
    backend: config.cableDriver,
  };
}
