import type { KeyObject } from 'node:crypto';
import type { UdpSocket } from '../../host/udp.ts';
import type { Clock } from '../../runtime/clock.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { keysOf, type PresharedKeys } from '../drivers/dependencies.ts';
import { beatKey, decodeBeat, encodeBeat, type KnownBody } from './beat.ts';
import { Peering, type BeatPeer, type SelfClaims } from './peering.ts';
import type { PeerReport } from './report.ts';

export interface GatewayPulseOptions {
  /** Opens the socket all beats go through; rejects when the port is taken. */
  readonly open: (port: number) => Promise<UdpSocket>;
  /** Default BEAT_PORT. */
  readonly port?: number;
  readonly psk: string;
  /** The keys as they are now, where they can change: signs with the one in use, believes those accepted as well. */
  readonly keys?: () => PresharedKeys;
  readonly randomBytes: (count: number) => Buffer;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** UDP port of beats. */
export const BEAT_PORT = 4491;

const REOPEN_MS = 5000;
/** A reason of our own spares a DOMException with its stack. */
const WOKEN = Symbol('woken');

/**
 * Exchanges beats with other gateways over one socket and tells what is known of each.
 *
 * INVARIANTS: one timer for all peers; what we say changed is sent at once; a lost or taken port is tried again and never
 * ends the exchange; nothing that arrives can throw.
 */
export class GatewayPulse {
  readonly #options: GatewayPulseOptions;
  #keys: { readonly of: PresharedKeys; readonly all: readonly [KeyObject, ...KeyObject[]] };
  readonly #peering: Peering;
  readonly #listeners = new Set<() => void>();
  /** By sender's session. */
  readonly #bodies = new Map<bigint, KnownBody>();
  #socket: UdpSocket | undefined;
  #failure: string | undefined;
  #reopenMs = Number.NEGATIVE_INFINITY;
  #resting = false;
  #rest = new AbortController();

  constructor(options: GatewayPulseOptions) {
    this.#options = options;
    this.#keys = beatKeys(keysOf(options));
    this.#peering = new Peering(options.randomBytes(8).readBigUInt64BE() || 1n);
  }

  /** Why no beats can be exchanged now, for the Gateway status. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Says who we are and what we claim; a change is told to all peers at once. */
  setSelf(self: SelfClaims): void {
    this.#peering.setSelf(self);
    this.#wake();
  }

  /** Exactly these from now on; what is known of those that stay is kept. */
  setPeers(peers: readonly BeatPeer[]): void {
    this.#peering.setPeers(peers, this.#now());
    this.#wake();
  }

  /** undefined for who is no peer. */
  report(cableName: string): PeerReport | undefined {
    return this.#peering.report(cableName, this.#now());
  }

  /** Of all peers. */
  reports(): readonly PeerReport[] {
    return this.#peering.peers.flatMap(({ cableName }) => this.report(cableName) ?? []);
  }

  /** Called when a report (other than its round-trip time) or the failure changed. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Runs until aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const wake = (): void => this.#wake();
    signal.addEventListener('abort', wake);
    while (!signal.aborted) {
      await this.#ensureSocket();
      if (signal.aborted) break;
      if (this.#peering.tick(this.#now())) this.#notify();
      for (const peer of this.#peering.due(this.#now())) this.#send(peer);
      await this.#sleep();
    }
    signal.removeEventListener('abort', wake);
    this.#dropSocket();
  }

  /** One controller serves many naps: making, and aborting, one each time costs more than a beat. */
  async #sleep(): Promise<void> {
    const { clock } = this.#options;
    if (this.#rest.signal.aborted) this.#rest = new AbortController();
    const nowMs = this.#now();
    this.#resting = true;
    await clock.sleep(Math.max(1, this.#peering.nextMs(nowMs) - nowMs), this.#rest.signal);
    this.#resting = false;
  }

  #wake(): void {
    if (this.#resting) this.#rest.abort(WOKEN);
  }

  #now(): number {
    return this.#options.clock.monotonic();
  }

  async #ensureSocket(): Promise<void> {
    if (this.#socket !== undefined || this.#now() < this.#reopenMs) return;
    this.#reopenMs = this.#now() + REOPEN_MS;
    try {
      const socket = await this.#options.open(this.#options.port ?? BEAT_PORT);
      this.#socket = socket;
      socket.onMessage((bytes) => this.#receive(bytes));
      socket.onError((error) => this.#lose(socket, error));
      this.#setFailure(undefined);
    } catch (error) {
      this.#setFailure(`beats: ${messageOf(error)}`);
    }
  }

  #lose(socket: UdpSocket, error: Error): void {
    if (this.#socket !== socket) return;
    this.#options.logger.warn('socket of the beats failed, opening it again', { error });
    this.#dropSocket();
    this.#reopenMs = Number.NEGATIVE_INFINITY;
    this.#wake();
  }

  #dropSocket(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  #setFailure(failure: string | undefined): void {
    if (this.#failure === failure) return;
    this.#failure = failure;
    if (failure !== undefined) this.#options.logger.error('no beats can be exchanged', { failure });
    this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  #receive(datagram: Uint8Array): void {
    const beat = this.#decode(datagram);
    if (beat === undefined) return;
    const { header, body, bodyBytes } = beat;
    const { changed, answer } = this.#peering.receive(beat, this.#now());
    if (answer) this.#answer(body.cableName, header.session);
    this.#remember(header.session, { bytes: bodyBytes, body });
    if (changed) this.#notify();
  }

  #decode(datagram: Uint8Array): ReturnType<typeof decodeBeat> {
    for (const key of this.#currentKeys()) {
      const beat = decodeBeat(key, datagram, (session) => this.#bodies.get(session));
      if (beat !== undefined) return beat;
    }
    return undefined;
  }

  /** Derived anew only when the keys change. */
  #currentKeys(): readonly [KeyObject, ...KeyObject[]] {
    const keys = keysOf(this.#options);
    if (keys.used !== this.#keys.of.used || keys.accepted.join() !== this.#keys.of.accepted.join())
      this.#keys = beatKeys(keys);
    return this.#keys.all;
  }

  /** Bodies of sessions that ended are forgotten with the first one too many. */
  #remember(session: bigint, known: KnownBody): void {
    if (this.#bodies.get(session)?.bytes === known.bytes) return;
    if (this.#bodies.size > 2 * this.#peering.peers.length + 8) this.#bodies.clear();
    this.#bodies.set(session, { bytes: Buffer.from(known.bytes), body: known.body });
  }

  #answer(cableName: string, session: bigint): void {
    const peer = this.#peering.peers.find((one) => one.cableName === cableName);
    if (peer !== undefined) this.#send(peer, session);
  }

  #send({ cableName, address }: BeatPeer, heard?: bigint): void {
    const beat = this.#peering.beatTo(cableName, this.#now(), heard);
    if (beat === undefined || this.#socket === undefined) return;
    const bytes = encodeBeat(this.#currentKeys()[0], beat.header, beat.bytes);
    this.#socket.send(bytes, { ip: address, port: this.#options.port ?? BEAT_PORT }).catch((error: unknown) => {
      this.#options.logger.debug('beat not sent', { to: address, error });
    });
  }
}

function beatKeys(of: PresharedKeys): {
  readonly of: PresharedKeys;
  readonly all: readonly [KeyObject, ...KeyObject[]];
} {
  return { of, all: [beatKey(of.used), ...of.accepted.map(beatKey)] };
}
