import type { CommandRun } from '../context.ts';
import { type Column, printable, renderStructured, renderTable } from '../output.ts';
import type { LatencyItem, RunEnd, ThroughputItem, Way } from './figures.ts';

function endText({ cluster, node, gateway }: RunEnd): string {
  return `${cluster}/${node}${gateway ? ' (gateway)' : ''}`;
}

/** A way for people. */
export function describeWay({ network, from, to }: Way): string {
  return `${network === 'host' ? 'nodes' : 'pods on'} ${endText(from)} -> ${endText(to)}`;
}

function wayColumns<T extends Way>(): readonly Column<T>[] {
  return [
    { header: 'NETWORK', value: ({ network }) => network },
    { header: 'FROM', value: ({ from }) => endText(from) },
    { header: 'TO', value: ({ to }) => endText(to) },
  ];
}

function fixed(value: number | null | undefined, digits: number): string {
  return value === null || value === undefined ? '' : value.toFixed(digits);
}

const THROUGHPUT: readonly Column<ThroughputItem>[] = [
  ...wayColumns<ThroughputItem>(),
  { header: 'GBIT/S', value: ({ bitsPerSecond }) => (bitsPerSecond === null ? '-' : fixed(bitsPerSecond / 1e9, 2)) },
  { header: 'OF HOST', value: ({ ofHost }) => (ofHost === null ? '' : `${Math.round(ofHost * 100)} %`) },
  { header: 'CORES PER GBIT/S', value: ({ coresPerGbit }) => fixed(coresPerGbit, 2) },
  { header: 'SENT AGAIN', value: ({ retransmits }) => retransmits ?? '' },
  {
    header: 'PROBER CORES',
    value: ({ client, server }) => `${fixed(client?.own, 2)}/${fixed(server?.own, 2)}`,
    wideOnly: true,
  },
];

const LATENCY: readonly Column<LatencyItem>[] = [
  ...wayColumns<LatencyItem>(),
  { header: 'P50 ms', value: ({ rttMs }) => (rttMs === null ? '-' : fixed(rttMs.p50, 3)) },
  { header: 'P90', value: ({ rttMs }) => fixed(rttMs?.p90, 3) },
  { header: 'P99', value: ({ rttMs }) => fixed(rttMs?.p99, 3) },
  { header: 'P99.9', value: ({ rttMs }) => fixed(rttMs?.p999, 3) },
  { header: 'MAX', value: ({ rttMs }) => fixed(rttMs?.max, 3) },
  { header: 'MIN', value: ({ rttMs }) => fixed(rttMs?.min, 3), wideOnly: true },
  { header: 'MEAN', value: ({ rttMs }) => fixed(rttMs?.mean, 3), wideOnly: true },
  { header: 'STD DEV', value: ({ rttMs }) => fixed(rttMs?.stdDev, 3), wideOnly: true },
  { header: 'PER SECOND', value: ({ perSecond }) => perSecond ?? '' },
  { header: 'TIMES HOST', value: ({ timesHost }) => fixed(timesHost, 2) },
];

/** Everything a benchmark found out. */
export type Benchmark =
  | { readonly kind: 'throughput'; readonly settings: object; readonly runs: readonly ThroughputItem[] }
  | { readonly kind: 'latency'; readonly settings: object; readonly runs: readonly LatencyItem[] };

/** Failures and remarks; what is true of every run is said once. */
function notes(runs: readonly (ThroughputItem | LatencyItem)[]): string {
  const [first] = runs;
  const shared = (first?.remarks ?? []).filter((text) => runs.every(({ remarks }) => remarks.includes(text)));
  const own = runs.flatMap((item) =>
    [item.failure, ...item.remarks]
      .filter((text) => text !== '' && !shared.includes(text))
      .map((text) => `${describeWay(item)}: ${text}`),
  );
  return [...own, ...shared].map((text) => `  ${printable(text)}\n`).join('');
}

function tableOf(benchmark: Benchmark, wide: boolean): string {
  return benchmark.kind === 'throughput'
    ? renderTable(THROUGHPUT, benchmark.runs, wide)
    : renderTable(LATENCY, benchmark.runs, wide);
}

/** Prints the result in the form of -o. */
export async function printBenchmark(run: CommandRun, benchmark: Benchmark): Promise<void> {
  const { output } = run.flags;
  const { kind, settings, runs } = benchmark;
  if (output === 'json' || output === 'yaml') run.print(await renderStructured({ kind, ...settings, runs }, output));
  else if (output === 'name') {
    const name = ({ network, from, to }: Way): string =>
      `${kind}/${network}/${from.cluster}/${from.node}/${to.cluster}/${to.node}\n`;
    run.print(runs.map(name).join(''));
  } else run.print(`${tableOf(benchmark, output === 'wide')}${notes(runs)}`);
}
