import { OPERATOR_NAMESPACE } from '../../src/api/names.ts';
import type { Gateway } from '../../src/api/types.ts';
import type { Pod } from '../../src/kube/objects.ts';
import { isPodReady } from '../../src/sandbox/controllers/pods.ts';
import { isNodeAlive } from '../../src/sandbox/fabric/fabric.ts';
import { sandboxFiles, type SandboxFiles } from '../../src/sandbox/lifecycle/state.ts';
import { clusterOf, planSandbox, type ClusterPlan, type NodePlan, type SandboxPlan } from '../../src/sandbox/plan.ts';
import { TestSandbox } from '../e2e/subctl.ts';
import { pause, until } from './command.ts';
import { Flow, type PodEnd } from './flow.ts';
import { nextHop, readWire, watchWire, wireSince, type WireFlow } from './wire.ts';

/** The drivers as the command line names them. */
export const DRIVERS = ['vxlan', 'ipsec', 'wireguard'] as const;
export type Driver = (typeof DRIVERS)[number];

/** The gateway that carries, by cluster. */
export type Leaders = Readonly<Record<string, string>>;

const GATEWAYS = 2;
const SHARE = 0.8;
const WINDOW_MS = 400;

type Row = readonly [node: string, ...hops: readonly string[]];

/** A sandbox of clusters with two gateways and one other node each, joined with one driver. The last cluster has the broker. */
export class FaultWorld {
  readonly driver: Driver;
  readonly plan: SandboxPlan;
  readonly files: SandboxFiles;
  readonly #sandbox = new TestSandbox();
  #pods: readonly PodEnd[] = [];
  #mendedMs = performance.now();

  constructor(driver: Driver, clusters: readonly string[] = ['east', 'west', 'north']) {
    this.driver = driver;
    const { name, root } = this.#sandbox;
    this.plan = planSandbox({ name, clusters, nodes: 3, gateways: GATEWAYS });
    this.files = sandboxFiles(`${root}/state`, name);
  }

  /** A world that is up; nothing is left of it when that fails. */
  static async up(driver: Driver, clusters?: readonly string[]): Promise<FaultWorld> {
    const world = new FaultWorld(driver, clusters);
    try {
      await world.start();
    } catch (error) {
      await world.down();
      throw error;
    }
    return world;
  }

  /** Starts and joins everything; resolves when every pair of clusters is connected. */
  async start(): Promise<void> {
    const clusters = this.plan.clusters.map(({ name }) => name);
    await this.#sandbox.sandbox('up', '--clusters', clusters.join(','), '--nodes', '3', '--gateways', String(GATEWAYS));
    await this.subctl('deploy-broker', '--context', clusters.at(-1) ?? '');
    for (const name of clusters) {
      const identity = ['--context', name, '--clusterid', name, '--gateways', String(GATEWAYS)];
      await this.subctl('join', 'broker-info.subm', ...identity, '--cable-driver', this.driver);
    }
    await this.subctl('show', 'connections', '--wait', '--timeout', '2m');
    await watchWire(this.plan);
    this.#pods = clusters.flatMap((cluster) => this.#echoPods(cluster));
  }

  /** Removes everything, however far it has got. */
  down(): Promise<void> {
    return this.#sandbox.dispose();
  }

  /** The kubectl of an administrator. */
  kubectl(...args: readonly string[]): string {
    return this.#sandbox.kubectl(...args);
  }

  /** Runs `subctl` with the sandbox's kubeconfig. */
  subctl(...args: readonly string[]): Promise<string> {
    return this.#sandbox.ok(...args, '--kubeconfig', this.files.kubeconfig);
  }

  /** `subctl sandbox fault …` */
  async fault(...args: readonly string[]): Promise<void> {
    await this.#sandbox.sandbox('fault', ...args);
  }

  /** To be told when what was broken has been mended. */
  mended(): void {
    this.#mendedMs = performance.now();
  }

