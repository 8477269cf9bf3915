import type { CpuUse, LatencyReport, ThroughputReport } from '../../host/prober/measurements.ts';

/** An end of a run. */
export interface RunEnd {
  readonly cluster: string;
  readonly node: string;
  readonly gateway: boolean;
}

/** One way that is measured: between the nodes themselves, or between pods on them. */
export interface Way {
  readonly network: 'host' | 'pods';
  readonly from: RunEnd;
  readonly to: RunEnd;
}

/** What a run has in common with every other. */
interface Measured extends Way {
  /** Why there are no figures; '' when there are. */
  readonly failure: string;
  /** What has to be known to read the figures. */
  readonly remarks: readonly string[];
}

/** A throughput run as -o json prints it. */
export interface ThroughputItem extends Measured {
  readonly bitsPerSecond: number | null;
  /** Share of what the host networks carry; null for them and where they could not be measured. */
  readonly ofHost: number | null;
  readonly retransmits: number | null;
  /** Cores of all machines that took part, above what they used before, for each Gbit/s. */
  readonly coresPerGbit: number | null;
  readonly client: CpuUse | null;
  readonly server: CpuUse | null;
}

/** A latency run as -o json prints it. */
export interface LatencyItem extends Measured {
  /** Milliseconds. */
  readonly rttMs: LatencyReport['rttMs'] | null;
  readonly perSecond: number | null;
  /** The median as a multiple of that between the host networks. */
  readonly timesHost: number | null;
}

/** A run that has ended, well or not. */
export interface Run<Report> {
  readonly way: Way;
  readonly report: Report | undefined;
  readonly failure: string;
}

const GBIT = 1e9;
/** A machine of which so much is in use already has too little left to be measured. */
const BUSY_SHARE = 0.5;
/** A prober that uses so much of a core is what limits the run. */
const LIMIT_CORES = 0.9;

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** Cores used above idle; what runs on one machine is counted once. */
export function coresUsed(client: CpuUse, server: CpuUse): number {
  const machines = client.machine === server.machine ? [client] : [client, server];
  return machines.reduce((sum, { busy, idle }) => sum + Math.max(0, busy - idle), 0);
}

function throughputRemarks({ client, server }: ThroughputReport): readonly string[] {
  const oneMachine = client.machine === server.machine;
  const ends: readonly (readonly [string, CpuUse])[] = [
    ['sender', client],
    ['receiver', server],
  ];
  const machines: readonly (readonly [string, CpuUse])[] = oneMachine
    ? [['the machine', client]]
    : ends.map(([side, use]) => [`the machine of the ${side}`, use]);
  return [
    ...ends
      .filter(([, { own }]) => own >= LIMIT_CORES)
      .map(([side, { own }]) => `the prober of the ${side} used ${own.toFixed(1)} cores: it may have been the limit`),
    ...machines
      .filter(([, { idle, cores }]) => idle >= cores * BUSY_SHARE)
      .map(
        ([what, { idle, cores }]) =>
          `${what} was busy before (${idle.toFixed(1)} of ${cores} cores): the figures say little`,
      ),
    ...(oneMachine ? ['both ends are on one machine'] : []),
  ];
}

function isReference(way: Way): boolean {
  return way.network === 'host';
}

/** Throughput runs with their share of the run between the host networks. */
export function throughputItems(runs: readonly Run<ThroughputReport>[]): readonly ThroughputItem[] {
  const host = runs.find(({ way, report }) => isReference(way) && report !== undefined)?.report;
  return runs.map(({ way, report, failure }) => {
    if (report === undefined) {
      const nothing = { bitsPerSecond: null, ofHost: null, retransmits: null, coresPerGbit: null };
      return { ...way, failure, remarks: [], ...nothing, client: null, server: null };
    }
    const { bitsPerSecond, client, server, retransmits = null } = report;
    const ofHost = isReference(way) || host === undefined ? null : rounded(bitsPerSecond / host.bitsPerSecond);
    const coresPerGbit = bitsPerSecond === 0 ? null : rounded(coresUsed(client, server) / (bitsPerSecond / GBIT));
    const remarks = throughputRemarks(report);
    return { ...way, failure, remarks, bitsPerSecond, ofHost, retransmits, coresPerGbit, client, server };
  });
}

/** Latency runs with their median as a multiple of that between the host networks. */
export function latencyItems(runs: readonly Run<LatencyReport>[]): readonly LatencyItem[] {
  const host = runs.find(({ way, report }) => isReference(way) && report !== undefined)?.report;
  return runs.map(({ way, report, failure }) => {
    if (report === undefined) return { ...way, failure, remarks: [], rttMs: null, perSecond: null, timesHost: null };
    const { rttMs, perSecond } = report;
    const timesHost =
      isReference(way) || host === undefined || host.rttMs.p50 === 0 ? null : rounded(rttMs.p50 / host.rttMs.p50);
    return { ...way, failure, remarks: [], rttMs, perSecond, timesHost };
  });
}
