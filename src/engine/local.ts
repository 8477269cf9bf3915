import { withNext } from '../api/driverchange.ts';
import type { Endpoint, EndpointSpec } from '../api/types.ts';
import type { KubeObject } from '../kube/client.ts';
import type { Node } from '../kube/objects.ts';
import { ExpectedError, messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import type { CableDriverName, EngineConfig } from './config.ts';
import type { CableDriver } from './drivers/driver.ts';
import type { DriverChoice } from './driverchoice.ts';
import type { FormerDriver } from './formerdriver.ts';
import {
  chooseCniAddress,
  choosePrivateIp,
  localEndpointSpec,
  type LinkAddress,
  type LocalFacts,
} from './localendpoint.ts';
import { parseNodeConfig, type NodeConfig } from './nodeconfig.ts';
import { resolvePublicIp, type PublicIpSources } from './publicip.ts';

/** What is asked of the node. */
export interface NodeFacts {
  /** IPv4 addresses of this node. */
  addresses(signal: AbortSignal): Promise<readonly LinkAddress[]>;
  /** The address the kernel would send from. */
  sourceAddress(target: string): Promise<string | undefined>;
}

export interface LocalGatewayOptions {
  readonly config: EngineConfig;
  readonly facts: NodeFacts;
  readonly publicIp: PublicIpSources;
  readonly createDriver: (
    at: { readonly privateIp: string; readonly udpPort: number },
    name: CableDriverName,
  ) => CableDriver;
  readonly choice: Pick<DriverChoice, 'name' | 'next'>;
  readonly former?: FormerDriver | undefined;
  readonly onDriver: (driver: CableDriver) => void;
  readonly logger: Logger;
}

/** What the outside contributes to the local Endpoint. */
export interface LocalInputs {
  readonly node: Node | undefined;
  readonly endpoints: readonly KubeObject[];
}

/** The gateway on this node, as far as it could be made out. */
export interface LocalGateway {
  readonly spec: EndpointSpec;
  readonly node: NodeConfig;
  readonly driver: CableDriver | undefined;
  /** The driver works: the node can be a gateway. */
  readonly ready: boolean;
  readonly cniAddress: string | undefined;
  /** What is wrong, for the Gateway status. */
  readonly failures: readonly string[];
}

interface DriverSlot {
  readonly key: string;
  readonly name: CableDriverName;
  readonly driver: CableDriver;
  started: boolean;
}

/** What is known of the node, whatever its driver. */
interface NodeKnown {
  readonly facts: Omit<LocalFacts, 'driverConfig' | 'backend'>;
  readonly failures: readonly string[];
}

const MAX_ROUTES_ASKED = 8;

/** Works out what this node is as a gateway, and keeps the driver that belongs to it. */
export class LocalObserver {
  readonly #options: LocalGatewayOptions;
  #slot: DriverSlot | undefined;
  /** A driver that was not started yet: who knows it before can tell others what they need. */
  #prepared: DriverSlot | undefined;
  #known: NodeKnown | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #toldUnknown = '';
  current: LocalGateway | undefined;

  constructor(options: LocalGatewayOptions) {
    this.#options = options;
  }

  /** Looks at everything anew; rejects when the driver does not start or no address is found, `current` says why too. */
  async refresh({ node, endpoints }: LocalInputs, signal: AbortSignal): Promise<void> {
    const { config, facts: host, publicIp: sources } = this.#options;
    const nodeConfig = parseNodeConfig(node?.metadata ?? {}, { udpPort: config.tunnelPort });
    this.#tellUnknown(nodeConfig);
    const addresses = await host.addresses(signal);
    const choice = choosePrivateIp({
      interfaceName: config.interfaceName,
      addresses,
      published: publishedIp(endpoints, config),
      routeSources: await this.#routeSources(endpoints),
      nodeIp: internalIp(node),
    });
    const resolver = nodeConfig.publicIp ?? config.publicIp;
    const publicIp = await resolvePublicIp(resolver, sources);
    const cniAddress = chooseCniAddress(addresses, config.clusterCidrs);
    const facts = {
      config,
      node: nodeConfig,
      cniAddress,
      publicIp: { ...publicIp, ...(resolver === undefined ? {} : { resolver }) },
    };
    const failures = describeFailures(facts, publicIp.problem);
    if ('ip' in choice) {
      this.#known = { facts: { ...facts, privateIp: choice.ip }, failures };
      await this.#inTurn(async () => this.#withDriver(signal));
      return;
    }
    const spec = localEndpointSpec({ ...facts, backend: this.#options.choice.name, privateIp: '', driverConfig: {} });
    const all = [choice.problem, ...failures];
    this.current = { spec, node: nodeConfig, driver: undefined, ready: false, cniAddress, failures: all };
    throw new ExpectedError(choice.problem);
  }

  /**
   * Changes to the driver that is chosen now when another one runs. Routes and guard of the former one stay until the new
   * one replaces them; until then nothing passes.
   */
  async follow(signal: AbortSignal): Promise<void> {
    await this.#inTurn(async () => {
      const running = this.#slot?.name;
      if (running !== undefined && running !== this.#options.choice.name) await this.#withDriver(signal);
    });
  }

  /** One at a time: two loops look at the driver. */
  async #inTurn(run: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(run);
    this.#turn = turn.catch(() => undefined);
    await turn;
  }

  async #withDriver(signal: AbortSignal): Promise<void> {
    if (this.#known === undefined) return;
    const { facts, failures } = this.#known;
    const { node, cniAddress, privateIp } = facts;
    const { name: backend, next } = this.#options.choice;
    let driver: CableDriver | undefined;
    try {
      const slot = await this.#driverFor(backend, privateIp, node.udpPort);
      driver = slot.driver;
      if (!slot.started) await driver.start(signal);
      slot.started = true;
      const now = localEndpointSpec({ ...facts, backend, driverConfig: await driver.backendConfig() });
      const spec = next === undefined ? now : withNext(now, { backend: next, config: await this.#configOf(next) });
      this.current = { spec, node, driver, ready: true, cniAddress, failures };
    } catch (error) {
      const failure = `cable driver ${backend} does not work on this node: ${messageOf(error)}`;
      const spec = localEndpointSpec({ ...facts, backend, driverConfig: {} });
      this.current = { spec, node, driver, ready: false, cniAddress, failures: [failure, ...failures] };
      throw error;
    }
  }

  async #driverFor(name: CableDriverName, privateIp: string, udpPort: number): Promise<DriverSlot> {
    const key = keyOf(name, privateIp, udpPort);
    const { former } = this.#options;
    const before = this.#slot;
    if (before?.key === key) return before;
    this.#slot = undefined;
    if (before !== undefined && before.name !== name) {
      await before.driver.release();
      former?.note(name);
    } else await former?.retire(name);
    this.#slot = this.#prepared?.key === key ? this.#prepared : this.#create(name, privateIp, udpPort);
    this.#prepared = undefined;
    this.#options.onDriver(this.#slot.driver);
    return this.#slot;
  }

  #create(name: CableDriverName, privateIp: string, udpPort: number): DriverSlot {
    const driver = this.#options.createDriver({ privateIp, udpPort }, name);
    return { key: keyOf(name, privateIp, udpPort), name, driver, started: false };
  }

  /** What peers must know of a driver that does not run yet. */
  async #configOf(name: CableDriverName): Promise<Readonly<Record<string, string>>> {
    const { privateIp = '', node } = this.#known?.facts ?? {};
    const udpPort = node?.udpPort ?? 0;
    if (this.#prepared?.key !== keyOf(name, privateIp, udpPort))
      this.#prepared = this.#create(name, privateIp, udpPort);
    return this.#prepared.driver.backendConfig();
  }

  #tellUnknown({ unknownKeys }: NodeConfig): void {
    const keys = unknownKeys.join(', ');
    if (keys !== '' && keys !== this.#toldUnknown)
      this.#options.logger.warn('the node has gateway settings that mean nothing', { keys });
    this.#toldUnknown = keys;
  }

  /** Towards other gateways first, then the broker. */
  async #routeSources(endpoints: readonly KubeObject[]): Promise<readonly string[]> {
    const { config, facts, publicIp } = this.#options;
    const remote = (endpoints as readonly Partial<Endpoint>[])
      .filter(({ spec }) => spec !== undefined && spec.cluster_id !== config.clusterId)
      .flatMap(({ spec }) => [spec?.public_ip, spec?.private_ip])
      .filter((ip) => ip !== undefined && ip !== '')
      .slice(0, MAX_ROUTES_ASKED);
    const broker = config.broker === undefined ? [] : await hostAddresses(config.broker.server, publicIp);
    const sources = await Promise.all([...remote, ...broker].map((target) => facts.sourceAddress(target as string)));
    return sources.filter((source) => source !== undefined);
  }
}

