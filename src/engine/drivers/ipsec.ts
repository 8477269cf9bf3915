import { Charon, LIBIPSEC_LINK } from '../../host/charon.ts';
import { observeFirstHop, observeUnderlay } from '../../host/underlay.ts';
import type { ViciClient } from '../../host/vici/client.ts';
import { EMPTY_STATE } from '../../net/state.ts';
import { selfRoutingProblem, type Exit } from './cable-routes.ts';
import type { DriverDependencies } from './dependencies.ts';
import type { CableDriver, DesiredCables, ObservedCable } from './driver.ts';
import { runAll } from './failures.ts';
import { ipsecConnections, loadMessage, type Encapsulation } from './ipsec-connections.ts';
import { desiredIpsecNetwork, type EspPlace } from './ipsec-network.ts';
import { observedCables, parseConnections, parseSas } from './ipsec-observation.ts';
import { planIpsec, type IpsecPlan } from './ipsec-plan.ts';
import { syncNetwork } from './network-sync.ts';
import { LookTimer } from './look-timer.ts';
import { Pacer } from './pacer.ts';
import { charonFolder, retireOtherDrivers } from './leftovers.ts';

/** Bytes that IPv4, UDP, ESP with AES-GCM, padding and a second look at IPv6 leave room for. */
const ESP_OVERHEAD_BYTES = 100;
const DEFAULT_DPD_SECONDS = 5;
/** How long the side that does not initiate at once waits for its peer. */
const LATE_MS = 5000;

/**
 * Cables as IPsec tunnels (IKEv2, PSK) made by strongSwan's charon; speaks with upstream's `libreswan` driver.
 *
 * INVARIANTS: what charon has is asked for at every sync and every look; memory holds only when to try
 * again and which cables cannot be made.
 */
export class IpsecDriver implements CableDriver {
  readonly name = 'libreswan';
  readonly slots = 1;
  readonly #dependencies: DriverDependencies;
  readonly #charon: Charon;
  readonly #timer = new LookTimer();
  readonly #pacer = new Pacer();
  readonly #dpdDelaySeconds: number;
  #problems: ReadonlyMap<string, string> = new Map();
  #kind = 'ESP not looked for yet';

