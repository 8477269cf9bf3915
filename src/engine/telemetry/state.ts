import type {
  CableState,
  CacheState,
  EngineDaemonState,
  GatewayBeatState,
  ObservedCableState,
  ProbeState,
  RemoteState,
} from '../../api/daemonstate.ts';
import { parseAvailability, type Availability } from '../../api/availability.ts';
import type { CommandRunner } from '../../host/command.ts';
import { lookAtNode } from '../../host/look.ts';
import type { KubeObject } from '../../kube/client.ts';
import type { LeaseElector } from '../../kube/lease.ts';
import type { Mirror } from '../../kube/mirror.ts';
import type { Store } from '../../kube/store.ts';
import { ENGINE_OWNERSHIP } from '../../net/ownership.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { EngineConfig } from '../config.ts';
import type { EngineState, EngineStores } from '../context.ts';
import type { Cable, ObservedCable } from '../drivers/driver.ts';
import type { LocalGateway } from '../local.ts';
import type { ProbeReport } from '../healthcheck.ts';
import type { EngineRecorder } from './recorder.ts';
import { observeTunnels } from './tunnels.ts';

/** What an engine is seen through. */
export interface EngineView {
  readonly config: EngineConfig;
  readonly version: string;
  readonly recorder: EngineRecorder;
  readonly stores: EngineStores;
  readonly elector: Pick<LeaseElector, 'leader' | 'confirmed' | 'holder'>;
  readonly mirror: Pick<Mirror, 'brokerProblem'>;
  readonly runner: CommandRunner;
}

/** The caches of an engine. */
export function cacheStates(stores: EngineStores): readonly CacheState[] {
  return Object.entries<Pick<Store<KubeObject>, 'synced' | 'problem' | 'list'>>({ ...stores }).map(
    ([resource, store]) => ({
      resource,
      synced: store.synced,
      objects: store.list().length,
      problem: store.problem ?? null,
    }),
  );
}

/** A gateway that has started so long ago is as ready as it gets: a third one, for instance, has no cables. */
const WARM_UP_MS = 20_000;

function whatTakeoverLacks({ elector, recorder }: EngineView): readonly string[] {
  const warm = elector.leader || recorder.nowMs - recorder.startedAtMs > WARM_UP_MS;
  const { ready, reason } = recorder.state?.availability.readiness ?? { ready: true, reason: '' };
  return warm || ready ? [] : [`could not take over yet: ${reason}`];
}

function whatWorkLacks(state: EngineState | undefined): readonly string[] {
  const current = state?.local.current;
  if (current?.ready === true) return [];
  const failures = current?.failures ?? (state?.localFailure === undefined ? [] : [state.localFailure]);
  return failures.length === 0 ? ['the cable driver has not started yet'] : failures;
}

/** What keeps the engine from being a gateway, or, shortly after its start, from standing by: a rollout waits for that. */
export function unreadyReasons(view: EngineView): readonly string[] {
  const unsynced = cacheStates(view.stores)
    .filter(({ synced }) => !synced)
    .map(({ resource, problem }) => `the ${resource} of the cluster are not known yet: ${problem ?? 'still listing'}`);
  if (unsynced.length > 0) return unsynced;
  const lacks = whatWorkLacks(view.recorder.state);
  return lacks.length > 0 ? lacks : whatTakeoverLacks(view);
}

const PROBE_STATUS = { waiting: 'connecting', alive: 'connected', dead: 'error' } as const;

function probeState(report: ProbeReport | undefined): ProbeState | null {
  if (report === undefined) return null;
  const { address, state, silentSinceMs, failure, latency } = report;
  const since = silentSinceMs === undefined ? [] : [`no answer since ${new Date(silentSinceMs).toISOString()}`];
  return {
    address,
    status: PROBE_STATUS[state],
    message: [...since, ...(failure === undefined ? [] : [failure])].join('; '),
    latency: latency ?? null,
  };
}

function remoteStates(state: EngineState | undefined): readonly RemoteState[] {
  if (state === undefined) return [];
  const accepted = state.remotes.accepted.map(({ spec }): RemoteState => {
    const decision = state.nat.decision(spec.cable_name);
    return {
      spec,
      refusal: null,
      decision: decision === undefined ? null : { usingIp: decision.usingIp, usingNat: decision.usingNat },
      probe: probeState(state.health.report(spec.cable_name)),
    };
  });
  const refused = state.remotes.problems.map(({ spec, message }): RemoteState => ({
    spec,
    refusal: message,
    decision: null,
    probe: null,
  }));
  return [...accepted, ...refused];
}

