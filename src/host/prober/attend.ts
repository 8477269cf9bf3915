import type { Socket } from 'node:net';
import { readCpu } from '../cpu.ts';
import type { Mark } from './measurements.ts';
import type { TcpAsk } from './protocol.ts';
import { SocketReader } from './reader.ts';

const MAX_EXCHANGE_BYTES = 16 * 1024 * 1024;

/** Whether a client wants a connection that stays. */
export function isMeasurement({ exchange, sink, marks }: TcpAsk): boolean {
  return exchange !== undefined || sink !== undefined || marks !== undefined;
}

/**
 * The server's side of measurements.
 *
 * INVARIANTS: what is counted for a run is forgotten when its connection for marks ends; one connection's trouble is no
 * other's.
 */
export class Measured {
  readonly #received = new Map<string, { bytes: number }>();

  /** Serves a connection to its end; `held` has come after its first line. */
  async attend(socket: Socket, ask: TcpAsk, held: Buffer): Promise<void> {
    socket.setTimeout(0);
    socket.setNoDelay(true);
    const reader = new SocketReader(socket, held);
    try {
      if (ask.sink !== undefined) this.#swallow(this.#counter(ask.sink), reader, socket);
      else if (ask.marks !== undefined) await this.#sendMarks(ask.marks, reader, socket);
      else await sendBack(ask.exchange ?? 1, reader, socket);
    } catch {
      // The other side has gone, or sees its connection end.
      socket.destroy();
    }
  }

  #counter(run: string): { bytes: number } {
    const known = this.#received.get(run) ?? { bytes: 0 };
    this.#received.set(run, known);
    return known;
  }

  #swallow(counter: { bytes: number }, reader: SocketReader, socket: Socket): void {
    reader.passTo((chunk) => (counter.bytes += chunk.length));
    socket.once('end', () => socket.end());
  }

  async #sendMarks(run: string, reader: SocketReader, socket: Socket): Promise<void> {
    const counter = this.#counter(run);
    try {
      for (;;) {
        await reader.line();
        const mark: Mark = { bytes: counter.bytes, cpu: readCpu() };
        socket.write(`${JSON.stringify(mark)}\n`);
      }
    } finally {
      this.#received.delete(run);
    }
  }
}

async function sendBack(count: number, reader: SocketReader, socket: Socket): Promise<never> {
  const bytes = Math.max(1, Math.min(count, MAX_EXCHANGE_BYTES));
  for (;;) socket.write(await reader.bytes(bytes));
}
