import { createHash } from 'node:crypto';
import { observeUnderlay } from '../../host/underlay.ts';
import { ensurePrivateKey, isEmptyChange, publicKeyOf } from '../../host/wg.ts';
import { KernelWireguard, ensureKernelLink } from '../../host/wireguard-kernel.ts';
import { WireguardGo, type WireguardDevice } from '../../host/wireguardgo.ts';
import { WIREGUARD_CABLE } from '../../net/ownership.ts';
import { EMPTY_STATE } from '../../net/state.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { DriverDependencies } from './dependencies.ts';
import type { Cable, CableDriver, DesiredCables, ObservedCable } from './driver.ts';
import { runAll } from './failures.ts';
import { syncNetwork } from './network-sync.ts';
import { LookTimer } from './look-timer.ts';
import { retireOtherDrivers, wireguardFolder } from './leftovers.ts';
import {
  INTERFACE_NAME,
  PUBLIC_KEY,
  desiredPeers,
  desiredWireguardNetwork,
  observedPeer,
  planDevice,
  wireguardProblems,
} from './wireguard-device.ts';

/** Bytes WireGuard takes from a packet, with IPv6 outside: what `wg-quick` reckons with too. */
const WIREGUARD_OVERHEAD_BYTES = 80;
/** How long the other side has to begin a handshake. */
const SETTLE_MS = 1000;

/**
 * Cables as peers of one WireGuard link: the kernel's, or wireguard-go's. Speaks with upstream's `wireguard` driver.
 * What the device has is asked for at every sync and every look; memory only gives names to peers.
 */
export class WireguardDriver implements CableDriver {
  readonly name = 'wireguard';
  readonly slots = 1;
  readonly #dependencies: DriverDependencies;
  readonly #userland: WireguardGo;
  readonly #timer = new LookTimer();
  #kind: 'wireguard' | 'tun' | undefined;
  #cables: readonly Cable[] = [];

  constructor(dependencies: DriverDependencies) {
    this.#dependencies = dependencies;
    const folder = wireguardFolder(dependencies.stateDir);
    this.#userland = new WireguardGo({ ...dependencies, folder, link: WIREGUARD_CABLE.link });
  }

  get description(): string {
    if (this.#kind === undefined) return 'WireGuard';
    return this.#kind === 'wireguard' ? 'WireGuard, kernel' : 'WireGuard, userland (wireguard-go)';
  }

  async start(signal: AbortSignal): Promise<void> {
    const { runner, privateIp } = this.#dependencies;
    await retireOtherDrivers(this.#dependencies, { links: [WIREGUARD_CABLE.link], daemon: 'wireguard' }, signal);
    await observeUnderlay(runner, privateIp, signal);
    await this.#ensureDevice(signal);
  }

  async backendConfig(): Promise<Record<string, string>> {
    return { [PUBLIC_KEY]: publicKeyOf(this.#privateKey()), [INTERFACE_NAME]: WIREGUARD_CABLE.link };
  }

  async sync(desired: DesiredCables, signal: AbortSignal): Promise<void> {
    this.#cables = desired.cables;
    const problems = this.#problems();
    const possible = { ...desired, cables: desired.cables.filter((cable) => !problems.has(cable.name)) };
    let device: WireguardDevice | undefined;
    await runAll([
      async () => {
        device = await this.#ensureDevice(signal);
      },
      async () => {
        const { runner, privateIp } = this.#dependencies;
        const underlay = await observeUnderlay(runner, privateIp, signal);
        const mtuBytes = underlay.mtuBytes - WIREGUARD_OVERHEAD_BYTES;
        const network = desiredWireguardNetwork(possible, { kind: this.#kind ?? 'tun', mtuBytes });
        await syncNetwork(this.#dependencies, network, signal);
      },
      async () => {
        if (device !== undefined) await this.#syncPeers(device, possible.cables);
      },
    ]);
  }

  async connections(): Promise<readonly ObservedCable[]> {
    const problems = this.#problems();
    const errors = [...problems].map(([cableName, message]): ObservedCable => ({
      cableName,
      status: 'error',
      message,
    }));
    const device = this.#device();
    if (device === undefined) return errors;
    const observed = await device.observe();
    const cables = this.#cables.filter((cable) => !problems.has(cable.name));
    return [...cables.flatMap((cable) => observedPeer(cable, observed, nowSeconds()) ?? []), ...errors];
  }

  onChange(listener: () => void): void {
    this.#userland.onEnd(listener);
    this.#timer.onDue(listener);
  }

  async cleanup(): Promise<void> {
    this.#timer.stop();
    await this.#userland.stop();
    await syncNetwork(this.#dependencies, EMPTY_STATE);
  }

  #privateKey(): string {
    return ensurePrivateKey(wireguardFolder(this.#dependencies.stateDir));
  }

  #problems(): ReadonlyMap<string, string> {
    return wireguardProblems(this.#cables, publicKeyOf(this.#privateKey()));
  }

  #kernel(): WireguardDevice {
    const { runner, stateDir } = this.#dependencies;
    return new KernelWireguard(runner, WIREGUARD_CABLE.link, wireguardFolder(stateDir));
  }

  /** The device as far as it is there; starts nothing. */
  #device(): WireguardDevice | undefined {
    if (this.#kind === 'wireguard') return this.#kernel();
    return this.#userland.running ? this.#userland : undefined;
  }

  async #ensureDevice(signal: AbortSignal): Promise<WireguardDevice> {
    const { runner } = this.#dependencies;
    const { link } = WIREGUARD_CABLE;
    if (!this.#userland.running && (await ensureKernelLink(runner, link))) {
      this.#kind = 'wireguard';
      return this.#kernel();
    }
    await this.#userland.ensure(signal);
    this.#kind = 'tun';
    return this.#userland;
  }

  async #syncPeers(device: WireguardDevice, cables: readonly Cable[]): Promise<void> {
    const { psk, udpPort, logger } = this.#dependencies;
    const presharedKey = createHash('sha256').update(psk).digest('base64');
    const wanted = { privateKey: this.#privateKey(), listenPort: udpPort, peers: desiredPeers(cables, presharedKey) };
    const change = planDevice(wanted, await device.observe(), nowSeconds());
    // A new peer of the side that does not begin gets its keepalive only now.
    if (change.setPeers.length > 0) this.#timer.within(SETTLE_MS);
    if (isEmptyChange(change)) return;
    const set = change.setPeers.map((peer) => peer.publicKey);
    logger.info('WireGuard peers', { set, removed: change.removePeers, listenPort: change.listenPort });
    await device.apply(change);
  }
}

function nowSeconds(): number {
  return Math.floor(systemClock.now() / 1000);
}
