import { createHash } from 'node:crypto';
import { ensurePrivateKey, isEmptyChange } from '../../host/wg.ts';
import { KernelWireguard, ensureKernelLink } from '../../host/wireguard-kernel.ts';
import { WireguardGo, type WireguardDevice } from '../../host/wireguardgo.ts';
import { WIREGUARD_CABLE } from '../../net/ownership.ts';
import { messageOf } from '../../runtime/errors.ts';
import { systemClock } from '../../runtime/clock.ts';
import { type DriverDependencies, keysOf } from './dependencies.ts';
import type { Cable, ObservedCable } from './driver.ts';
import { Haste } from './haste.ts';
import { wireguardFolder } from './leftovers.ts';
import { desiredPeers, observedPeer, planDevice, type SlotDevice } from './wireguard-device.ts';

/** How long the other side has to begin a handshake. */
const SETTLE_MS = 1000;

/**
 * One WireGuard link with the cables of one slot: the kernel's, or that of a wireguard-go of its own. Both slots have the
 * gateway's one key, each its own UDP port.
 */
export class WireguardSlot {
  readonly slot: number;
  readonly link: string;
  readonly #dependencies: DriverDependencies;
  readonly #folder: string;
  readonly #userland: WireguardGo;
  #kind: SlotDevice['kind'] | undefined;
  #haste = new Haste();

  constructor(dependencies: DriverDependencies, slot: number) {
    this.#dependencies = dependencies;
    this.slot = slot;
    this.link = WIREGUARD_CABLE.links[slot] ?? WIREGUARD_CABLE.links[0];
    this.#folder = wireguardFolder(dependencies.stateDir, slot);
    this.#userland = new WireguardGo({ ...dependencies, folder: this.#folder, link: this.link });
  }

  /** Who makes the link; undefined before it was made or found. */
  get kind(): SlotDevice['kind'] | undefined {
    return this.#kind;
  }

  /** Whether a wireguard-go has the link, wanted or not. */
  get inUserland(): boolean {
    return this.#userland.running;
  }

  /** Calls back when wireguard-go ends. */
  onEnd(listener: () => void): void {
    this.#userland.onEnd(listener);
  }

  /** The link, made when it is not there. */
  async ensure(signal: AbortSignal): Promise<WireguardDevice> {
    const { runner } = this.#dependencies;
    await this.#userland.awaitEnd(signal);
    if (!this.#userland.running && (await ensureKernelLink(runner, this.link))) {
      this.#kind = 'wireguard';
      return this.#kernel();
    }
    await this.#userland.ensure(signal);
    this.#kind = 'tun';
    return this.#userland;
  }

  /** Ends wireguard-go, and with it its link; a link of the kernel goes with the network that does not want it. */
  async stop(): Promise<void> {
    await this.#userland.stop();
    this.#kind = undefined;
  }

  /** Ends the link at once, whoever makes it: it holds the port. */
  async kill(): Promise<void> {
    if (this.#kind === 'wireguard') await this.#dependencies.runner.run('ip', ['link', 'del', this.link]);
    await this.#userland.stop('at once');
    this.#kind = undefined;
  }

  /** The peers begin at this moment, too. */
  hasten(): void {
    this.#haste = new Haste(performance.now());
  }

  /** Whether that is so now: what is not urgent waits. */
  get hasty(): boolean {
    return this.#haste.isOn(performance.now());
  }

  /** Gives the link exactly these peers; milliseconds after which to look again, as not all of them may have been called on. */
  async syncPeers(device: WireguardDevice, cables: readonly Cable[]): Promise<number | undefined> {
    const { udpPort, stateDir, logger } = this.#dependencies;
    // The session goes on with the key it was made with; the next handshake, every two minutes, needs one that both have.
    const presharedKey = createHash('sha256').update(keysOf(this.#dependencies).used).digest('base64');
    const peers = desiredPeers(cables, presharedKey);
    const observed = await device.observe();
    const { peers: hasty, lookMs } = this.#haste.apply(peers, observed, performance.now());
    const wanted = {
      privateKey: ensurePrivateKey(wireguardFolder(stateDir, 0)),
      listenPort: udpPort + this.slot,
      // The peers of a wireguard-go that was killed still have their session and begin nothing.
      peers: this.#userland.takeRestarted() ? peers.map((peer) => ({ ...peer, late: false })) : hasty,
    };
    const change = planDevice(wanted, observed, nowSeconds());
    if (isEmptyChange(change)) return lookMs;
    const set = change.setPeers.map((peer) => peer.publicKey);
    const { removePeers: removed, listenPort } = change;
    logger.info('WireGuard peers', { link: this.link, set, removed, listenPort });
    await device.apply(change);
    return lookMs ?? (change.setPeers.length > 0 ? SETTLE_MS : undefined);
  }

  /** What the link says of these cables; nothing while it is not there. Never rejects. */
  async connections(cables: readonly Cable[]): Promise<readonly ObservedCable[]> {
    const device = this.#device();
    if (device === undefined || cables.length === 0) return [];
    try {
      const observed = await device.observe();
      return cables.flatMap((cable) => observedPeer(cable, observed, nowSeconds()) ?? []);
    } catch (error) {
      return cables.map(({ name }) => ({ cableName: name, status: 'error', message: messageOf(error) }));
    }
  }

  #kernel(): WireguardDevice {
    return new KernelWireguard(this.#dependencies.runner, this.link, this.#folder);
  }

  /** The device as far as it is there; starts nothing. */
  #device(): WireguardDevice | undefined {
    if (this.#kind === 'wireguard') return this.#kernel();
    return this.#userland.running ? this.#userland : undefined;
  }
}

function nowSeconds(): number {
  return Math.floor(systemClock.now() / 1000);
}