  /** Waits until nothing has been broken for so long. */
  async wellFor(ms: number): Promise<void> {
    await pause(Math.max(0, this.#mendedMs + ms - performance.now()));
  }

  /** What a daemon of a node has logged. */
  async sandboxLog(cluster: string, node: string, daemon: string): Promise<string> {
    return this.#sandbox.sandbox('logs', cluster, node, daemon);
  }

  cluster(name: string): ClusterPlan {
    return clusterOf(this.plan, name);
  }

  /** The node of a cluster that is no gateway. */
  worker(cluster: string): string {
    return this.cluster(cluster).nodes.find(({ gateway }) => !gateway)?.name ?? '';
  }

  /** Nodes that can be gateways. */
  gateways(cluster: string): readonly string[] {
    return this.cluster(cluster)
      .nodes.filter(({ gateway }) => gateway)
      .map(({ name }) => name);
  }

  #echoPods(cluster: string): readonly PodEnd[] {
    const list = this.kubectl('--context', cluster, 'get', 'pods', '-l', 'app=echo', '-o', 'json');
    const { items } = JSON.parse(list) as { readonly items: readonly Pod[] };
    return items.map(({ metadata, spec, status }) => ({
      cluster,
      node: spec.nodeName ?? '',
      name: metadata.name ?? '',
      address: status?.podIP ?? '',
    }));
  }

  /** The pod echo on a node. A node that has been without power has another address for it. */
  #pod(node: string): PodEnd {
    const cluster = this.plan.clusters.find(({ nodes }) => nodes.some(({ name }) => name === node))?.name ?? '';
    this.#pods = [...this.#pods.filter((pod) => pod.cluster !== cluster), ...this.#echoPods(cluster)];
    const found = this.#pods.find((pod) => pod.node === node && pod.address !== '');
    if (found === undefined) throw new Error(`no pod echo runs on ${node}`);
    return found;
  }

  /** Starts traffic between the pods on two nodes. */
  flow(from: string, to: string): Flow {
    return new Flow(this.plan.name, this.files, this.#pod(from), this.#pod(to));
  }

  #living(without: readonly string[]): readonly { readonly cluster: ClusterPlan; readonly node: NodePlan }[] {
    return this.plan.clusters
      .flatMap((cluster) => cluster.nodes.map((node) => ({ cluster, node })))
      .filter(({ node }) => isNodeAlive(node) && !without.includes(node.name));
  }

