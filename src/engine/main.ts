import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { ENDPOINT_PORTS } from '../api/daemonstate.ts';
import { GATEWAY_LEASE, TUNNEL_PORT } from '../api/names.ts';
import type { Gateway } from '../api/types.ts';
import { createRunner, type CommandRunner } from '../host/command.ts';
import { watchNetwork } from '../host/monitor.ts';
import { overlayUse } from '../host/overlayuse.ts';
import { createPingWatcher } from '../host/ping.ts';
import { removeState, ROUTEAGENT_STATE } from '../host/statefolder.ts';
import { RecentLooks } from '../host/recent.ts';
import { openUdpSocket, sourceAddressFor } from '../host/udp.ts';
import { observeLinks } from '../host/underlay.ts';
import { createBrokerClient } from '../kube/brokerclient.ts';
import type { KubeClient, KubeObject } from '../kube/client.ts';
import { EventRecorder } from '../kube/events.ts';
import { inClusterClient } from '../kube/incluster.ts';
import { createLeaseElector, type LeaseElector } from '../kube/lease.ts';
import type { ElectionRules } from '../kube/leaseoptions.ts';
import { transitionsAfter } from '../kube/leaserules.ts';
import { createMirror } from '../kube/mirror.ts';
import type { Lease, Node, Service } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import { createStore, type Store } from '../kube/store.ts';
import { ipFamily } from '../net/cidr.ts';
import { ENGINE_OWNERSHIP, OVERLAY } from '../net/ownership.ts';
import { systemClock } from '../runtime/clock.ts';
import { printDebugState } from '../runtime/debugstate.ts';
import { serveEndpoints } from '../runtime/endpoints.ts';
import { UsageError, messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { runDaemon, type Environment } from '../runtime/process.ts';
import { cleanUpBrokerObjects, cleanUpLocalObjects, cleanUpNode, staysGateway } from './cleanup.ts';
import { DRIVER_NAMES, readEngineConfig, type CableDriverName, type EngineConfig } from './config.ts';
import type { EngineDependencies, EngineStores } from './context.ts';
import { BrokerCredential } from './credential.ts';
import type { CableDriver } from './drivers/driver.ts';
import type { NetworkWatcher } from './drivers/dependencies.ts';
import { createDriver, type DriverDependencies } from './drivers/index.ts';
import { runEngine } from './engine.ts';
import { createKeyRing } from './keyring.ts';
import { leaseIdentity } from './tenure.ts';
import { FormerDriver } from './formerdriver.ts';
import type { DriverPlace } from './driverseat.ts';
import type { NodeFacts } from './local.ts';
import type { LinkAddress } from './localendpoint.ts';
import { DecisionMemory } from './natdiscovery/memory.ts';
import type { PublicIpSources } from './publicip.ts';
import { EngineRecorder } from './telemetry/recorder.ts';
import { EngineTelemetry } from './telemetry/telemetry.ts';

const DEFAULT_STATE_DIR = '/var/lib/submariner';
/** How long a stopping engine waits for the answer whether its node stays a gateway. */
const STAYS_MS = 2000;
/** What was seen of the kernel serves for so long while it reports nothing; less than the cables are looked after. */
const OBSERVED_MS = 25_000;

/** Kernel messages about what the engine made, or what it stands on. */
const RELEVANT = new RegExp(
  [
    ...ENGINE_OWNERSHIP.links,
    ...ENGINE_OWNERSHIP.tables.map((table) => `table ${table}\\b`),
    ...ENGINE_OWNERSHIP.rulePriorities.map((priority) => `^(?:Deleted )?${priority}:`),
    ENGINE_OWNERSHIP.nftTable,
    ' inet (?!127\\.)',
  ].join('|'),
);

/** The version this program was built as; `dev` when it runs from sources. */
function builtVersion(): string {
  // @ts-expect-error the bundler replaces this expression by the version
  const built: unknown = globalThis.SUBCTL_VERSION;
  return typeof built === 'string' ? built : 'dev';
}

function nodeFacts(runner: CommandRunner): NodeFacts {
  return {
    sourceAddress: sourceAddressFor,
    addresses: async (signal) => {
      return (await observeLinks(runner, signal)).flatMap(({ name, addresses }): readonly LinkAddress[] =>
        addresses
          .filter((cidr) => ipFamily(cidr) === 4)
          .map((cidr) => ({ link: name, address: cidr.split('/')[0] ?? cidr })),
      );
    },
  };
}

function publicIpSources(client: KubeClient, namespace: string): PublicIpSources {
  return {
    findService: (name) => client.find<Service>(RESOURCES.services, name, { namespace }),
    lookup: async (host) => (await lookup(host, { all: true, family: 4 })).map(({ address }) => address),
  };
}

function driverDependencies(
  config: Pick<EngineConfig, 'stateDir' | 'psk'> & Partial<Pick<EngineConfig, 'ipsec'>>,
  at: DriverPlace,
  tools: Pick<DriverDependencies, 'runner' | 'logger' | 'onNetwork' | 'keys'>,
): DriverDependencies {
  const { stateDir, psk, ipsec } = config;
  return { ...tools, stateDir, psk, ...(ipsec === undefined ? {} : { ipsec }), ...at };
}

/** A gateway that was cut off is to be ready soon after it is back; there are few gateways, so that haste costs the API server little. */
const LOCAL_BACKOFF = { maxMs: 5000 } as const;

interface Election {
  readonly elector: LeaseElector;
  readonly leases: Store<Lease>;
  /** Until then the rules of leases alone hold. */
  readonly govern: (rules: ElectionRules) => void;
}

function createElection(
  { namespace, nodeName, leadership }: EngineConfig,
  client: KubeClient,
  logger: Logger,
): Election {
  let rules: ElectionRules = { mayTakeOver: () => false, nextTransitions: transitionsAfter };
  const fieldSelector = `metadata.name=${GATEWAY_LEASE}`;
  const leases = createStore<Lease>(client, RESOURCES.leases, {
    namespace,
    logger,
    fieldSelector,
    backoff: LOCAL_BACKOFF,
  });
  const elector = createLeaseElector({
    client,
    namespace,
    name: GATEWAY_LEASE,
    identity: leaseIdentity(nodeName),
    logger,
    store: leases,
    mayTakeOver: (lease) => rules.mayTakeOver(lease),
    nextTransitions: (seen) => rules.nextTransitions(seen),
    renewMs: leadership.retryPeriodMs,
    leaseMs: leadership.leaseDurationMs,
  });
  return { elector, leases, govern: (others) => void (rules = others) };
}

function createStores({ namespace, nodeName }: EngineConfig, client: KubeClient, logger: Logger): EngineStores {
  const scope = { namespace, logger, backoff: LOCAL_BACKOFF };
  return {
    endpoints: createStore<KubeObject>(client, RESOURCES.endpoints, scope),
    gateways: createStore<Gateway & KubeObject>(client, RESOURCES.gateways, scope),
    nodes: createStore<Node>(client, RESOURCES.nodes, {
      logger,
      backoff: LOCAL_BACKOFF,
      fieldSelector: `metadata.name=${nodeName}`,
    }),
  };
}

function createEvents(client: KubeClient, logger: Logger, host: string): EventRecorder {
  return new EventRecorder({ client, logger, clock: systemClock, component: 'submariner-gateway', host });
}

/** This node, and the watch on it: what was seen of its kernel last serves while nothing is reported. */
function watchedNode(
  logger: Logger,
  signal: AbortSignal,
): Pick<EngineDependencies, 'watchKernel'> & { readonly runner: CommandRunner } {
  const recent = new RecentLooks({ maxAgeMs: OBSERVED_MS });
  return {
    runner: createRunner({ logger, recent }),
    watchKernel: (onChange) => watchNetwork({ logger, recent }, RELEVANT, onChange, signal),
  };
}

async function serve(config: EngineConfig, client: KubeClient, logger: Logger, signal: AbortSignal): Promise<void> {
  const { namespace, broker, stateDir, clusterId, nodeName } = config;
  if (broker === undefined) throw new UsageError('BROKER_K8S_APISERVER is not set');
  const { runner, watchKernel } = watchedNode(logger, signal);
  const recorder = new EngineRecorder(systemClock);
  const secrets = { client, namespace, clock: systemClock, logger };
  const keyRing = createKeyRing({ ...secrets, psk: config.psk, secretName: config.pskSecretName });
  const onNetwork: NetworkWatcher = (desired, plan) => recorder.tookNetwork(desired, plan);
  const driverAt = (name: CableDriverName, at: DriverPlace): CableDriver =>
    createDriver(name, driverDependencies(config, at, { runner, logger, onNetwork, keys: () => keyRing.current }));
  const create = (name: CableDriverName): CableDriver => driverAt(name, { privateIp: '', udpPort: config.tunnelPort });
  const { elector, leases, govern } = createElection(config, client, logger);
  const stores = createStores(config, client, logger);
  const mayRenew = (): boolean => elector.confirmed;
  const credential = new BrokerCredential({ ...secrets, clusterId, broker, mayRenew });
  const { remote } = credential;
  const place = { client: remote, namespace: broker.namespace };
  const mirror = createMirror({ clusterId, local: secrets, broker: place, mayWrite: mayRenew, logger });
  const version = builtVersion();
  const engine = runEngine(
    {
      config,
      version,
      client,
      elector,
      stores,
      mirror,
      credential,
      keyRing,
      createDriver: (at, name) => recorder.recording(driverAt(name, at)),
      former: new FormerDriver({ stateDir, create, logger }),
      watchKernel,
      facts: nodeFacts(runner),
      overlayUse: () => overlayUse(OVERLAY.link),
      publicIp: publicIpSources(client, namespace),
      ping: createPingWatcher({ logger }),
      openSocket: (port) => openUdpSocket(port),
      randomNumber: () => randomBytes(8).readBigUInt64BE(),
      randomBytes: (count) => randomBytes(count),
      events: createEvents(client, logger, nodeName),
      onElection: govern,
      memory: new DecisionMemory(stateDir, logger),
      clock: systemClock,
      logger,
      watcher: recorder,
    },
    signal,
  );
  const ended = new AbortController();
  const running = engine.finally(() => ended.abort());
  const telemetry = new EngineTelemetry({ config, version, recorder, stores, elector, mirror, runner });
  const served = serveEndpoints(telemetry, { address: config.serve, logger }, signal);
  // The lease is watched to the end: a gateway hands over after it was told to stop.
  const kept = [credential.run(ended.signal), keyRing.run(ended.signal)];
  await Promise.all([leases.run(ended.signal), ...kept, running, served]).finally(() => remote.close());
}

/** What stands on the node goes first; objects are removed as far as the environment says where they are. */
async function removeEverything(env: Environment, logger: Logger): Promise<void> {
  const stateDir = env['SUBMARINER_STATE_DIR'] || DEFAULT_STATE_DIR;
  await cleanUpDrivers(stateDir, logger);
  removeState(stateDir, (entry) => entry !== ROUTEAGENT_STATE);
  if ((env['SUBMARINER_NAMESPACE'] ?? '') === '') return;
  try {
    const config = readEngineConfig({ ...env, SUBMARINER_UNINSTALL: 'true' });
    const client = inClusterClient(env);
    await cleanUpLocalObjects(client, config).finally(() => client.close());
    if (config.broker === undefined) return;
    const remote = createBrokerClient({ ...config.broker, source: 'broker' });
    const { clusterId, broker } = config;
    await cleanUpBrokerObjects(remote, { namespace: broker.namespace, clusterId }).finally(() => remote.close());
  } catch (error) {
    logger.warn('the objects of this gateway were not removed', { reason: messageOf(error) });
  }
}

async function cleanUpDrivers(stateDir: string, logger: Logger): Promise<void> {
  const runner = createRunner({ logger });
  const at = { privateIp: '', udpPort: TUNNEL_PORT };
  const dependencies = driverDependencies({ stateDir, psk: '' }, at, { runner, logger });
  await cleanUpNode(
    DRIVER_NAMES.map((name) => createDriver(name, dependencies)),
    logger,
  );
}

/** Stopping leaves everything as it is, except on a node that is no gateway any more: its routes would lead nowhere. */
async function stop({ nodeName, stateDir }: EngineConfig, client: KubeClient, logger: Logger): Promise<void> {
  if (await staysGateway(client, nodeName, logger, AbortSignal.timeout(STAYS_MS))) return;
  logger.info('this node is no gateway any more', { node: nodeName });
  await cleanUpDrivers(stateDir, logger);
}

async function start(signal: AbortSignal, logger: Logger, env: Environment, args: readonly string[]): Promise<void> {
  if (args.includes('--cleanup') || env['SUBMARINER_UNINSTALL'] === 'true') {
    await removeEverything(env, logger);
    return;
  }
  const config = readEngineConfig(env);
  const client = inClusterClient(env);
  logger.info('gateway engine', { version: builtVersion(), cluster: config.clusterId, node: config.nodeName });
  try {
    await serve(config, client, logger, signal);
  } finally {
    if (signal.aborted) await stop(config, client, logger);
    client.close();
  }
}

/**
 * The gateway engine as a process: configured by its environment; `--cleanup` (or SUBMARINER_UNINSTALL=true) removes all
 * it ever made, `--version` says which it is, `--debug-state` prints the state of the engine that runs on this machine.
 */
export async function main(): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes('--version')) {
    process.stderr.write(`submariner-gateway version: ${builtVersion()}\n`);
    return;
  }
  if (args.includes('--debug-state')) {
    await printDebugState(ENDPOINT_PORTS.engine);
    return;
  }
  await runDaemon((signal, logger, env) => start(signal, logger, env, args));
}
