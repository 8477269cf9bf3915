import { randomBytes } from 'node:crypto';
import { systemClock } from '../../runtime/clock.ts';
import { openUdpSocket } from '../udp.ts';
import { connectProber, type Connection, type Target } from './connection.ts';
import type { FlowOrder, FlowReport } from './measurements.ts';
import { summariseFlow } from './outages.ts';
import { parseDatagram, renderDatagram } from './protocol.ts';

/** A packet that fits every path. */
const BYTES = 84;
const FRAME_BYTES = 64;
const CONNECT_MS = 2000;

interface Exchange {
  readonly sentMs: number;
  receivedMs: number | undefined;
}

/** What a flow has seen so far, in the order it was sent. */
class Book {
  readonly #startedMs = performance.now();
  readonly exchanges: Exchange[] = [];

  get elapsedMs(): number {
    return performance.now() - this.#startedMs;
  }

  sent(): Exchange {
    const exchange: Exchange = { sentMs: this.elapsedMs, receivedMs: undefined };
    this.exchanges.push(exchange);
    return exchange;
  }

  received(exchange: Exchange | undefined): void {
    if (exchange !== undefined) exchange.receivedMs ??= this.elapsedMs;
  }
}

async function flowUdp(target: Target, intervalMs: number, book: Book, stop: AbortSignal): Promise<number> {
  const socket = await openUdpSocket(0);
  const session = randomBytes(8).toString('hex');
  socket.onMessage((datagram) => {
    const parsed = parseDatagram(Buffer.from(datagram));
    if (parsed?.session === session) book.received(book.exchanges[parsed.number]);
  });
  while (!stop.aborted) {
    const number = book.exchanges.length;
    book.sent();
    // What cannot even be sent is lost like the rest.
    await socket.send(renderDatagram(session, number, BYTES), { ip: target.address, port: target.port }).catch(() => 0);
    await systemClock.sleep(intervalMs, stop);
  }
  socket.close();
  return 0;
}

/** Frames go out on time whether or not earlier ones came back, as those of a program that talks all the time do. */
async function flowTcp(target: Target, intervalMs: number, book: Book, stop: AbortSignal): Promise<number> {
  let connections = 0;
  while (!stop.aborted) {
    let connection: Connection | undefined;
    try {
      connection = await connectProber(target, { exchange: FRAME_BYTES }, CONNECT_MS);
      connections += 1;
      await exchangeFrames(connection, intervalMs, book, stop);
    } catch {
      await systemClock.sleep(intervalMs, stop);
    } finally {
      connection?.socket.destroy();
    }
  }
  return Math.max(0, connections - 1);
}

async function exchangeFrames(
  { socket, reader }: Connection,
  intervalMs: number,
  book: Book,
  stop: AbortSignal,
): Promise<void> {
  const open: Exchange[] = [];
  const broken = new AbortController();
  const receive = async (): Promise<void> => {
    for (;;) {
      await reader.bytes(FRAME_BYTES);
      book.received(open.shift());
    }
  };
  receive().catch(() => broken.abort());
  const end = AbortSignal.any([stop, broken.signal]);
  while (!end.aborted) {
    open.push(book.sent());
    socket.write(Buffer.alloc(FRAME_BYTES, 1));
    await systemClock.sleep(intervalMs, end);
  }
}

/** Sends and counts until the signal is aborted or the time is over; never rejects because of what is lost. */
export async function runFlow(order: FlowOrder, signal: AbortSignal): Promise<FlowReport> {
  const { protocol, intervalMs, maxMs, ...target } = order;
  const stop = AbortSignal.any([signal, AbortSignal.timeout(maxMs)]);
  const book = new Book();
  const flow = protocol === 'udp' ? flowUdp : flowTcp;
  const reconnects = await flow(target, intervalMs, book, stop);
  return { protocol, ...summariseFlow(book.exchanges, intervalMs, book.elapsedMs), reconnects };
}
