import { GATEWAY_SLOTS } from '../../api/gateways.ts';
import { takenPort } from '../../host/port-owner.ts';
import { observeUnderlay } from '../../host/underlay.ts';
import { ensurePrivateKey, publicKeyOf } from '../../host/wg.ts';
import type { WireguardDevice } from '../../host/wireguardgo.ts';
import { WIREGUARD_CABLE } from '../../net/ownership.ts';
import { EMPTY_STATE } from '../../net/state.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { DriverDependencies } from './dependencies.ts';
import type { Cable, CableDriver, DesiredCables, ObservedCable } from './driver.ts';
import { runAll, runAtOnce } from './failures.ts';
import { EarlyGuard } from './guard.ts';
import { syncNetwork } from './network-sync.ts';
import { hostAddress } from './link-address.ts';
import { LookTimer } from './look-timer.ts';
import { retireOtherDrivers, wireguardFolder } from './leftovers.ts';
import { portsOfSlots, slotsFrom, slotsOf } from './slots.ts';
import {
  INTERFACE_NAME,
  PUBLIC_KEY,
  desiredWireguardNetwork,
  wireguardGuard,
  wireguardProblems,
} from './wireguard-device.ts';
import { WireguardSlot } from './wireguard-slot.ts';

/** Bytes WireGuard takes from a packet, with IPv6 outside: what `wg-quick` reckons with too. */
const WIREGUARD_OVERHEAD_BYTES = 80;

/**
 * Cables as peers of WireGuard links, one link a slot: the kernel's, or wireguard-go's. Speaks with upstream's
 * `wireguard` driver. What the links have is asked for at every sync and every look; memory only gives names to peers.
 */
export class WireguardDriver implements CableDriver {
  readonly name = 'wireguard';
  readonly slots: number;
  readonly #dependencies: DriverDependencies;
  readonly #slots: readonly [WireguardSlot, ...WireguardSlot[]];
  readonly #timer = new LookTimer();
  readonly #guard: EarlyGuard;
  #cables: readonly Cable[] = [];
  #prepared = false;

  constructor(dependencies: DriverDependencies) {
    this.#dependencies = dependencies;
    this.#guard = new EarlyGuard(dependencies);
    this.slots = slotsFrom(dependencies.udpPort);
    const further = Array.from({ length: GATEWAY_SLOTS - 1 }, (_, index) => new WireguardSlot(dependencies, index + 1));
    this.#slots = [new WireguardSlot(dependencies, 0), ...further];
  }

  get description(): string {
    const [{ kind }] = this.#slots;
    if (kind === undefined) return 'WireGuard';
    return kind === 'wireguard' ? 'WireGuard, kernel' : 'WireGuard, userland (wireguard-go)';
  }

