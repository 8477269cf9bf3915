import type { PeerFlags } from '../peers/flags.ts';

/** Flags of `subctl benchmark`; times in milliseconds. */
export interface BenchmarkOptions extends PeerFlags {
  readonly intraCluster: boolean;
  readonly streams: number;
  readonly duration: number;
  readonly size?: number;
  readonly namespace?: string;
}

/** What is measured. */
export type BenchmarkKind = 'throughput' | 'latency';
