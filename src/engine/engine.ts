import { parseAvailability } from '../api/availability.ts';
import type { Gateway } from '../api/types.ts';
import type { LeaseElector } from '../kube/lease.ts';
import { messageOf } from '../runtime/errors.ts';
import { ReconcileLoop, type ReconcileLoopOptions } from '../runtime/loop.ts';
import { Availability } from './availability.ts';
import type { Remotes } from './cables.ts';
import { chooseDriver, syncCables } from './cablesync.ts';
import type { EngineDependencies, EngineState } from './context.ts';
import { handOver } from './departure.ts';
import { DriverChoice } from './driverchoice.ts';
import { GatewayReporter, StaleGateways } from './gatewaystatus.ts';
import { GatewayPulse } from './ha/pulse.ts';
import { nextTerm } from './ha/takeover.ts';
import { HeadStart } from './headstart.ts';
import { HealthCheck } from './healthcheck.ts';
import { LocalObserver } from './local.ts';
import { NatDiscovery } from './natdiscovery/service.ts';
import { publish } from './publishing.ts';
import { PATIENCE_MS, reportStatus } from './statusreport.ts';
import { Transitions } from './transitions.ts';

const RETRY = { initialMs: 500, maxMs: 10_000 } as const;
const NO_REMOTES: Remotes = { accepted: [], problems: [], guardedCidrs: [] };

type Loops = Readonly<Record<'local' | 'cables' | 'publish' | 'status', ReconcileLoop>>;

/**
 * Runs a gateway until told to stop. Stopping hands over to a standby, gives the lease back and leaves tunnels, routes
 * and guards as they are; the data plane also stays while an API server or the broker is away.
 *
 * INVARIANTS: nothing is written to the kernel before the caches are filled and the driver has started; only a gateway
 * that is sure to lead publishes and mirrors; a node whose driver does not start takes no part in the election.
 */
export async function runEngine(dependencies: EngineDependencies, stop: AbortSignal): Promise<void> {
  const work = new AbortController();
  const { signal } = work;
  const { stores, elector, mirror, clock, config, logger, client } = dependencies;
  const state = createState(dependencies, () => loops);
  const reporter = new GatewayReporter({ client, clock });
  const loops: Loops = createLoops(dependencies, state, reporter, () => loops);
  dependencies.watcher?.started(state, Object.values(loops));
  stores.endpoints.onChange(() => {
    triggerAll(loops, ['cables', 'publish']);
    if (state.local.current?.ready !== true) loops.local.trigger();
  });
  stores.nodes.onChange(() => loops.local.trigger());
  stores.gateways.onChange(() => {
    if (elector.leader && gatewaysChanged(state, stores.gateways.list())) triggerAll(loops, ['cables']);
  });
  mirror.onChange(() => {
    loops.status.trigger();
    // A little later than the status counts from its own first look.
    void clock.sleep(PATIENCE_MS + 250, signal).then(() => loops.status.trigger());
  });
  followElection(dependencies, state, loops);
  signal.addEventListener('abort', () => state.headStart.end());
  dependencies.onElection({
    mayTakeOver: (lease) => state.availability.mayTakeOver(lease),
    nextTransitions: (seen) => nextTerm(seen, config, state.pulse.reports()),
  });
  state.availability.onChange(() => triggerAll(loops, ['cables', 'status']));
  state.nat.onChange(() => triggerAll(loops, ['cables', 'status']));
  state.health.onChange(() => {
    for (const cableName of state.health.dead()) state.nat.doubt(cableName);
    loops.status.trigger();
  });
  const stopping = aborted(stop)
    .then(async () => handOver(dependencies, state))
    .finally(() => work.abort(stop.reason));
  await Promise.all([
    stopping,
    ...Object.values(stores).map((store) => store.run(signal)),
    ...Object.values(loops).map((loop) => loop.run(signal)),
    state.nat.run(signal),
    state.health.run(signal),
    state.pulse.run(signal),
    state.availability.run(signal),
    reporter.beat(() => loops.status.trigger(), signal),
    dependencies.watchKernel(() => triggerAll(loops, ['local', 'cables'])),
    campaign(dependencies, state, signal),
    whileConfirmed(elector, (term) => mirror.run(term), signal),
  ]);
  const gone = new AbortController();
  void clock.sleep(1500, gone.signal).then(() => gone.abort(new Error('no answer within 1.5 s')));
  try {
    await reporter.remove(config, gone.signal);
  } catch (error) {
    logger.warn('could not remove the own Gateway; another gateway will', { error });
  } finally {
    gone.abort();
  }
}

function followElection({ elector }: EngineDependencies, state: EngineState, loops: Loops): void {
  let led = elector.leader;
  elector.onChange(() => {
    // Traffic that comes once the Endpoint is out is to find this gateway prepared, unless nobody else carries it.
    if (!state.availability.planned) {
      if (elector.leader && !led) state.headStart.begin();
      loops.publish.trigger();
    }
    led = elector.leader;
    triggerAll(loops, ['cables', 'status']);
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve());
  });
}

/** Whether another gateway came, went or changed in what is announced of it; each writes its object every few seconds. */
function gatewaysChanged(state: EngineState, gateways: readonly Gateway[]): boolean {
  const seen = JSON.stringify(
    gateways.map((gateway) => [gateway.status.localEndpoint, parseAvailability(gateway)?.slots]),
  );
  const changed = seen !== state.gatewaysSeen;
  state.gatewaysSeen = seen;
  return changed;
}

function triggerAll(loops: Loops, names: readonly (keyof Loops)[]): void {
  for (const name of names) loops[name].trigger();
}

