import type { CpuTimes } from '../cpu.ts';
import { connectProber, type Connection, type Target } from './connection.ts';
import type { CpuUse, Mark, MarkAsk } from './measurements.ts';
import type { SocketReader } from './reader.ts';

/** Longest wait for a mark after its time: it travels where the stream fills the way. */
const MARK_MS = 20_000;

/** Asks the other side, over a connection made beforehand, what it has received and used so far. */
export class Marker {
  readonly #connection: Connection;

  private constructor(connection: Connection) {
    this.#connection = connection;
  }

  static async open(target: Target, run: string, timeoutMs: number): Promise<Marker> {
    return new Marker(await connectProber(target, { marks: run }, timeoutMs));
  }

  /** A mark now. */
  async now(): Promise<Mark> {
    return this.#one(this.#ask({}), MARK_MS);
  }

  /** Marks so many seconds after the first byte of the run, taken by the other side itself. */
  async after(first: number, second: number): Promise<readonly [Mark, Mark]> {
    const asked = this.#ask({ after: [first, second] });
    const limitMs = second * 1000 + MARK_MS;
    return [await this.#one(asked, limitMs), await this.#one(asked, limitMs)];
  }

  close(): void {
    this.#connection.socket.destroy();
  }

  #ask(ask: MarkAsk): SocketReader {
    this.#connection.socket.write(`${JSON.stringify(ask)}\n`);
    return this.#connection.reader;
  }

  async #one(reader: SocketReader, limitMs: number): Promise<Mark> {
    const { socket } = this.#connection;
    const timer = setTimeout(() => socket.destroy(new Error('the other side does not answer any more')), limitMs);
    try {
      return JSON.parse(await reader.line()) as Mark;
    } finally {
      clearTimeout(timer);
    }
  }
}

const rounded = (value: number): number => Math.round(value * 1000) / 1000;

/** Cores that were busy on average between two readings. */
export function busyCores(from: CpuTimes, to: CpuTimes): number {
  return to.at > from.at ? rounded((to.busy - from.busy) / (to.at - from.at)) : 0;
}

/** What was used between two readings, beside what was used between two earlier ones. */
export function cpuUse(idle: readonly [CpuTimes, CpuTimes], [from, to]: readonly [CpuTimes, CpuTimes]): CpuUse {
  const own = to.at > from.at ? (to.own - from.own) / (to.at - from.at) : 0;
  const { machine, cores } = to;
  return { machine, cores, busy: busyCores(from, to), idle: busyCores(...idle), own: rounded(own) };
}
