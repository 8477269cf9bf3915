import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { UdpSocket } from '../../host/udp.ts';
import {
  doubtDiscovery,
  nextStepMs,
  receiveResponse,
  samePeer,
  startDiscovery,
  stepDiscovery,
  type Decision,
  type Discovery,
  type Outgoing,
  type Peer,
} from './discovery.ts';
import { decodeNatMessage, encodeNatMessage, type IpPort, type NatRequest } from './messages.ts';
import { answerRequest } from './responder.ts';

/** The local side of the exchange, as far as known. */
export interface LocalIdentity {
  readonly clusterId: string;
  readonly cableName: string;
  readonly privateIp: string;
  /** natt-discovery-port. */
  readonly port: number;
}

export interface NatDiscoveryOptions {
  /** Opens the socket all traffic goes through; rejects when the port is taken. */
  readonly open: (port: number) => Promise<UdpSocket>;
  /** The address the kernel would send from. */
  readonly sourceAddress: (target: string) => Promise<string | undefined>;
  /** A random 64-bit number. */
  readonly randomNumber: () => bigint;
  readonly clock: Clock;
  readonly logger: Logger;
}

const REOPEN_MS = 5000;
const IDLE_MS = 60_000;

/**
 * Answers other gateways and asks them, over one socket.
 *
 * INVARIANTS: a decision belongs to exactly the peer it was made for; a peer whose description changed has none until
 * it is decided anew; a lost socket is opened again and never ends the discovery.
 */
export class NatDiscovery {
  readonly #options: NatDiscoveryOptions;
  readonly #discoveries = new Map<string, Discovery>();
  readonly #listeners = new Set<() => void>();
  #identity: LocalIdentity | undefined;
  #socket: UdpSocket | undefined;
  #failure: string | undefined;
  #wake = new AbortController();

  constructor(options: NatDiscoveryOptions) {
    this.#options = options;
  }

  /** Why other gateways cannot be asked now, for the Gateway status. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** How a peer is reached; undefined while that is not decided. */
  decision(cableName: string): Decision | undefined {
    return this.#discoveries.get(cableName)?.decision;
  }

  /** Called when a decision or the failure changed. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Says who we are; a changed port opens a new socket. */
  setIdentity(identity: LocalIdentity): void {
    const portChanged = this.#identity !== undefined && this.#identity.port !== identity.port;
    const isNew = this.#identity === undefined;
    this.#identity = identity;
    if (portChanged) this.#dropSocket();
    if (portChanged || isNew) this.#wake.abort();
  }

