import { formatGoDuration } from '../api/duration.ts';
import type { LatencyRtt } from '../api/types.ts';

const WINDOW = 1000;

/** Statistics over the last 1000 round-trip times. */
export class RttWindow {
  readonly #samplesMs: number[] = [];
  #next = 0;

  /** Adds a round-trip time in milliseconds. */
  add(ms: number): void {
    this.#samplesMs[this.#next % WINDOW] = ms;
    this.#next += 1;
  }

  /** undefined before the first sample. */
  latency(): LatencyRtt | undefined {
    const samples = this.#samplesMs;
    const last = samples[(this.#next - 1) % WINDOW];
    if (last === undefined) return undefined;
    const average = samples.reduce((sum, ms) => sum + ms, 0) / samples.length;
    const variance = samples.reduce((sum, ms) => sum + (ms - average) ** 2, 0) / samples.length;
    return {
      last: formatGoDuration(last),
      min: formatGoDuration(samples.reduce((low, ms) => Math.min(low, ms), Infinity)),
      average: formatGoDuration(average),
      max: formatGoDuration(samples.reduce((high, ms) => Math.max(high, ms), 0)),
      stdDev: formatGoDuration(Math.sqrt(variance)),
    };
  }
}
