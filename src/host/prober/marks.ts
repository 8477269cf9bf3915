import { readCpu, type CpuTimes } from '../cpu.ts';
import { connectProber, type Connection, type Target } from './connection.ts';
import type { CpuUse, Mark } from './measurements.ts';

/** Longest wait for a mark: it travels where the stream fills the way. */
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

  async mark(): Promise<{ readonly here: CpuTimes; readonly there: Mark }> {
    const { socket, reader } = this.#connection;
    const timer = setTimeout(() => socket.destroy(new Error('the other side does not answer any more')), MARK_MS);
    try {
      socket.write('\n');
      const there = JSON.parse(await reader.line()) as Mark;
      return { here: readCpu(), there };
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#connection.socket.destroy();
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