  /** Exactly these peers are discovered from now on; what is known of unchanged ones stays. */
  setPeers(peers: readonly Peer[], remembered: (peer: Peer) => Decision | undefined): void {
    const names = new Set(peers.map(({ cableName }) => cableName));
    for (const name of this.#discoveries.keys()) if (!names.has(name)) this.#discoveries.delete(name);
    for (const peer of peers) {
      const known = this.#discoveries.get(peer.cableName);
      if (known !== undefined && samePeer(known.peer, peer)) continue;
      const nowMs = this.#options.clock.monotonic();
      this.#discoveries.set(peer.cableName, startDiscovery(peer, nowMs, remembered(peer)));
      this.#wake.abort();
    }
  }

  /** Asks again how a peer is reached, because what was decided carries nothing; what was decided stays until then. */
  doubt(cableName: string): void {
    const known = this.#discoveries.get(cableName);
    if (known === undefined) return;
    this.#discoveries.set(cableName, doubtDiscovery(known, this.#options.clock.monotonic()));
    this.#wake.abort();
  }

  /** Runs until aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#wake = new AbortController();
      await this.#ensureSocket();
      await this.#stepAll();
      if (signal.aborted) break;
      await this.#options.clock.sleep(this.#pauseMs(), AbortSignal.any([signal, this.#wake.signal]));
    }
    this.#dropSocket();
  }

  #pauseMs(): number {
    if (this.#identity === undefined) return IDLE_MS;
    const nowMs = this.#options.clock.monotonic();
    const times = [...this.#discoveries.values()].map(nextStepMs).filter((time) => time !== undefined);
    const reopen = this.#socket === undefined ? REOPEN_MS : IDLE_MS;
    return Math.max(1, Math.min(reopen, ...times.map((time) => time - nowMs)));
  }

  async #ensureSocket(): Promise<void> {
    const identity = this.#identity;
    if (this.#socket !== undefined || identity === undefined) return;
    try {
      const socket = await this.#options.open(identity.port);
      if (this.#identity?.port !== identity.port) {
        socket.close();
        return;
      }
      this.#socket = socket;
      socket.onMessage((bytes, from) => this.#receive(bytes, from));
      socket.onError((error) => this.#lose(socket, error));
      this.#setFailure(undefined);
    } catch (error) {
      this.#setFailure(`NAT discovery: ${messageOf(error)}`);
    }
  }

  #lose(socket: UdpSocket, error: Error): void {
    if (this.#socket !== socket) return;
    this.#options.logger.warn('NAT discovery socket failed, opening it again', { error });
    this.#dropSocket();
    this.#wake.abort();
  }

  #dropSocket(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  #setFailure(failure: string | undefined): void {
    if (this.#failure === failure) return;
    this.#failure = failure;
    if (failure !== undefined) this.#options.logger.error('NAT discovery cannot work', { failure });
    this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  async #stepAll(): Promise<void> {
    const identity = this.#identity;
    if (identity === undefined) return;
    const asker = { self: { clusterId: identity.clusterId, endpointId: identity.cableName }, port: identity.port };
    const { clock, randomNumber } = this.#options;
    const sends: Outgoing[] = [];
    for (const before of this.#discoveries.values()) {
      const { discovery, send } = stepDiscovery(before, asker, clock.monotonic(), randomNumber);
      this.#update(before, discovery);
      sends.push(...send);
    }
    await Promise.all(sends.map((one) => this.#send(one, identity)));
  }

  async #send({ to, request }: Outgoing, identity: LocalIdentity): Promise<void> {
    try {
      const ip = (await this.#options.sourceAddress(to.ip)) ?? identity.privateIp;
      await this.#socket?.send(encodeNatMessage({ ...request, usingSrc: { ip, port: identity.port } }), to);
    } catch (error) {
      this.#options.logger.debug('NAT discovery request not sent', { to: to.ip, error });
    }
  }

  #update(before: Discovery, after: Discovery): void {
    const name = after.peer.cableName;
    if (this.#discoveries.get(name) !== before) return;
    this.#discoveries.set(name, after);
    if (after.decision === before.decision) return;
    this.#options.logger.info('remote gateway reached at', { cable: name, ...after.decision });
    this.#notify();
  }

  #receive(bytes: Uint8Array, from: IpPort): void {
    const message = decodeNatMessage(bytes);
    const identity = this.#identity;
    if (message === undefined || identity === undefined) return;
    const self = { clusterId: identity.clusterId, endpointId: identity.cableName };
    if (message.kind === 'request') {
      this.#answer(message, from, identity);
      return;
    }
    const before = this.#discoveries.get(message.sender?.endpointId ?? '');
    if (before === undefined) return;
    this.#update(before, receiveResponse(before, message, from, self, this.#options.clock.monotonic()));
    this.#wake.abort();
  }

  #answer(request: NatRequest, from: IpPort, identity: LocalIdentity): void {
    const self = { clusterId: identity.clusterId, endpointId: identity.cableName };
    const answer = answerRequest(request, from, { self, privateIp: identity.privateIp });
    const sent = this.#socket?.send(encodeNatMessage(answer), from);
    sent?.catch((error: unknown) => this.#options.logger.debug('NAT discovery answer not sent', { error }));
  }
}