  async start(signal: AbortSignal, after?: 'release'): Promise<void> {
    const { runner, privateIp } = this.#dependencies;
    if (after === 'release') {
      for (const slot of this.#slots) slot.hasten();
      return;
    }
    await retireOtherDrivers(this.#dependencies, { links: WIREGUARD_CABLE.links, daemon: 'wireguard' }, signal);
    await observeUnderlay(runner, privateIp, signal);
    await this.#slots[0].ensure(signal);
  }

  async prepare(signal: AbortSignal): Promise<readonly string[]> {
    await runAtOnce(this.#slots.map((slot) => async () => void (await slot.ensure(signal))));
    const links = this.#slots.map(({ link }) => link);
    if (!this.#prepared) await this.#prepareLinks(links, signal);
    this.#prepared = true;
    return links;
  }

  /** As the first sync wants them: what is done now traffic does not wait for then. */
  async #prepareLinks(links: readonly string[], signal: AbortSignal): Promise<void> {
    const { runner, privateIp } = this.#dependencies;
    const { mtuBytes } = await observeUnderlay(runner, privateIp, signal);
    for (const link of links) {
      await runner.run('ip', ['link', 'set', 'dev', link, 'mtu', String(mtuBytes - WIREGUARD_OVERHEAD_BYTES), 'up']);
      for (const { address } of hostAddress(link, privateIp))
        await runner.run('ip', ['addr', 'replace', address, 'dev', link]);
    }
  }

  async backendConfig(): Promise<Record<string, string>> {
    const { udpPort } = this.#dependencies;
    return {
      [PUBLIC_KEY]: publicKeyOf(this.#privateKey()),
      [INTERFACE_NAME]: WIREGUARD_CABLE.links[0],
      ...portsOfSlots(udpPort, this.slots),
    };
  }

  async sync(desired: DesiredCables, signal: AbortSignal): Promise<void> {
    this.#cables = desired.cables;
    const problems = this.#problems();
    const possible = { ...desired, cables: desired.cables.filter((cable) => !problems.has(cable.name)) };
    const bySlot = slotsOf(possible.cables);
    const wanted = this.#slots.filter(({ slot }) => bySlot.has(slot));
    const idle = this.#slots.filter(({ slot }) => !bySlot.has(slot));
    const devices = new Map<number, WireguardDevice>();
    const ensure = wanted.map((slot) => async () => {
      devices.set(slot.slot, await slot.ensure(signal));
    });
    await this.#guard.widen(wireguardGuard(possible), signal);
    await runAll([
      async () => runAtOnce(ensure),
      async () =>
        runAtOnce([
          // The link of an idle wireguard-go goes with its process, when no route leads into it any more.
          () => this.#syncNetwork(possible, [...wanted, ...idle.filter(({ inUserland }) => inUserland)], signal),
          ...wanted.map((slot) => () => this.#syncPeers(slot, devices.get(slot.slot), bySlot.get(slot.slot) ?? [])),
        ]),
      ...idle.filter(({ hasty }) => !hasty).map((slot) => () => slot.stop()),
    ]);
  }

  async connections(): Promise<readonly ObservedCable[]> {
    const problems = this.#problems();
    const errors = [...problems].map(([cableName, message]): ObservedCable => ({
      cableName,
      status: 'error',
      message,
    }));
    const bySlot = slotsOf(this.#cables.filter((cable) => !problems.has(cable.name)));
    const observed = await Promise.all(this.#slots.map((slot) => slot.connections(bySlot.get(slot.slot) ?? [])));
    return [...observed.flat(), ...errors];
  }

  onChange(listener: () => void): void {
    for (const slot of this.#slots) slot.onEnd(listener);
    this.#timer.onDue(listener);
  }

  async release(): Promise<() => Promise<void>> {
    this.#timer.stop();
    await runAtOnce(this.#slots.map((slot) => () => slot.kill()));
    return async () => undefined;
  }

  async cleanup(): Promise<void> {
    this.#timer.stop();
    for (const slot of this.#slots) await slot.stop();
    await syncNetwork(this.#dependencies, EMPTY_STATE);
  }

  #privateKey(): string {
    return ensurePrivateKey(wireguardFolder(this.#dependencies.stateDir, 0));
  }

  #problems(): ReadonlyMap<string, string> {
    return wireguardProblems(this.#cables, publicKeyOf(this.#privateKey()));
  }

  async #syncNetwork(desired: DesiredCables, slots: readonly WireguardSlot[], signal: AbortSignal): Promise<void> {
    const { runner, privateIp } = this.#dependencies;
    const underlay = await observeUnderlay(runner, privateIp, signal);
    const mtuBytes = underlay.mtuBytes - WIREGUARD_OVERHEAD_BYTES;
    const devices = slots.map(({ slot, kind }) => ({ slot, kind: kind ?? 'tun', mtuBytes }));
    try {
      await syncNetwork(this.#dependencies, desiredWireguardNetwork(desired, devices, privateIp), signal);
    } catch (error) {
      throw (await this.#takenPort(slots, messageOf(error))) ?? error;
    }
  }

  /** A link of the kernel takes its port when it goes up. */
  async #takenPort(slots: readonly WireguardSlot[], failures: string): Promise<Error | undefined> {
    const { runner, udpPort } = this.#dependencies;
    const refused = failures.split('; ').filter((failure) => failure.includes('Address already in use'));
    const slot = slots.find(({ link }) => refused.some((failure) => failure.includes(` link ${link} `)));
    return slot === undefined ? undefined : takenPort(runner, udpPort + slot.slot, 'WireGuard');
  }

  async #syncPeers(slot: WireguardSlot, device: WireguardDevice | undefined, cables: readonly Cable[]): Promise<void> {
    if (device === undefined) return;
    // A new peer of the side that does not begin gets its keepalive only then.
    const lookMs = await slot.syncPeers(device, cables);
    if (lookMs !== undefined) this.#timer.within(lookMs);
  }
}