function keyOf(name: CableDriverName, privateIp: string, udpPort: number): string {
  return `${name} ${privateIp}:${udpPort}`;
}

function describeFailures(
  { config, node, cniAddress }: Pick<LocalFacts, 'config' | 'node' | 'cniAddress'>,
  publicIpProblem: string | undefined,
): readonly string[] {
  const failures = [...node.mistakes];
  if (publicIpProblem !== undefined) failures.push(publicIpProblem);
  if (cniAddress === undefined && config.healthCheck.enabled) {
    const network = config.clusterCidrs.join(', ');
    failures.push(
      `this node has no address inside the pod network (${network}), so that other clusters cannot probe it: is the CNI up here?`,
    );
  }
  return failures;
}

function internalIp(node: Node | undefined): string | undefined {
  return node?.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address;
}

function publishedIp(endpoints: readonly KubeObject[], config: EngineConfig): string | undefined {
  const own = (endpoints as readonly Partial<Endpoint>[]).find(
    ({ spec }) => spec?.cluster_id === config.clusterId && spec.hostname === config.nodeName,
  );
  return own?.spec?.private_ip || undefined;
}

/** Addresses of the host of a URL; none when its name does not resolve now. */
async function hostAddresses(server: string, sources: PublicIpSources): Promise<readonly string[]> {
  const host = new URL(server).hostname.replaceAll(/^\[|\]$/g, '');
  try {
    return await sources.lookup(host);
  } catch {
    return [];
  }
}
