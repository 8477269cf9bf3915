import { GATEWAY_SLOTS } from '../../api/gateways.ts';
import { assertInstalled } from '../../host/charon-program.ts';
import { probeKernelEsp, type EspSupport } from '../../host/esp.ts';
import { observeUnderlay } from '../../host/underlay.ts';
import type { ViciClient } from '../../host/vici/client.ts';
import { IPSEC_CABLE } from '../../net/ownership.ts';
import { EMPTY_STATE } from '../../net/state.ts';
import { selfRoutingProblem } from './cable-routes.ts';
import type { DriverDependencies } from './dependencies.ts';
import type { CableDriver, DesiredCables, ObservedCable } from './driver.ts';
import { runAll, runAtOnce } from './failures.ts';
import { EarlyGuard } from './guard.ts';
import { desiredIpsecNetwork, ipsecGuard, type EspPlace } from './ipsec-network.ts';
import { IpsecSlot } from './ipsec-slot.ts';
import { retireOtherDrivers } from './leftovers.ts';
import { LookTimer } from './look-timer.ts';
import { syncNetwork } from './network-sync.ts';
import { portsOfSlots, slotsFrom, slotsOf } from './slots.ts';

/** Bytes that IPv4, UDP, ESP with AES-GCM, padding and a second look at IPv6 leave room for. */
const ESP_OVERHEAD_BYTES = 100;

/**
 * Cables as IPsec tunnels (IKEv2, PSK) made by strongSwan's charon, one charon a slot, whoever encrypts; speaks with
 * upstream's `libreswan` driver. What the charons have is asked for; memory holds only which cables cannot be made.
 */
export class IpsecDriver implements CableDriver {
  readonly name = 'libreswan';
  readonly slots: number;
  readonly #dependencies: DriverDependencies;
  readonly #timer = new LookTimer();
  readonly #guard: EarlyGuard;
  readonly #slots: readonly [IpsecSlot, ...IpsecSlot[]];
  #support: EspSupport | undefined;
  #problems: ReadonlyMap<string, string> = new Map();

  constructor(dependencies: DriverDependencies) {
    this.#dependencies = dependencies;
    this.#guard = new EarlyGuard(dependencies);
    this.slots = slotsFrom(dependencies.udpPort);
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

  async start(signal: AbortSignal, after?: 'release'): Promise<void> {
    const { runner, privateIp } = this.#dependencies;
    if (after === 'release') {
      for (const slot of this.#slots) slot.hasten();
      // Most gateways need both; the first sync ends the one without cables.
      await runAtOnce(this.#slots.map((slot) => async () => void (await slot.ensure(signal))));
      return;
    }
    await retireOtherDrivers(this.#dependencies, { links: IPSEC_CABLE.links, daemon: 'charon' }, signal);
    await observeUnderlay(runner, privateIp, signal);
    await this.#slots[0].ensure(signal);
  }

  /** Charon cannot start without the port; it is known that it could, and where ESP is to be. */
  async prepare(): Promise<readonly string[]> {
    assertInstalled();
    await this.#esp();
    return [];
  }

  async backendConfig(): Promise<Record<string, string>> {
    return portsOfSlots(this.#dependencies.udpPort, this.slots);
  }

  async sync(desired: DesiredCables, signal: AbortSignal): Promise<void> {
    const possible = this.#withoutProblems(desired);
    const bySlot = slotsOf(possible.cables);
    const wanted = this.#slots.filter(({ slot }) => bySlot.has(slot));
    const idle = this.#slots.filter(({ slot, present, hasty }) => present && !hasty && !bySlot.has(slot));
    const clients = new Map<IpsecSlot, ViciClient>();
    const ensure = wanted.map((slot) => async () => {
      clients.set(slot, await slot.ensure(signal));
    });
    await this.#guardFirst(possible, signal);
    await runAll([
      async () => runAtOnce(ensure),
      async () =>
        runAtOnce([
          () => this.#syncNetwork(possible, wanted, signal),
          ...wanted.map((slot) => async () => {
            const client = clients.get(slot);
            if (client !== undefined) await slot.syncTunnels(client, bySlot.get(slot.slot) ?? []);
          }),
        ]),
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

  async release(): Promise<() => Promise<void>> {
    this.#timer.stop();
    await runAtOnce(this.#slots.map((slot) => () => slot.kill()));
    return async () => runAll(this.#slots.map((slot) => () => slot.removeTraces()));
  }

  async cleanup(): Promise<void> {
    this.#timer.stop();
    for (const slot of this.#slots) await slot.stop();
    await syncNetwork(this.#dependencies, EMPTY_STATE);
  }

  async #guardFirst(possible: DesiredCables, signal: AbortSignal): Promise<void> {
    const { kernel } = await this.#esp();
    await this.#guard.widen(ipsecGuard(possible, kernel ? 'kernel' : 'userland'), signal);
  }

  async #syncNetwork(possible: DesiredCables, wanted: readonly IpsecSlot[], signal: AbortSignal): Promise<void> {
    const place = await this.#place(wanted, signal);
    await syncNetwork(this.#dependencies, desiredIpsecNetwork(possible, place, this.#dependencies.privateIp), signal);
  }

  /** Found out once: it does not change while the machine runs. */
  async #esp(): Promise<EspSupport> {
    this.#support ??= await probeKernelEsp(this.#dependencies.runner);
    return this.#support;
  }

  /** The cables that can be made. */
  #withoutProblems(desired: DesiredCables): DesiredCables {
    const problems = new Map<string, string>();
    for (const cable of desired.cables) {
      const problem = selfRoutingProblem(cable);
      if (problem !== undefined) problems.set(cable.name, problem);
    }
    this.#problems = problems;
    return { ...desired, cables: desired.cables.filter((cable) => !problems.has(cable.name)) };
  }

  /** The link of an idle charon in user space goes with its process, an idle xfrm link with the network. */
  async #place(wanted: readonly IpsecSlot[], signal: AbortSignal): Promise<EspPlace> {
    const { runner, privateIp } = this.#dependencies;
    const { kernel } = await this.#esp();
    const underlay = await observeUnderlay(runner, privateIp, signal);
    const links = (kernel ? wanted : this.#slots).map(({ slot, link }) => [slot, link] as const);
    return {
      place: kernel ? 'kernel' : 'userland',
      links: new Map(links.filter((pair): pair is readonly [number, string] => pair[1] !== undefined)),
      mtuBytes: underlay.mtuBytes - ESP_OVERHEAD_BYTES,
    };
  }
}
