import type { Gateway } from '../../src/api/types.ts';
import type { EngineConfig } from '../../src/engine/config.ts';
import type { EngineDependencies } from '../../src/engine/context.ts';
import type { Cable, CableDriver, DesiredCables, ObservedCable } from '../../src/engine/drivers/driver.ts';
import { runEngine } from '../../src/engine/engine.ts';
import { DecisionMemory } from '../../src/engine/natdiscovery/memory.ts';
import type { PingWatcher } from '../../src/host/ping.ts';
import type { UdpAddress, UdpSocket } from '../../src/host/udp.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import { EventRecorder } from '../../src/kube/events.ts';
import type { ElectionRules } from '../../src/kube/leaseoptions.ts';
import { transitionsAfter } from '../../src/kube/leaserules.ts';
import { createLeaseElector } from '../../src/kube/lease.ts';
import { createMirror } from '../../src/kube/mirror.ts';
import type { Lease, Node } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { createStore } from '../../src/kube/store.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { ExpectedError } from '../../src/runtime/errors.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { FakeClock } from '../fakes/clock.ts';
import { FakeKube } from '../fakes/kube.ts';

export const NAMESPACE = 'submariner-operator';
export const BROKER = 'submariner-k8s-broker';

/** What the kernel of one node holds: it stays when the engine goes. */
export class FakeNode {
  readonly name: string;
  readonly ip: string;
  readonly cniAddress: string;
  readonly stateDir: string;
  cables: readonly Cable[] = [];
  guardedCidrs: readonly string[] = [];
  /** Every change of the cables that carry packets, as their names with the address in use. */
  readonly changes: string[] = [];
  /** What driver.start rejects with. */
  broken: string | undefined;
  /** The driver whose cables it has. */
  driver = 'vxlan';
  /** Every driver that ran, and when its first cables were made; monotonic milliseconds. */
  readonly drivers: { readonly name: string; readonly ms: number }[] = [];
  /** Drivers that cannot work here. */
  readonly impossible = new Set<string>();
  /** The port NAT discovery cannot have. */
  takenPort: number | undefined;
  constructor(name: string, ip: string, cniAddress: string, stateDir: string) {
    this.name = name;
    this.ip = ip;
    this.cniAddress = cniAddress;
    this.stateDir = stateDir;
  }

  program({ cables, guardedCidrs }: DesiredCables): void {
    const text = (list: readonly Cable[]): string =>
      list.flatMap(({ name, usingIp, carries }) => (carries ? [`${name}@${usingIp}`] : [])).join(' ');
    if (text(cables) !== text(this.cables)) this.changes.push(text(cables));
    this.cables = cables;
    this.guardedCidrs = guardedCidrs;
  }
}

/** A clock a test can wait on: it moves, or time does. */
export interface TestClock extends Clock {
  advance(ms: number): Promise<void>;
}

/** The source port a NAT gives to what it passes on. */
const NAT_PORT = 50_000;

/** Nodes, UDP between them, and a clock. */
export class World {
  readonly clock: TestClock;
  readonly broker = new FakeKube([], 'https://broker');
  readonly nodes = new Map<string, FakeNode>();
  /** Addresses that get no packets. */
  readonly dead = new Set<string>();
  readonly #aliases = new Map<string, string>();
  readonly #sockets = new Map<string, (bytes: Uint8Array, from: UdpAddress) => void>();

  constructor(clock: TestClock = new FakeClock()) {
    this.clock = clock;
    this.broker.now = () => this.clock.now();
  }

  addNode(name: string, ip: string, cniAddress: string, stateDir: string): FakeNode {
    const node = new FakeNode(name, ip, cniAddress, stateDir);
    this.nodes.set(ip, node);
    return node;
  }

  /** A public address that a NAT passes on to a node. */
  alias(publicIp: string, nodeIp: string): void {
    this.#aliases.set(publicIp, nodeIp);
  }

