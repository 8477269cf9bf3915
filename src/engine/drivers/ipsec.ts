import { GATEWAY_SLOTS } from '../../api/gateways.ts';
import { probeKernelEsp, type EspSupport } from '../../host/esp.ts';
import { observeFirstHop, observeUnderlay } from '../../host/underlay.ts';
import type { ViciClient } from '../../host/vici/client.ts';
import { IPSEC_CABLE } from '../../net/ownership.ts';
import { EMPTY_STATE } from '../../net/state.ts';
import { selfRoutingProblem, type Exit } from './cable-routes.ts';
import type { DriverDependencies } from './dependencies.ts';
import type { CableDriver, DesiredCables, ObservedCable } from './driver.ts';
import { runAll } from './failures.ts';
import { desiredIpsecNetwork, type EspPlace } from './ipsec-network.ts';
import { IpsecSlot } from './ipsec-slot.ts';
import { retireOtherDrivers } from './leftovers.ts';
import { LookTimer } from './look-timer.ts';
import { syncNetwork } from './network-sync.ts';
import { portsOfSlots, slotsFrom, slotsOf } from './slots.ts';

/** Bytes that IPv4, UDP, ESP with AES-GCM, padding and a second look at IPv6 leave room for. */
const ESP_OVERHEAD_BYTES = 100;

/**
 * Cables as IPsec tunnels (IKEv2, PSK) made by strongSwan's charon, one charon a slot; speaks with upstream's
 * `libreswan` driver. What the charons have is asked for; memory holds only which cables cannot be made.
 */
export class IpsecDriver implements CableDriver {
  readonly name = 'libreswan';
  readonly #dependencies: DriverDependencies;
  readonly #timer = new LookTimer();
  readonly #slots: readonly [IpsecSlot, ...IpsecSlot[]];
  #support: EspSupport | undefined;
  #problems: ReadonlyMap<string, string> = new Map();

  constructor(dependencies: DriverDependencies) {
    this.#dependencies = dependencies;
    const shared = { timer: this.#timer, esp: async () => this.#esp() };
    const further = Array.from(
      { length: GATEWAY_SLOTS - 1 },
      (_, index) => new IpsecSlot(dependencies, index + 1, shared),
    );
    this.#slots = [new IpsecSlot(dependencies, 0, shared), ...further];
  }

  get description(): string {
    if (this.#support === undefined) return 'IPsec, ESP not looked for yet';
    const { kernel, reason } = this.#support;
    return `IPsec, ${kernel ? 'kernel ESP' : `userland ESP (kernel-libipsec; kernel: ${reason})`}`;
  }

  /** One with ESP of the kernel: its policies hold for the whole namespace, and no two can have the same selectors. */
  get slots(): number {
    return this.#support?.kernel === false ? slotsFrom(this.#dependencies.udpPort) : 1;
  }

  async start(signal: AbortSignal): Promise<void> {
    const { runner, privateIp } = this.#dependencies;
    await retireOtherDrivers(this.#dependencies, { links: IPSEC_CABLE.links, daemon: 'charon' }, signal);
    await observeUnderlay(runner, privateIp, signal);
    await this.#slots[0].ensure(signal);
  }

  async backendConfig(): Promise<Record<string, string>> {
    return portsOfSlots(this.#dependencies.udpPort, this.slots);
  }

  async sync(desired: DesiredCables, signal: AbortSignal): Promise<void> {
    const { kernel } = await this.#esp();
    const possible = this.#withoutProblems(desired, kernel);
    const bySlot = slotsOf(possible.cables);
    const wanted = this.#slots.filter(({ slot }) => bySlot.has(slot));
    const idle = this.#slots.filter(({ slot, present }) => present && !bySlot.has(slot));
    const clients = new Map<IpsecSlot, ViciClient>();
    await runAll([
      ...wanted.map((slot) => async () => {
        clients.set(slot, await slot.ensure(signal));
      }),
      async () => {
        const place = await this.#place(possible, signal);
        await syncNetwork(
          this.#dependencies,
          desiredIpsecNetwork(possible, place, this.#dependencies.privateIp),
          signal,
        );
      },
      ...wanted.map((slot) => async () => {
        const client = clients.get(slot);
        if (client !== undefined) await slot.syncTunnels(client, bySlot.get(slot.slot) ?? []);
      }),
      // When no route leads into its link any more.
      ...idle.map((slot) => () => slot.stop()),
    ]);
  }

  async connections(): Promise<readonly ObservedCable[]> {
    const problems = [...this.#problems].map(([cableName, message]): ObservedCable => ({
      cableName,
      status: 'error',
      message,
    }));
    const observed = await Promise.all(this.#slots.map((slot) => slot.connections()));
    return [...observed.flat(), ...problems];
  }

  onChange(listener: () => void): void {
    for (const slot of this.#slots) slot.onChange(listener);
    this.#timer.onDue(listener);
  }

  async cleanup(): Promise<void> {
    this.#timer.stop();
    for (const slot of this.#slots) await slot.stop();
    await syncNetwork(this.#dependencies, EMPTY_STATE);
  }

  /** Found out once: it does not change while the machine runs. */
  async #esp(): Promise<EspSupport> {
    this.#support ??= await probeKernelEsp(this.#dependencies.runner);
    return this.#support;
  }

  /** The cables that can be made; with ESP of the kernel one charon holds them all. */
  #withoutProblems(desired: DesiredCables, oneSlot: boolean): DesiredCables {
    const problems = new Map<string, string>();
    for (const cable of desired.cables) {
      const problem = selfRoutingProblem(cable);
      if (problem !== undefined) problems.set(cable.name, problem);
    }
    this.#problems = problems;
    const cables = desired.cables.filter((cable) => !problems.has(cable.name));
    return { ...desired, cables: oneSlot ? cables.map((cable) => ({ ...cable, slot: 0 })) : cables };
  }

  async #place(desired: DesiredCables, signal: AbortSignal): Promise<EspPlace> {
    const { runner, privateIp } = this.#dependencies;
    if (!(await this.#esp()).kernel) {
      const underlay = await observeUnderlay(runner, privateIp, signal);
      const known = this.#slots.map(({ slot, link }) => [slot, link] as const);
      const links = new Map(known.filter((pair): pair is readonly [number, string] => pair[1] !== undefined));
      return { place: 'userland', links, mtuBytes: underlay.mtuBytes - ESP_OVERHEAD_BYTES };
    }
    const firstHops = new Map<string, Exit>();
    for (const { usingIp } of desired.cables) {
      const hop = await observeFirstHop(runner, usingIp, signal);
      if (hop !== undefined) firstHops.set(usingIp, hop);
    }
    return { place: 'kernel', firstHops };
  }
}