  /** For each living node where it sends what is for the pods of each other cluster, as its kernel decides. */
  async hops(without: readonly string[] = []): Promise<readonly Row[]> {
    return Promise.all(
      this.#living(without).map(async ({ cluster, node }) => {
        const others = this.plan.clusters.filter((other) => other !== cluster);
        const addresses = others.map(({ podCidr }) => podCidr.replace(/\.0\.0\/16$/, '.3.77'));
        return [
          node.name,
          ...(await Promise.all(addresses.map((address) => nextHop(cluster, node, address)))),
        ] as const;
      }),
    );
  }

  /** The gateway that all living nodes of each cluster send to; undefined while they do not agree. */
  async agreement(without: readonly string[] = []): Promise<Leaders | undefined> {
    const rows = await this.hops(without);
    const leaders = this.plan.clusters.map(({ name }) => {
      const mine = rows.filter(([node]) => node.startsWith(`${name}-`)).flatMap(([, ...hops]) => hops);
      const [first] = mine;
      return [name, first !== undefined && mine.every((hop) => hop === first) ? first : ''] as const;
    });
    const isGood = leaders.every(([cluster, leader]) => this.gateways(cluster).includes(leader));
    return isGood ? Object.fromEntries(leaders) : undefined;
  }

  /** What gateways send one another right now, in a short while. */
  async wire(): Promise<readonly WireFlow[]> {
    const before = await readWire(this.plan);
    await pause(WINDOW_MS);
    return wireSince(before, await readWire(this.plan));
  }

  /** Resolves to the gateways when the nodes of every cluster agree and the traffic given goes through them, both ways. */
  async converged(
    flows: readonly Flow[],
    options: {
      readonly without?: readonly string[];
      readonly timeoutMs?: number;
      readonly holds?: (leaders: Leaders) => boolean;
    } = {},
  ): Promise<Leaders> {
    const { without = [], timeoutMs = 60_000, holds = () => true } = options;
    const pairs = flows.flatMap(({ from, to }) => [
      [from.cluster, to.cluster],
      [to.cluster, from.cluster],
    ]);
    const seen = await until(
      'all nodes send to one gateway, and the traffic goes through it both ways',
      async () => {
        const leaders = await this.agreement(without);
        if (leaders === undefined) return { leaders, hops: await this.hops(without), wire: [] };
        return { leaders, hops: [], wire: await this.wire() };
      },
      ({ leaders, wire }) =>
        leaders !== undefined &&
        holds(leaders) &&
        pairs.every(([from = '', to = '']) => goesThrough(wire, leaders, from, to)),
      timeoutMs,
    );
    return seen.leaders ?? {};
  }

  /** What the gateways of a cluster say of themselves. */
  #gatewayStatus(cluster: string): readonly Gateway[] {
    const words = ['get', 'gateways.submariner.io', '-n', OPERATOR_NAMESPACE, '-o', 'json'];
    return (JSON.parse(this.kubectl('--context', cluster, ...words)) as { readonly items: readonly Gateway[] }).items;
  }

  #unreadyPods(cluster: string): readonly string[] {
    const { items } = JSON.parse(this.kubectl('--context', cluster, 'get', 'pods', '-A', '-o', 'json')) as {
      readonly items: readonly Pod[];
    };
    return items.filter((pod) => !isPodReady(pod)).map(({ metadata }) => metadata.name ?? '');
  }

  /** Everything that is not well; [] when the world is healthy. */
  async troubles(): Promise<readonly string[]> {
    const leaders = await this.agreement();
    if (leaders === undefined) return [`nodes do not agree: ${JSON.stringify(await this.hops())}`];
    return this.plan.clusters.flatMap(({ name }) => {
      const gateways = this.#gatewayStatus(name);
      const active = gateways.filter(({ status }) => status?.haStatus === 'active');
      const leader = active.find(({ metadata }) => metadata.name === leaders[name]);
      const broken = (leader?.status?.connections ?? []).filter(({ status }) => status !== 'connected');
      const missing = this.plan.clusters.length - 1 - (leader?.status?.connections ?? []).length;
      return [
        ...this.#unreadyPods(name).map((pod) => `${pod} is not ready`),
        ...(active.length === 1 && leader !== undefined
          ? []
          : [
              `${active.map(({ metadata }) => metadata.name).join(' and ') || 'nobody'} is active in ${name}, nodes send to ${leaders[name]}`,
            ]),
        ...(gateways.length === GATEWAYS ? [] : [`${name} has ${gateways.length} Gateways`]),
        ...broken.map(({ endpoint, statusMessage }) => `${name} to ${endpoint.cluster_id}: ${statusMessage}`),
        ...(missing > 0 ? [`${name} lacks ${missing} connections`] : []),
      ];
    });
  }

  /** Resolves to the gateways when everything is well. */
  async settle(timeoutMs = 90_000): Promise<Leaders> {
    await until(
      'everything is well',
      () => this.troubles(),
      (troubles) => troubles.length === 0,
      timeoutMs,
      500,
    );
    return (await this.agreement()) ?? {};
  }

  /** What one looks at when something went wrong: the ends of all logs, or what is in them since a time (epoch). */
  async describe(sinceMs?: number): Promise<string> {
    const wanted = (log: string): readonly string[] => {
      const lines = log.trimEnd().split('\n');
      if (sinceMs === undefined) return lines.slice(-25);
      const first = lines.findIndex((line) => Date.parse(line.slice(0, 24)) >= sinceMs);
      return first < 0 ? [] : lines.slice(first);
    };
    const parts = [JSON.stringify(await this.hops().catch(String)), JSON.stringify(await this.wire().catch(String))];
    for (const { name, nodes } of this.plan.clusters) {
      parts.push(`--- Gateways of ${name}\n${await this.subctl('show', 'gateways', '--context', name).catch(String)}`);
      for (const node of nodes) {
        for (const daemon of node.gateway ? ['gateway', 'routeagent'] : ['routeagent']) {
          const log = await this.sandboxLog(name, node.name, daemon).catch(String);
          parts.push(`--- ${daemon} on ${node.name}\n${wanted(log).join('\n')}`);
        }
      }
    }
    return parts.join('\n');
  }
}

/** Whether most of what one cluster sends another goes from its gateway to the other's. */
function goesThrough(wire: readonly WireFlow[], leaders: Leaders, from: string, to: string): boolean {
  const between = wire.filter((flow) => flow.from.startsWith(`${from}-`) && flow.to.startsWith(`${to}-`));
  const total = between.reduce((sum, { packets }) => sum + packets, 0);
  const right = between.find((flow) => flow.from === leaders[from] && flow.to === leaders[to]);
  return total > 0 && (right?.packets ?? 0) >= SHARE * total;
}
