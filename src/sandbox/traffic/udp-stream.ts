import { createSocket, type Socket } from 'node:dgram';
import { listening } from '../workloads/listening.ts';
import type { Sample } from './report.ts';

/** Where echoes come from. */
export interface EchoAddress {
  readonly host: string;
  readonly port: number;
}

/** Payload of one datagram: larger than anything that gateways send each other by themselves, so that counters on the way can tell it apart. */
export const DATAGRAM_BYTES = 800;
/** So that what comes back while the sender stands still is not thrown away. */
const BUFFER_BYTES = 4 * 1024 * 1024;

/** Numbered datagrams and their echoes. */
export class UdpStream {
  readonly #socket: Socket;
  readonly #to: EchoAddress;
  readonly #session = Math.floor(Math.random() * 0xffff_ffff);
  readonly #samples: { sentMs: number; backMs: number | undefined }[] = [];
  readonly #onBack: () => void;
  #highest = -1;
  #duplicates = 0;
  #reordered = 0;

  private constructor(socket: Socket, to: EchoAddress, onBack: () => void) {
    this.#socket = socket;
    this.#to = to;
    this.#onBack = onBack;
    socket.on('message', (datagram) => this.#take(datagram));
    // What cannot be sent (no route) or was refused (ICMP) is lost, which is what is counted.
    socket.on('error', () => undefined);
  }

  /** Opens a socket; `onBack` is called with every echo. */
  static async open(to: EchoAddress, onBack: () => void): Promise<UdpStream> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: BUFFER_BYTES });
    socket.bind(0);
    await listening(socket);
    return new UdpStream(socket, to, onBack);
  }

  get samples(): readonly Sample[] {
    return this.#samples;
  }

  get counts(): { readonly duplicates: number; readonly reordered: number } {
    return { duplicates: this.#duplicates, reordered: this.#reordered };
  }

  /** True when every datagram has come back. */
  get complete(): boolean {
    return this.#samples.every(({ backMs }) => backMs !== undefined);
  }

  send(): void {
    const datagram = Buffer.alloc(DATAGRAM_BYTES);
    datagram.writeUInt32BE(this.#session);
    datagram.writeUInt32BE(this.#samples.length, 4);
    this.#samples.push({ sentMs: performance.now(), backMs: undefined });
    this.#socket.send(datagram, this.#to.port, this.#to.host, () => undefined);
  }

  close(): void {
    this.#socket.close();
  }

  #take(datagram: Buffer): void {
    if (datagram.length !== DATAGRAM_BYTES || datagram.readUInt32BE() !== this.#session) return;
    const number = datagram.readUInt32BE(4);
    const sample = this.#samples[number];
    if (sample === undefined) return;
    if (sample.backMs === undefined) sample.backMs = performance.now();
    else this.#duplicates += 1;
    if (number < this.#highest) this.#reordered += 1;
    this.#highest = Math.max(this.#highest, number);
    this.#onBack();
  }
}