  constructor(dependencies: DriverDependencies) {
    this.#dependencies = dependencies;
    this.#dpdDelaySeconds = dependencies.dpdDelaySeconds ?? DEFAULT_DPD_SECONDS;
    this.#charon = new Charon({
      ...dependencies,
      folder: charonFolder(dependencies.stateDir, 0),
      debug: dependencies.ipsec?.debug === true,
      retransmitTimeoutSeconds: Math.max(0.5, this.#dpdDelaySeconds / 4),
      retransmitTries: 3,
    });
  }

  get description(): string {
    return `IPsec, ${this.#kind}`;
  }

  async start(signal: AbortSignal): Promise<void> {
    const { runner, privateIp } = this.#dependencies;
    await retireOtherDrivers(this.#dependencies, { links: [LIBIPSEC_LINK], daemon: 'charon' }, signal);
    await observeUnderlay(runner, privateIp, signal);
    await this.#place([], signal);
    await this.#charon.ensure(signal);
  }

  async backendConfig(): Promise<Record<string, string>> {
    return {};
  }

  async sync(desired: DesiredCables, signal: AbortSignal): Promise<void> {
    const possible = this.#withoutProblems(desired);
    let client: ViciClient | undefined;
    await runAll([
      async () => {
        client = await this.#charon.ensure(signal);
      },
      async () => {
        const addresses = possible.cables.map((cable) => cable.usingIp);
        const network = desiredIpsecNetwork(possible, await this.#place(addresses, signal));
        await syncNetwork(this.#dependencies, network, signal);
      },
      async () => {
        if (client !== undefined) await this.#syncTunnels(client, possible);
      },
    ]);
  }

  async connections(): Promise<readonly ObservedCable[]> {
    const problems = [...this.#problems].map(([cableName, message]): ObservedCable => ({
      cableName,
      status: 'error',
      message,
    }));
    const client = await this.#charon.attach();
    if (client === undefined) return problems;
    const { loaded, sas } = await observeCharon(client);
    return [...observedCables(loaded, sas, this.#charon.troubles()), ...problems];
  }

  onChange(listener: () => void): void {
    this.#charon.onChange(listener);
    this.#timer.onDue(listener);
  }

  async cleanup(): Promise<void> {
    this.#timer.stop();
    await this.#charon.stop();
    await syncNetwork(this.#dependencies, EMPTY_STATE);
  }

  #withoutProblems(desired: DesiredCables): DesiredCables {
    const problems = new Map<string, string>();
    for (const cable of desired.cables) {
      const problem = selfRoutingProblem(cable);
      if (problem !== undefined) problems.set(cable.name, problem);
    }
    this.#problems = problems;
    return { ...desired, cables: desired.cables.filter((cable) => !problems.has(cable.name)) };
  }

  async #place(addresses: readonly string[], signal: AbortSignal): Promise<EspPlace> {
    const { runner, privateIp } = this.#dependencies;
    const { kernel, reason } = await this.#charon.esp();
    this.#kind = kernel ? 'kernel ESP' : `userland ESP (kernel-libipsec; kernel: ${reason})`;
    if (!kernel) {
      const underlay = await observeUnderlay(runner, privateIp, signal);
      return { place: 'userland', link: LIBIPSEC_LINK, mtuBytes: underlay.mtuBytes - ESP_OVERHEAD_BYTES };
    }
    const firstHops = new Map<string, Exit>();
    for (const address of addresses) {
      const hop = await observeFirstHop(runner, address, signal);
      if (hop !== undefined) firstHops.set(address, hop);
    }
    return { place: 'kernel', firstHops };
  }

  /** Userland ESP knows no other way than in UDP. */
  async #encapsulation(): Promise<Encapsulation> {
    const { kernel } = await this.#charon.esp();
    return !kernel || this.#dependencies.ipsec?.forceEncaps === true ? 'always' : 'with NAT';
  }

  async #syncTunnels(client: ViciClient, desired: DesiredCables): Promise<void> {
    await client.command('load-shared', { id: 'submariner', type: 'IKE', data: this.#dependencies.psk, owners: [] });
    const { loaded, sas } = await observeCharon(client);
    const encapsulation = await this.#encapsulation();
    const wanted = desired.cables.flatMap((cable) => ipsecConnections(cable, encapsulation));
    const plan = planIpsec(wanted, loaded, sas, this.#dpdDelaySeconds);
    const due = this.#dueChildren(plan);
    await runAll([
      ...plan.unload.map((name) => () => tell(client, 'unload-conn', { name })),
      ...plan.terminateIke.map((id) => () => terminate(client, { 'ike-id': id })),
      ...plan.terminateChild.map((id) => () => terminate(client, { 'child-id': id })),
      ...plan.load.map((connection) => () => tell(client, 'load-conn', loadMessage(connection, this.#dpdDelaySeconds))),
      ...due.map(({ connection, child }) => () => {
        this.#dependencies.logger.info('initiating', { child: child.name });
        return tell(client, 'initiate', { ike: connection.name, child: child.name, timeout: '-1' });
      }),
    ]);
  }

  /** Children to initiate now: those that are this side's to begin with, the others after the peer had its time. */
  #dueChildren(plan: IpsecPlan): IpsecPlan['initiate'] {
    const nowMs = performance.now();
    const connections = new Map(
      plan.initiate
        .filter(({ connection }) => connection.initiates !== 'never')
        .map(({ connection }) => [connection.name, connection]),
    );
    this.#pacer.keepOnly(new Set(connections.keys()));
    const due = new Set<string>();
    for (const [name, { initiates }] of connections) {
      if (this.#pacer.due(name, nowMs, initiates === 'late' ? LATE_MS : 0)) due.add(name);
    }
    const waitMs = this.#pacer.waitMs(nowMs);
    if (waitMs !== undefined) this.#timer.within(waitMs);
    return plan.initiate.filter(({ connection }) => due.has(connection.name));
  }
}

async function observeCharon(client: ViciClient): Promise<{
  readonly loaded: ReturnType<typeof parseConnections>;
  readonly sas: ReturnType<typeof parseSas>;
}> {
  const loaded = parseConnections(await client.stream('list-conns', 'list-conn'));
  return { loaded, sas: parseSas(await client.stream('list-sas', 'list-sa')) };
}

async function tell(client: ViciClient, command: string, message: Parameters<ViciClient['command']>[1]): Promise<void> {
  await client.command(command, message);
}

/** Without waiting for the peer's consent; what is already gone counts as ended. */
async function terminate(client: ViciClient, target: Parameters<ViciClient['command']>[1]): Promise<void> {
  await client.request('terminate', { ...target, timeout: '-1', force: 'yes' });
}
