/**
 * What `probe flow`, `probe throughput` and `probe latency` are told and what they say: one line of JSON each. They talk to
 * `probe serve` over connections that stay, see `TcpAsk`.
 */

import type { CpuTimes } from '../cpu.ts';

/**
 * When marks are wanted: at once; or so many seconds after the first byte of the run has come, taken by the server itself,
 * because what is asked while a stream fills the way arrives late.
 */
export interface MarkAsk {
  readonly after?: readonly number[];
}

/** What a server has received so far, and what it cost. */
export interface Mark {
  readonly bytes: number;
  readonly cpu: CpuTimes;
}

/** Traffic that goes on until it is told to stop. */
export interface FlowOrder {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
  readonly intervalMs: number;
  /** The end, when nobody stops it before. */
  readonly maxMs: number;
}

/** What became of a flow: one line of JSON on standard output. */
export interface FlowReport {
  readonly protocol: 'tcp' | 'udp';
  readonly sent: number;
  readonly received: number;
  /** Sent and never answered, those of the last second left out. */
  readonly lost: number;
  readonly durationMs: number;
  /** Times without any answer that lasted longer than three intervals and 200 ms, from the start of the flow. */
  readonly outages: readonly { readonly fromMs: number; readonly durationMs: number }[];
  /** The longest of them; 0 when there was none. */
  readonly longestOutageMs: number;
  /** How often a TCP connection broke and had to be made anew. */
  readonly reconnects: number;
}

/** Bytes as fast as they go. */
export interface ThroughputOrder {
  readonly address: string;
  readonly port: number;
  readonly streams: number;
  readonly seconds: number;
  /** Left out of the measurement. */
  readonly warmupSeconds: number;
}

/** What was used on one side between two marks. */
export interface CpuUse {
  readonly machine: string;
  readonly cores: number;
  /** Cores of the machine that were busy on average, whoever used them. */
  readonly busy: number;
  /** The same before the run, with nothing to send. */
  readonly idle: number;
  /** Cores that the prober itself used; at 1 it was the limit. */
  readonly own: number;
}

/** The result of a throughput run. */
export interface ThroughputReport {
  /** Counted where they arrived. */
  readonly bytes: number;
  readonly seconds: number;
  readonly bitsPerSecond: number;
  readonly streams: number;
  /** TCP segments sent again in the sender's network namespace; undefined when the kernel does not tell. */
  readonly retransmits?: number;
  readonly client: CpuUse;
  readonly server: CpuUse;
}

/** Questions and answers, one after the other, as fast as they go. */
export interface LatencyOrder {
  readonly address: string;
  readonly port: number;
  readonly bytes: number;
  /** Connections side by side. */
  readonly streams: number;
  readonly seconds: number;
  readonly warmupSeconds: number;
}

/** How long things took, in milliseconds. */
export interface Distribution {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly stdDev: number;
}

/** The result of a latency run. */
export interface LatencyReport {
  readonly rttMs: Distribution;
  readonly perSecond: number;
  readonly bytes: number;
  readonly streams: number;
}
