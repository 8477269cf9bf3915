import { withNext } from '../api/driverchange.ts';
import type { Endpoint, EndpointSpec } from '../api/types.ts';
import type { KubeObject } from '../kube/client.ts';
import type { Node } from '../kube/objects.ts';
import { ExpectedError, messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import type { EngineConfig } from './config.ts';
import type { CableDriver } from './drivers/driver.ts';
import type { DriverChoice } from './driverchoice.ts';
import { DriverSeat, type DriverSeatOptions } from './driverseat.ts';
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

export interface LocalGatewayOptions extends DriverSeatOptions {
  readonly config: EngineConfig;
  readonly facts: NodeFacts;
  readonly publicIp: PublicIpSources;
  readonly choice: Pick<DriverChoice, 'name' | 'next'>;
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

/** What is known of the node, whatever its driver. */
interface NodeKnown {
  readonly facts: Omit<LocalFacts, 'driverConfig' | 'backend'>;
  readonly failures: readonly string[];
}

const MAX_ROUTES_ASKED = 8;

/** Works out what this node is as a gateway, and keeps the driver that belongs to it. */
export class LocalObserver {
  readonly #options: LocalGatewayOptions;
  readonly #seat: DriverSeat;
  #known: NodeKnown | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #toldUnknown = '';
  current: LocalGateway | undefined;

  constructor(options: LocalGatewayOptions) {
    this.#options = options;
    this.#seat = new DriverSeat(options);
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
      const { running } = this.#seat;
      if (running !== undefined && running !== this.#options.choice.name) await this.#withDriver(signal);
    });
  }

  /** For what is not urgent when the driver was changed. */
  async tidy(): Promise<void> {
    await this.#inTurn(async () => this.#seat.tidy());
  }

  /** One at a time: two loops look at the driver. */
  async #inTurn(run: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(run);
    this.#turn = turn.catch(() => undefined);
    await turn;
  }

  async #withDriver(signal: AbortSignal): Promise<void> {
    if (this.#known === undefined) return;
    const { node, cniAddress, privateIp } = this.#known.facts;
    const { name, next } = this.#options.choice;
    const at = { privateIp, udpPort: node.udpPort };
    try {
      const driver = await this.#seat.take(name, at, signal);
      this.#working(driver, await driver.backendConfig());
      if (next === undefined) return;
      await this.#seat.prepare(next, at, signal);
      this.#working(driver, await driver.backendConfig());
    } catch (error) {
      const failure = `cable driver ${name} does not work on this node: ${messageOf(error)}`;
      const spec = localEndpointSpec({ ...this.#known.facts, backend: name, driverConfig: {} });
      const failures = [failure, ...this.#known.failures];
      this.current = { spec, node, driver: this.#seat.driver, ready: false, cniAddress, failures };
      throw error;
    }
  }

  #working(driver: CableDriver, driverConfig: Readonly<Record<string, string>>): void {
    if (this.#known === undefined) return;
    const { facts, failures } = this.#known;
    const { node, cniAddress } = facts;
    const { next: wanted } = this.#options.choice;
    const { next, problem } = this.#seat;
    const now = localEndpointSpec({ ...facts, backend: driver.name, driverConfig });
    const prepared = wanted !== undefined && next?.backend === wanted;
    const spec = prepared ? withNext(now, next) : now;
    const obstacle =
      wanted === undefined || problem === undefined
        ? []
        : [`cable driver ${wanted}, to which the clusters are to change, does not work on this node: ${problem}`];
    this.current = { spec, node, driver, ready: true, cniAddress, failures: [...failures, ...obstacle] };
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
