import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { createRunner, type CommandRunner } from '../../host/command.ts';
import { convergeNetwork } from '../../host/network.ts';
import { applyScript } from '../../host/nft.ts';
import { DAEMON_TIMES } from '../../kube/brokerclient.ts';
import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import { endpointSliceType } from '../../kube/endpointslices.ts';
import { isAlreadyExists, isNotFound } from '../../kube/errors.ts';
import { createHttpsClient } from '../../kube/httpsclient.ts';
import type { EndpointSlice, Lease, Node, Pod, Service } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { createStore, type Store } from '../../kube/store.ts';
import { systemClock, type Clock } from '../../runtime/clock.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { ReconcileLoop } from '../../runtime/loop.ts';
import { rfc3339 } from '../pods/container.ts';
import { Podman } from '../podman/podman.ts';
import { cgroupName } from '../podman/remove.ts';
import { PodNetworks } from '../pods/network.ts';
import { covers } from '../pods/status.ts';
import type { PodHost } from '../pods/worker.ts';
import type { NodeConfig } from './config.ts';
import { serveKubelet } from './kubelet.ts';
import { masqueradeScript } from './masquerade.ts';
import { NodePods } from './pods.ts';
import { LEASE_NAMESPACE, nodeLease, nodeObject, nodeStatus } from './registration.ts';
import { CNI_OWNERSHIP, desiredRoutes } from './routes.ts';
import { lostUdpEndpoints, proxyScript, serviceTargets, type ServiceTarget } from './serviceproxy.ts';

const HEARTBEAT_MS = 2000;
const RESTART_MS = 500;
const ADDRESS_MS = 500;

interface Agent {
  readonly config: NodeConfig;
  readonly client: KubeClient;
  readonly runner: CommandRunner;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly nodes: Store<Node>;
  readonly pods: Store<Pod>;
  readonly services: Store<Service>;
  readonly slices: Store<EndpointSlice>;
  /** On the LAN; it can change while the agent runs. */
  readonly address: () => string;
}

/**
 * Runs a node of a sandbox until the signal is aborted: registers it, runs its pods as processes, connects them and
 * serves ClusterIPs. To be started inside the node's network namespace and in the mount namespace of the machine
 * (`inNamespace`); rejects with ExpectedError elsewhere. Pods go on running when it ends, a later one takes them over.
 */
export async function runNode(config: NodeConfig, signal: AbortSignal, logger: Logger): Promise<void> {
  requireMachineMounts();
  const client = createHttpsClient({
    ...DAEMON_TIMES,
    server: config.server,
    ca: readFileSync(config.caFile, 'utf8'),
    token: config.token,
  });
  const clock = systemClock;
  const options = { logger, clock };
  const agent: Agent = {
    config,
    client,
    runner: createRunner({ logger }),
    logger,
    clock,
    nodes: createStore<Node>(client, RESOURCES.nodes, options),
    pods: createStore<Pod>(client, RESOURCES.pods, { ...options, fieldSelector: `spec.nodeName=${config.node}` }),
    services: createStore<Service>(client, RESOURCES.services, options),
    slices: createStore<EndpointSlice>(client, await answeredSliceType(client, clock, signal), options),
    address: addressOf(config),
  };
  try {
    await applyScript(agent.runner, masqueradeScript(config), signal);
    await runAgent(agent, signal);
  } finally {
    client.close();
  }
}

/** Asks until the API server answers; a node can be started while it is away. */
async function answeredSliceType(client: KubeClient, clock: Clock, signal: AbortSignal): Promise<ResourceType> {
  for (;;) {
    try {
      return await endpointSliceType(client);
    } catch {
      if (signal.aborted) return RESOURCES.endpointSlices;
      await clock.sleep(RESTART_MS, signal);
    }
  }
}

/** The address of the node as its kernel has it now, or had it last. */
function addressOf({ uplink, address }: NodeConfig): () => string {
  let last = address;
  return () => {
    last = networkInterfaces()[uplink]?.find(({ family }) => family === 'IPv4')?.address ?? last;
    return last;
  };
}

/** `ip netns exec` gives a mount namespace of its own, in which the namespaces of pods would be seen by nobody else. */
function requireMachineMounts(): void {
  const line = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .find((one) => one.split(' ')[4] === '/run/netns');
  if (line === undefined || line.includes(' shared:')) return;
  throw new ExpectedError('the node agent was started in a mount namespace of its own', {
    hint: 'Start it with nsenter --net=/run/netns/NAME instead of ip netns exec.',
  });
}