function cableState(cable: Cable): CableState {
  const { name, remoteClusterId, localPrivateIp, remotePrivateIp, usingIp, usingNat, slot, carries } = cable;
  const { localUdpPort, remoteUdpPort, localSubnets, remoteSubnets } = cable;
  const ends = { localPrivateIp, remotePrivateIp, usingIp, usingNat, localUdpPort, remoteUdpPort };
  return { name, remoteClusterId, ...ends, localSubnets, remoteSubnets, slot, carries };
}

function observedCable({ cableName, status, message, rxBytes, txBytes }: ObservedCable): ObservedCableState {
  return { name: cableName, status, message, rxBytes: rxBytes ?? null, txBytes: txBytes ?? null };
}

/** Cables as the driver sees them; none, and why, when it cannot look. */
async function observeCables(
  state: EngineState | undefined,
): Promise<{ readonly cables: readonly ObservedCableState[]; readonly problems: readonly string[] }> {
  try {
    const seen = (await state?.local.current?.driver?.connections()) ?? [];
    return { cables: seen.map(observedCable), problems: [] };
  } catch (error) {
    return { cables: [], problems: [`cables: ${messageOf(error)}`] };
  }
}

function desiredOf({ cables, network }: EngineRecorder): EngineDaemonState['desired'] {
  return { cables: (cables?.cables ?? []).map(cableState), network: network ?? null };
}

/** What the Gateway says is wrong. */
function reportedFailures({ gateway }: EngineRecorder): readonly string[] {
  const failure = gateway?.status.statusFailure ?? '';
  return failure === '' ? [] : [failure];
}

function brokerOf({ config, mirror }: EngineView): EngineDaemonState['inputs']['broker'] {
  if (config.broker === undefined) return null;
  const { server, namespace } = config.broker;
  return { server, namespace, problem: mirror.brokerProblem ?? null };
}

function availabilityOf({ gateway }: EngineRecorder): Availability | null {
  return gateway === undefined ? null : (parseAvailability(gateway) ?? null);
}

function beatStates(state: EngineState | undefined, { ago }: EngineRecorder): readonly GatewayBeatState[] {
  return (state?.pulse.reports() ?? []).map(
    ({ clusterId, cableName, state: liveness, sinceMs, rttMs, active, ready }) => ({
      cluster: clusterId,
      cableName,
      state: liveness,
      since: ago(sinceMs),
      rttMs: rttMs === undefined ? null : Math.round(rttMs * 1000) / 1000,
      active,
      ready,
    }),
  );
}

type LocalView = Pick<EngineDaemonState['inputs'], 'implementation' | 'localEndpoint' | 'cniAddress'>;

function localOf(current: LocalGateway | undefined): LocalView {
  const { driver, spec, cniAddress } = current ?? {};
  return {
    implementation: driver?.description ?? null,
    localEndpoint: spec ?? null,
    cniAddress: cniAddress ?? null,
  };
}

function inputsOf(view: EngineView): EngineDaemonState['inputs'] {
  const { config, recorder, elector } = view;
  const { state, cables } = recorder;
  const { enabled, intervalMs, maxPacketLossCount: maxLosses } = config.healthCheck;
  return {
    role: elector.leader ? 'active' : 'passive',
    confirmed: elector.confirmed,
    leaseHolder: elector.holder ?? null,
    cableDriver: state?.choice.name ?? config.cableDriver,
    ...localOf(state?.local.current),
    remotes: remoteStates(state),
    availability: availabilityOf(recorder),
    gateways: beatStates(state, recorder),
    guardedCidrs: cables?.guardedCidrs ?? [],
    broker: brokerOf(view),
    healthCheck: { enabled, intervalMs, maxLosses },
  };
}

/** Everything there is to know about an engine and its part of the node, looked at now. */
export async function engineState(view: EngineView, signal: AbortSignal): Promise<EngineDaemonState> {
  const { config, version, recorder, runner, stores } = view;
  const [look, { cables, problems }] = await Promise.all([
    lookAtNode(runner, ENGINE_OWNERSHIP, recorder.network ?? null, signal),
    observeCables(recorder.state),
  ]);
  const kernel = (look.network?.links ?? []).filter(({ kind }) => kind === 'wireguard').map(({ name }) => name);
  const tunnels = await observeTunnels({ runner, stateDir: config.stateDir, wireguardLinks: kernel });
  const { network, nft, node, pending } = look;
  return {
    daemon: 'engine',
    node: config.nodeName,
    cluster: config.clusterId,
    version,
    time: new Date(recorder.nowMs).toISOString(),
    startedAt: new Date(recorder.startedAtMs).toISOString(),
    unready: unreadyReasons(view),
    problems: [...reportedFailures(recorder), ...look.problems, ...tunnels.problems, ...problems],
    caches: cacheStates(stores),
    plan: recorder.applied,
    pending,
    inputs: inputsOf(view),
    desired: desiredOf(recorder),
    observed: { network, nft, node, cables, ike: tunnels.ike, peers: tunnels.peers },
  };
}
