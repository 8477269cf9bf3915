import type { Socket } from 'node:net';
import { systemClock } from '../../runtime/clock.ts';
import { readCpu } from '../cpu.ts';
import type { Mark, MarkAsk } from './measurements.ts';
import type { TcpAsk } from './protocol.ts';
import { SocketReader } from './reader.ts';

const MAX_EXCHANGE_BYTES = 16 * 1024 * 1024;
const MAX_MARKS = 10;

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
  readonly #runs = new Map<string, Run>();

  /** Serves a connection to its end; `held` has come after its first line. */
  async attend(socket: Socket, ask: TcpAsk, held: Buffer): Promise<void> {
    socket.setTimeout(0);
    socket.setNoDelay(true);
    const reader = new SocketReader(socket, held);
    try {
      if (ask.sink !== undefined) this.#swallow(this.#run(ask.sink), reader, socket);
      else if (ask.marks !== undefined) await this.#sendMarks(ask.marks, reader, socket);
      else await sendBack(ask.exchange ?? 1, reader, socket);
    } catch {
      // The other side has gone, or sees its connection end.
      socket.destroy();
    }
  }

  #run(name: string): Run {
    const known = this.#runs.get(name) ?? new Run();
    this.#runs.set(name, known);
    return known;
  }

  #swallow(run: Run, reader: SocketReader, socket: Socket): void {
    reader.passTo((chunk) => run.take(chunk.length));
    socket.once('end', () => socket.end());
  }

  async #sendMarks(name: string, reader: SocketReader, socket: Socket): Promise<void> {
    const run = this.#run(name);
    const over = new AbortController();
    socket.once('close', () => over.abort());
    try {
      for (;;) {
        const { after } = JSON.parse(await reader.line()) as MarkAsk;
        const marks = after === undefined ? [run.mark()] : await run.marksAfter(after, over.signal);
        socket.write(marks.map((mark) => `${JSON.stringify(mark)}\n`).join(''));
      }
    } finally {
      over.abort();
      this.#runs.delete(name);
    }
  }
}

/** What has come of one run. */
class Run {
  readonly #begun = Promise.withResolvers<void>();
  #bytes = 0;

  take(bytes: number): void {
    this.#bytes += bytes;
    this.#begun.resolve();
  }

  mark(): Mark {
    return { bytes: this.#bytes, cpu: readCpu() };
  }

  /** Marks so many seconds after the first byte; rejects when the signal is aborted. */
  async marksAfter(seconds: readonly number[], signal: AbortSignal): Promise<readonly Mark[]> {
    const gone = new Promise<never>((_, reject) => {
      const leave = (): void => reject(new Error('nobody waits any more'));
      if (signal.aborted) leave();
      else signal.addEventListener('abort', leave, { once: true });
    });
    gone.catch(() => undefined);
    await Promise.race([this.#begun.promise, gone]);
    const startedMs = performance.now();
    const marks: Mark[] = [];
    for (const second of seconds.slice(0, MAX_MARKS)) {
      await Promise.race([systemClock.sleep(startedMs + second * 1000 - performance.now(), signal), gone]);
      marks.push(this.mark());
    }
    return marks;
  }
}

async function sendBack(count: number, reader: SocketReader, socket: Socket): Promise<never> {
  const bytes = Math.max(1, Math.min(count, MAX_EXCHANGE_BYTES));
  for (;;) socket.write(await reader.bytes(bytes));
}