async function runAgent(agent: Agent, signal: AbortSignal): Promise<void> {
  const { logger, clock, nodes, pods, services, slices } = agent;
  const loop = (name: string, stores: readonly Store<KubeObject>[], reconcile: () => Promise<void>): ReconcileLoop => {
    const made = new ReconcileLoop({
      name,
      reconcile: async () => (stores.every((store) => store.synced) ? reconcile() : undefined),
      logger,
      clock,
      settleMs: 5,
      backoff: { initialMs: 200, maxMs: 5000 },
    });
    for (const store of stores) store.onChange(() => made.trigger());
    return made;
  };
  const routes = loop('routes', [nodes], () => syncRoutes(agent, signal));
  const proxy = loop('service proxy', [services, slices], syncProxy(agent));
  const own = loop('node', [nodes], () => syncNode(agent));
  const nodePods: NodePods = new NodePods(podHost(agent), () => podLoop.trigger(), signal);
  const podLoop = loop('pods', [pods, services], () => nodePods.sync(pods.list()));
  await Promise.all([
    ...[nodes, pods, services, slices].map((store) => store.run(signal)),
    ...[own, routes, proxy, podLoop].map((one) => one.run(signal)),
    beat(agent, signal),
    agent.config.kubelet === undefined ? undefined : serveKubelet(agent.config.kubelet, agent.client, signal),
    onNewAddress(agent, () => [own, podLoop].forEach((one) => one.trigger()), signal),
  ]);
  await nodePods.settle();
}

async function syncRoutes(agent: Agent, signal: AbortSignal): Promise<void> {
  await convergeNetwork(agent, CNI_OWNERSHIP, desiredRoutes(agent.config, agent.nodes.list()), signal);
}

function syncProxy(agent: Agent): () => Promise<void> {
  let applied: { readonly script: string; readonly targets: readonly ServiceTarget[] } | undefined;
  return async () => {
    const targets = serviceTargets(agent.services.list(), agent.slices.list());
    const script = proxyScript(targets, agent.config.clusterPodCidr);
    if (applied?.script === script) return;
    await applyScript(agent.runner, script);
    const lost = lostUdpEndpoints(applied?.targets ?? [], targets);
    applied = { script, targets };
    for (const { service, endpoint } of lost) {
      const args = ['-D', '-p', 'udp', '--orig-dst', service, '--dst-nat', endpoint];
      // Exit code 1: there was none.
      await agent.runner.run('conntrack', args, { okExitCodes: [0, 1] });
    }
  };
}

/** Calls back when the node got another address, as kubelet notices it: by looking now and then. */
async function onNewAddress({ address, clock }: Agent, changed: () => void, signal: AbortSignal): Promise<void> {
  for (let last = address(); !signal.aborted;) {
    await clock.sleep(ADDRESS_MS, signal);
    if (address() === last) continue;
    last = address();
    changed();
  }
}

async function syncNode({ config, client, nodes, clock, logger, address }: Agent): Promise<void> {
  const known = nodes.get(config.node);
  if (known === undefined) {
    try {
      await client.create<Node>(RESOURCES.nodes, nodeObject(config));
      logger.info('node registered', { node: config.node, address: address() });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  }
  const { gitVersion } = await client.request<{ readonly gitVersion: string }>('GET', '/version');
  const status = nodeStatus({ ...config, address: address() }, gitVersion, known, rfc3339(clock));
  if (covers(known?.status, status)) return;
  await client.patch<Node>(RESOURCES.nodes, config.node, { status }, { patchType: 'merge', subresource: 'status' });
}

/** Renews the node's Lease; what goes wrong is tried again with the next beat. */
async function beat({ config, client, clock, logger }: Agent, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const lease = nodeLease(config, clock.now());
    try {
      await renew(client, lease, signal);
    } catch (error) {
      if (!signal.aborted) logger.debug('heartbeat failed', { error });
    }
    await clock.sleep(config.heartbeatMs ?? HEARTBEAT_MS, signal);
  }
}

async function renew(client: KubeClient, lease: Lease, signal: AbortSignal): Promise<void> {
  try {
    const options = { patchType: 'merge', namespace: LEASE_NAMESPACE, signal } as const;
    await client.patch<Lease>(RESOURCES.leases, lease.metadata.name ?? '', { spec: lease.spec }, options);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await client.create<Lease>(RESOURCES.leases, lease, { namespace: LEASE_NAMESPACE, signal });
  }
}

function podmanOf(
  { sandbox, namespace, podmanHome }: NodeConfig,
  dependencies: Pick<Agent, 'clock' | 'logger'>,
): Pick<PodHost, 'podman'> {
  if (podmanHome === undefined) return {};
  const podman = new Podman(podmanHome, dependencies);
  return { podman: { podman, network: namespace, cgroupParent: `/${cgroupName(sandbox)}` } };
}

function podHost({ config, client, clock, logger, runner, services, address }: Agent): PodHost {
  const { sandbox, node, podCidr, podGateway, images, nodeDir, restartMs = RESTART_MS } = config;
  return {
    client,
    clock,
    logger,
    networks: new PodNetworks({ sandbox, node, podCidr, podGateway, runner, clock }),
    images,
    ...podmanOf(config, { clock, logger }),
    nodeDir,
    nodeName: node,
    get hostIP() {
      return address();
    },
    apiAddress: () => {
      const { clusterIP, ports } = services.get('kubernetes', 'default')?.spec ?? {};
      if (clusterIP === undefined) throw new ExpectedError('the cluster has no Service "kubernetes" yet');
      return { host: clusterIP, port: ports?.[0]?.port ?? 443 };
    },
    restartMs,
  };
}