function createState(dependencies: EngineDependencies, loops: () => Loops): EngineState {
  const { config, facts, publicIp, createDriver, logger, clock, openSocket, randomNumber, ping, elector } =
    dependencies;
  const { randomBytes, keyRing, former, steadyMs } = dependencies;
  keyRing?.onChange(() => loops().cables.trigger());
  const keys = keyRing === undefined ? {} : { keys: () => keyRing.current };
  const pulse = new GatewayPulse({ open: openSocket, psk: config.psk, ...keys, randomBytes, clock, logger });
  const choice = new DriverChoice({ config, clock, logger, steadyMs, onDue: () => loops().cables.trigger() });
  return {
    pulse,
    choice,
    availability: new Availability({ config, elector, pulse, clock, logger }),
    gatewaysSeen: '',
    local: new LocalObserver({
      config,
      facts,
      publicIp,
      createDriver,
      choice,
      former,
      logger,
      onDriver: (driver) => driver.onChange(() => triggerAll(loops(), ['cables', 'status'])),
    }),
    nat: new NatDiscovery({
      open: openSocket,
      sourceAddress: (target) => facts.sourceAddress(target),
      randomNumber,
      clock,
      logger,
    }),
    health: new HealthCheck({ ping, ...config.healthCheck, clock }),
    startedMs: clock.monotonic(),
    localFailure: undefined,
    remotes: NO_REMOTES,
    cabled: new Set(),
    headStart: new HeadStart(clock),
    labelled: { active: undefined, atMs: 0 },
    cableFailure: undefined,
    keysInForce: undefined,
    brokerAwaySinceMs: undefined,
  };
}

function createLoops(
  dependencies: EngineDependencies,
  state: EngineState,
  reporter: GatewayReporter,
  loops: () => Loops,
): Loops {
  const { logger, clock } = dependencies;
  const stale = new StaleGateways();
  const transitions = new Transitions();
  const loop = (
    name: string,
    resyncMs: number,
    reconcile: (signal: AbortSignal) => Promise<void>,
    { backoff = RETRY, settleMs = 0 }: Pick<ReconcileLoopOptions, 'backoff' | 'settleMs'> = {},
  ): ReconcileLoop => new ReconcileLoop({ name, reconcile, logger, clock, resyncMs, backoff, settleMs });
  return {
    local: loop('local gateway', 20_000, (signal) => refreshLocal(dependencies, state, loops(), signal)),
    cables: loop('cables', 30_000, async (signal) => {
      await state.headStart.over;
      const keys = dependencies.keyRing?.current;
      try {
        await syncCables(dependencies, state, signal);
        state.keysInForce = keys;
      } finally {
        triggerAll(loops(), ['publish', 'status']);
      }
    }),
    publish: loop('publish', 60_000, (signal) =>
      publish(dependencies, state, signal).then(() => transitions.tell(dependencies, state, signal)),
    ),
    status: loop(
      'gateway status',
      10_000,
      (signal) => state.headStart.over.then(() => reportStatus(dependencies, state, { reporter, stale }, signal)),
      // When a gateway fails, many things change at once, and packets wait for some of them: this is not one.
      { backoff: { initialMs: 500, maxMs: 5000 }, settleMs: 200 },
    ),
  };
}

async function refreshLocal(
  dependencies: EngineDependencies,
  state: EngineState,
  loops: Loops,
  signal: AbortSignal,
): Promise<void> {
  const { stores } = dependencies;
  if (!stores.endpoints.synced || !stores.nodes.synced) return;
  const before = JSON.stringify(shown(state));
  if (state.local.current === undefined) chooseDriver(dependencies, state);
  try {
    await state.local.refresh({ node: stores.nodes.list()[0], endpoints: stores.endpoints.list() }, signal);
    state.localFailure = undefined;
  } catch (error) {
    state.localFailure = messageOf(error);
    throw error;
  } finally {
    const { current } = state.local;
    if (current !== undefined && current.spec.private_ip !== '') {
      const { cluster_id: clusterId, cable_name: cableName, private_ip: privateIp } = current.spec;
      state.nat.setIdentity({ clusterId, cableName, privateIp, port: current.node.nattDiscoveryPort });
    }
    if (JSON.stringify(shown(state)) !== before) triggerAll(loops, ['cables', 'publish', 'status']);
  }
}

function shown({ local: { current }, localFailure }: EngineState): unknown {
  return current === undefined ? localFailure : { ...current, driver: undefined };
}

/** Takes part in the election once this node can be a gateway. */
async function campaign(
  { elector, clock, logger }: EngineDependencies,
  { local }: EngineState,
  signal: AbortSignal,
): Promise<void> {
  while (local.current?.ready !== true && !signal.aborted) await clock.sleep(100, signal);
  if (signal.aborted) return;
  logger.info('takes part in the election', { endpoint: local.current?.spec.cable_name });
  await elector.run(signal);
}

/** Runs something as long as no other engine can lead, again and again. */
async function whileConfirmed(
  elector: LeaseElector,
  run: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await changeOf(elector, () => elector.confirmed, signal);
    if (signal.aborted) return;
    const term = new AbortController();
    const running = run(term.signal);
    await changeOf(elector, () => !elector.confirmed, signal);
    term.abort();
    await running;
  }
}

/** Resolves when the condition holds or the signal is aborted. */
function changeOf(elector: LeaseElector, condition: () => boolean, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!condition() && !signal.aborted) return;
      unsubscribe();
      signal.removeEventListener('abort', look);
      resolve();
    };
    const unsubscribe = elector.onChange(look);
    signal.addEventListener('abort', look);
    look();
  });
}
