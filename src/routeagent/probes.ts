import { formatGoDuration } from '../api/duration.ts';
import type { ConnectionStatus, LatencyRtt } from '../api/types.ts';
import type { ProbeResult } from '../host/probe.ts';
import type { Clock } from '../runtime/clock.ts';

/** What is probed: the health address of a remote cluster. */
export interface ProbeTarget {
  readonly clusterId: string;
  readonly address: string;
}

/** What the probes say about a remote cluster. */
export interface ProbeVerdict {
  readonly status: ConnectionStatus;
  readonly message: string;
  readonly latency: LatencyRtt | undefined;
}

export interface ProbeOptions {
  readonly probe: (address: string, signal: AbortSignal) => Promise<ProbeResult>;
  readonly clock: Clock;
  /** Time between probes of a target that answers (after the first few). */
  readonly calmMs: number;
  /** Time between probes of a target that does not. */
  readonly alarmedMs: number;
  /** Answers missing in a row until the verdict is `error`. */
  readonly maxLosses: number;
  /** Called when a verdict changes. */
  readonly onChange: () => void;
}

/** Probes that run at one moment, so that many remote clusters make no burst. */
const CONCURRENCY = 8;
const TICK_MS = 1000;
const SAMPLES = 100;
/** So many are taken quickly. */
const FIRST_SAMPLES = 5;

interface Record {
  readonly address: string;
  readonly samplesMs: number[];
  losses: number;
  failure: string;
  dueMs: number;
}

function statusOf(record: Record, maxLosses: number): ConnectionStatus {
  if (record.losses >= maxLosses) return 'error';
  return record.samplesMs.length === 0 ? 'connecting' : 'connected';
}

function latencyOf(samplesMs: readonly number[]): LatencyRtt | undefined {
  const last = samplesMs.at(-1);
  if (last === undefined) return undefined;
  const average = samplesMs.reduce((sum, ms) => sum + ms, 0) / samplesMs.length;
  const variance = samplesMs.reduce((sum, ms) => sum + (ms - average) ** 2, 0) / samplesMs.length;
  return {
    last: formatGoDuration(last),
    min: formatGoDuration(Math.min(...samplesMs)),
    average: formatGoDuration(average),
    max: formatGoDuration(Math.max(...samplesMs)),
    stdDev: formatGoDuration(Math.sqrt(variance)),
  };
}

/**
 * Light probes from this node through its own path: seldom while answers come, often while they do not.
 *
 * INVARIANTS: one probe of a target at a time; an answer that arrives after its target was taken away or given another
 * address is dropped.
 */
export class Probes {
  readonly #options: ProbeOptions;
  readonly #records = new Map<string, Record>();

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  /** Probes exactly these from now on; what is known about those that stay is kept. */
  setTargets(targets: readonly ProbeTarget[]): void {
    const wanted = new Map(targets.map(({ clusterId, address }) => [clusterId, address]));
    for (const [clusterId, record] of this.#records) {
      if (wanted.get(clusterId) !== record.address) this.#records.delete(clusterId);
    }
    for (const [clusterId, address] of wanted) {
      if (this.#records.has(clusterId)) continue;
      this.#records.set(clusterId, { address, samplesMs: [], losses: 0, failure: '', dueMs: 0 });
    }
  }

  /** undefined for a cluster that is not probed. */
  verdict(clusterId: string): ProbeVerdict | undefined {
    const record = this.#records.get(clusterId);
    if (record === undefined) return undefined;
    const status = statusOf(record, this.#options.maxLosses);
    const message =
      status === 'error' ? `no reply from ${record.address} to ${record.losses} probes: ${record.failure}` : '';
    return { status, message, latency: latencyOf(record.samplesMs) };
  }

  /** Runs until the signal is aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const nowMs = this.#options.clock.monotonic();
      const due = [...this.#records].filter(([, record]) => record.dueMs <= nowMs);
      const queue = due.values();
      const work = async (): Promise<void> => {
        for (const [clusterId, record] of queue) {
          if (signal.aborted) return;
          await this.#probe(clusterId, record, signal);
        }
      };
      await Promise.all(Array.from({ length: CONCURRENCY }, work));
      await this.#options.clock.sleep(TICK_MS, signal);
    }
  }

  /** A round trip that ends a silence has waited for neighbours, handshakes and the other end: the next one is taken. */
  async #ask(record: Record, signal: AbortSignal, wanted: () => boolean): Promise<ProbeResult> {
    const { probe } = this.#options;
    const result = await probe(record.address, signal);
    const silent = record.losses > 0 || record.samplesMs.length === 0;
    return 'rttMs' in result && silent && wanted() && !signal.aborted ? probe(record.address, signal) : result;
  }

  async #probe(clusterId: string, record: Record, signal: AbortSignal): Promise<void> {
    const { clock, calmMs, alarmedMs, maxLosses, onChange } = this.#options;
    const result = await this.#ask(record, signal, () => this.#records.get(clusterId) === record);
    if (signal.aborted || this.#records.get(clusterId) !== record) return;
    const before = statusOf(record, maxLosses);
    if ('rttMs' in result) {
      record.losses = 0;
      record.samplesMs.push(result.rttMs);
      if (record.samplesMs.length > SAMPLES) record.samplesMs.shift();
    } else {
      record.losses += 1;
      record.failure = result.failure;
    }
    const calm = record.losses === 0 && record.samplesMs.length >= FIRST_SAMPLES;
    record.dueMs = clock.monotonic() + (calm ? calmMs : alarmedMs);
    if (statusOf(record, maxLosses) !== before) onChange();
  }
}
