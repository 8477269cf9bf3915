import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { ExpectedError } from '../../runtime/errors.ts';
import type { Logger } from '../../runtime/logger.ts';
import { DELAY_LINK } from '../fabric/latency.ts';
import { listening } from './listening.ts';

/** Configuration of the program that delays the WAN. */
export interface DelayConfig {
  /** One-way delay of every packet, in milliseconds. */
  readonly delayMs: number;
}

/** Bytes that may be under way; more is lost, as on a line whose queue is full. */
const MAX_QUEUED_BYTES = 64 * 1024 * 1024;
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

/**
 * A line that takes time: what is put in comes out after the delay, in the same order.
 *
 * INVARIANTS: at most one timer is set; nothing comes out early, and only full queues lose anything.
 */
export class DelayLine {
  readonly #delayMs: number;
  readonly #deliver: (packet: Buffer) => void;
  readonly #now: () => number;
  #queue: { readonly packet: Buffer; readonly dueAt: number }[] = [];
  #head = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(delayMs: number, deliver: (packet: Buffer) => void, now: () => number = () => performance.now()) {
    this.#delayMs = delayMs;
    this.#deliver = deliver;
    this.#now = now;
  }

  put(packet: Buffer): void {
    if (this.#bytes + packet.length > MAX_QUEUED_BYTES) return;
    this.#bytes += packet.length;
    this.#queue.push({ packet, dueAt: this.#now() + this.#delayMs });
    this.#timer ??= setTimeout(() => this.#run(), this.#delayMs);
  }

  /** Forgets everything under way. */
  close(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
    this.#head = 0;
  }

  #run(): void {
    this.#timer = undefined;
    for (let next = this.#queue[this.#head]; next !== undefined; next = this.#queue[this.#head]) {
      const leftMs = next.dueAt - this.#now();
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.#run(), Math.ceil(leftMs));
        break;
      }
      this.#head += 1;
      this.#bytes -= next.packet.length;
      this.#deliver(next.packet);
    }
    if (this.#head > 1024 || this.#head === this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }
}

/** socat joins a TUN link with a UDP socket, one datagram a packet: Node.js cannot open /dev/net/tun. */
function startTun(ownPort: number): ChildProcess {
  const tun = `TUN,tun-name=${DELAY_LINK},tun-type=tun,iff-no-pi,iff-up`;
  const udp = `UDP4-DATAGRAM:127.0.0.1:${ownPort},bind=127.0.0.1,sndbuf=${SOCKET_BUFFER_BYTES},rcvbuf=${SOCKET_BUFFER_BYTES}`;
  return spawn('socat', ['-b', '65536', tun, udp], { stdio: ['ignore', 'inherit', 'inherit'] });
}

async function bound(): Promise<Socket> {
  const socket = createSocket({
    type: 'udp4',
    recvBufferSize: SOCKET_BUFFER_BYTES,
    sendBufferSize: SOCKET_BUFFER_BYTES,
  });
  socket.bind(0, '127.0.0.1');
  await listening(socket);
  return socket;
}

/**
 * Delays every packet that is routed into its TUN link, made in the network namespace it runs in, until the signal is
 * aborted. Rejects when socat cannot be started or ends.
 */
export async function runDelay(config: DelayConfig, signal: AbortSignal, logger: Logger): Promise<void> {
  const socket = await bound();
  const tun = startTun(socket.address().port);
  let tunPort = 0;
  const line = new DelayLine(config.delayMs, (packet) => socket.send(packet, tunPort, '127.0.0.1'));
  socket.on('message', (packet, { port }) => {
    tunPort = port;
    line.put(packet);
  });
  logger.info('WAN delayed', { delayMs: config.delayMs, link: DELAY_LINK });
  try {
    await untilEnd(tun, signal);
  } finally {
    line.close();
    socket.close();
    tun.kill('SIGTERM');
  }
}

function untilEnd(tun: ChildProcess, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(
        new ExpectedError(`the WAN is no longer delayed: ${why}`, {
          hint: 'Is socat installed? apt-get install socat',
        }),
      );
    tun.once('error', (error) => fail(error.message));
    tun.once('exit', (code) => fail(`socat ended with exit code ${code ?? 'none'}`));
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