  /** The tunnel carries packets when both ends have it. */
  carries(node: FakeNode, cable: Cable): boolean {
    const peer = this.nodes.get(this.#aliases.get(cable.usingIp) ?? cable.usingIp);
    const back = peer?.cables.find(({ usingIp }) => (this.#aliases.get(usingIp) ?? usingIp) === node.ip);
    if (back === undefined || peer?.driver !== node.driver) return false;
    return !this.dead.has(cable.usingIp) && !this.dead.has(back.usingIp);
  }

  async open(node: FakeNode, port: number): Promise<UdpSocket> {
    if (node.takenPort === port) throw new ExpectedError(`UDP port ${port} of this node is taken by another program`);
    const key = `${node.ip}:${port}`;
    return {
      port,
      send: async (bytes, to) => {
        if (this.dead.has(to.ip)) return;
        const inside = [...this.nodes.values()].find(({ cniAddress }) => cniAddress === to.ip);
        if (inside !== undefined) {
          const cable = node.cables.find(({ usingIp }) => (this.#aliases.get(usingIp) ?? usingIp) === inside.ip);
          if (cable === undefined || !this.carries(node, cable)) return;
          const from = { ip: node.cniAddress, port };
          setImmediate(() => this.#sockets.get(`${inside.ip}:${to.port}`)?.(bytes, from));
          return;
        }
        const target = this.#aliases.get(to.ip) ?? to.ip;
        const [behind] = [...this.#aliases].find(([, ip]) => ip === node.ip) ?? [];
        const isReply = to.port === NAT_PORT && behind !== undefined;
        const source = target === to.ip ? { ip: isReply ? behind : node.ip, port } : { ip: node.ip, port: NAT_PORT };
        setImmediate(() => this.#sockets.get(`${target}:${isReply ? port : to.port}`)?.(bytes, source));
      },
      onMessage: (listener) => void this.#sockets.set(key, listener),
      onError: () => undefined,
      close: () => void this.#sockets.delete(key),
    };
  }

  ping(node: FakeNode): PingWatcher {
    return async ({ address, intervalMs }, listener, signal) => {
      while (!signal.aborted) {
        const target = [...this.nodes.values()].find(({ cniAddress }) => cniAddress === address);
        const cable = node.cables.find(({ usingIp }) => (this.#aliases.get(usingIp) ?? usingIp) === target?.ip);
        const arrives = cable !== undefined && this.carries(node, cable);
        await this.clock.sleep(1.5, signal);
        if (arrives && !signal.aborted) listener.onReply(1.5);
        await this.clock.sleep(intervalMs - 1.5, signal);
      }
    };
  }

  driver(node: FakeNode, name = 'vxlan'): CableDriver {
    return {
      name,
      description: 'a cable in memory',
      slots: 2,
      start: async () => {
        if (node.broken !== undefined) throw new ExpectedError(node.broken);
      },
      backendConfig: async () => ({
        'udp-port-1': '4501',
        ...(name === 'vxlan' ? {} : { [`key-${name}`]: node.name }),
      }),
      sync: async (desired) => {
        if (node.drivers.at(-1)?.name !== name) node.drivers.push({ name, ms: this.clock.monotonic() });
        node.driver = name;
        node.program(desired);
      },
      connections: async () =>
        node.cables.map((cable): ObservedCable => ({
          cableName: cable.name,
          status: this.carries(node, cable) ? 'connected' : 'connecting',
          message: '',
        })),
      onChange: () => undefined,
      prepare: async () => {
        if (node.impossible.has(name)) throw new ExpectedError(`${name} is not installed`);
        return [];
      },
      release: async () => async () => undefined,
      cleanup: async () => node.program({ cables: [], guardedCidrs: [], cniAddress: undefined, lookup: 'all' }),
    };
  }

  /** Lets time pass until the condition holds; throws with what was seen when it does not within `limitMs`. */
  async until(what: string, condition: () => boolean, limitMs = 30_000): Promise<void> {
    const end = this.clock.now() + limitMs;
    while (!condition()) {
      if (this.clock.now() >= end) throw new Error(`not within ${limitMs} ms: ${what}`);
      await this.clock.advance(50);
    }
  }
}

/** One cluster: its API server and CIDRs. */
export class FakeCluster {
  readonly id: string;
  readonly kube: FakeKube;
  readonly pods: string;
  readonly services: string;
  constructor(world: World, id: string, pods: string, services: string) {
    this.id = id;
    this.pods = pods;
    this.services = services;
    this.kube = new FakeKube([], `https://${id}`);
    this.kube.now = () => world.clock.now();
  }

  gateway(node: FakeNode): Gateway | undefined {
    return this.kube.all<Gateway & KubeObject>(RESOURCES.gateways).find(({ metadata }) => metadata.name === node.name);
  }

  addNode(node: FakeNode, annotations: Record<string, string> = {}): void {
    const addresses = [{ type: 'InternalIP', address: node.ip }];
    const object: Node = { metadata: { name: node.name, annotations }, status: { addresses } };
    this.kube.seed(RESOURCES.nodes, object);
    this.kube.seed(RESOURCES.pods, { metadata: { name: `gateway-${node.name}`, namespace: NAMESPACE } });
  }
}

export function engineConfig(cluster: FakeCluster, node: FakeNode, over: Partial<EngineConfig> = {}): EngineConfig {
  return {
    clusterId: cluster.id,
    namespace: NAMESPACE,
    nodeName: node.name,
    podName: `gateway-${node.name}`,
    cableDriver: 'vxlan',
    driverChange: 'together',
    clusterCidrs: [cluster.pods],
    serviceCidrs: [cluster.services],
    globalCidrs: [],
    natEnabled: false,
    preferredServer: false,
    tunnelPort: 4500,
    ipsec: { forceEncaps: false, debug: false },
    psk: '',
    publicIp: undefined,
    interfaceName: undefined,
    stateDir: node.stateDir,
    healthCheck: { enabled: true, intervalMs: 1000, maxPacketLossCount: 5 },
    leadership: { leaseDurationMs: 5000, renewDeadlineMs: 4000, retryPeriodMs: 1000 },
    beatIntervalMs: 100,
    broker: undefined,
    uninstall: false,
    ...over,
  };
}

export interface RunningEngine {
  /** As SIGTERM does. */
  stop(): Promise<void>;
}

/** A running engine on a node of a cluster. */
export function startEngine(
  world: World,
  cluster: FakeCluster,
  node: FakeNode,
  over: Partial<EngineDependencies> = {},
): RunningEngine {
  const { clock } = world;
  const client = over.client ?? cluster.kube;
  const logger = over.logger ?? silentLogger;
  const scope = { namespace: NAMESPACE, logger, clock };
  const leases = createStore<Lease>(client, RESOURCES.leases, scope);
  let rules: ElectionRules = { mayTakeOver: () => false, nextTransitions: transitionsAfter };
  const elector = createLeaseElector({
    client,
    namespace: NAMESPACE,
    name: 'submariner-gateway-lock',
    identity: `${node.name}-submariner-gateway`,
    logger,
    store: leases,
    clock,
    mayTakeOver: (lease) => rules.mayTakeOver(lease),
    nextTransitions: (seen) => rules.nextTransitions(seen),
  });
  const stop = new AbortController();
  let number = BigInt(node.ip.replaceAll('.', '')) << 20n;
  const dependencies: EngineDependencies = {
    config: engineConfig(cluster, node),
    version: 'test',
    client,
    stores: {
      endpoints: createStore<KubeObject>(client, RESOURCES.endpoints, scope),
      gateways: createStore<Gateway & KubeObject>(client, RESOURCES.gateways, scope),
      nodes: createStore<Node>(client, RESOURCES.nodes, {
        logger,
        clock,
        fieldSelector: `metadata.name=${node.name}`,
      }),
    },
    elector,
    mirror: createMirror({
      clusterId: cluster.id,
      local: { client, namespace: NAMESPACE },
      broker: { client: world.broker, namespace: BROKER },
      mayWrite: () => elector.confirmed,
      logger,
      clock,
    }),
    createDriver: (_at, name) => world.driver(node, name),
    watchKernel: async () => undefined,
    facts: {
      addresses: async () => [
        { link: 'lo', address: '127.0.0.1' },
        { link: 'eth0', address: node.ip },
        { link: 'cni0', address: node.cniAddress },
      ],
      sourceAddress: async () => node.ip,
    },
    publicIp: { findService: async () => undefined, lookup: async (host) => [host] },
    ping: world.ping(node),
    openSocket: (port) => world.open(node, port),
    randomNumber: () => (number += 1n),
    randomBytes: (count) => {
      const bytes = Buffer.alloc(count);
      bytes.writeBigUInt64BE((number += 1n));
      return bytes;
    },
    events: new EventRecorder({ client, logger, clock, component: 'submariner-gateway', host: node.name }),
    onElection: (decided) => {
      rules = decided;
    },
    memory: new DecisionMemory(node.stateDir, logger),
    clock,
    logger,
    ...over,
  };
  const ended = new AbortController();
  const engine = runEngine(dependencies, stop.signal).finally(() => ended.abort());
  const done = Promise.all([leases.run(ended.signal), engine]);
  return {
    stop: async () => {
      stop.abort();
      let ended = false;
      void done.finally(() => (ended = true));
      await world.until('the engine ends', () => ended);
      await done;
    },
  };
}
