import type { Outcome } from '../../test/faults/perform.ts';
import { spread, type Spread } from './statistics.ts';

/** What one failure cost, the worst of all streams and connections. */
export interface Run {
  /** The longest time in which no packet got through, in milliseconds. */
  readonly lostMs: number;
  /** Packets lost of one stream of 100 a second. */
  readonly lostPackets: number;
  readonly tcpStallMs: number;
  readonly tcpResets: number;
  /** Packets lost when what was broken came back. */
  readonly lostOnReturn: number;
  /** From the break until every node of every cluster was seen to send to the same gateway, and the traffic to go through it. */
  readonly convergedMs: number;
  /** The longest time the machine gave a sender no time at all. */
  readonly senderStallMs: number;
}

/** All runs of one kind of failure with one driver. */
export interface Kind {
  readonly kind: string;
  readonly driver: string;
  readonly runs: readonly Run[];
  /** Why runs had no result: they count as failures of the product, not of the benchmark. */
  readonly failures: readonly string[];
}

/** The worst that any stream of an outcome saw. */
export function runOf({ flows, convergedMs, senderStallMs }: Outcome): Run {
  const hit = flows.filter((flow) => flow.hit);
  const most = (values: readonly number[]): number => Math.max(0, ...values);
  return {
    lostMs: most(hit.map(({ broken }) => broken.rawGapMs)),
    lostPackets: most(hit.map(({ broken }) => broken.lost)),
    tcpStallMs: most(hit.map(({ broken }) => broken.stallMs)),
    tcpResets: hit.reduce((sum, { broken, mended }) => sum + broken.resets.length + mended.resets.length, 0),
    lostOnReturn: most(hit.map(({ mended }) => mended.lost)),
    convergedMs,
    senderStallMs: Math.round(senderStallMs),
  };
}

function cells(values: readonly number[]): readonly string[] {
  const { p50, p99, max }: Spread = spread(values);
  return [p50, p99, max].map((value) => String(Math.round(value)));
}

const HEADER = [
  'DRIVER',
  'FAILURE',
  'RUNS',
  'LOST ms p50',
  'p99',
  'max',
  'PACKETS p50',
  'p99',
  'max',
  'TCP STALL ms p50',
  'p99',
  'max',
  'RESETS',
  'LOST ON RETURN max',
  'NO RESULT',
];

function row({ driver, kind, runs, failures }: Kind): readonly string[] {
  const column = (value: (run: Run) => number): readonly string[] => cells(runs.map(value));
  const total = (value: (run: Run) => number): number => runs.reduce((sum, run) => sum + value(run), 0);
  if (runs.length === 0) return [driver, kind, '0', ...Array.from({ length: 11 }, () => '-'), String(failures.length)];
  return [
    driver,
    kind,
    String(runs.length),
    ...column((run) => run.lostMs),
    ...column((run) => run.lostPackets),
    ...column((run) => run.tcpStallMs),
    String(total((run) => run.tcpResets)),
    String(Math.max(...runs.map((run) => run.lostOnReturn))),
    String(failures.length),
  ];
}

/** The results as a text table. */
export function renderKinds(kinds: readonly Kind[]): string {
  const table = [HEADER, ...kinds.map(row)];
  const widths = HEADER.map((_, column) => Math.max(...table.map((line) => line[column]!.length)));
  return table
    .map((line) =>
      line
        .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The results for JSON: every run, and the spreads. */
export function summarise(kind: Kind): object {
  const of = (value: (run: Run) => number): Spread | undefined =>
    kind.runs.length === 0 ? undefined : spread(kind.runs.map(value));
  return {
    ...kind,
    summary: {
      lostMs: of((run) => run.lostMs),
      lostPackets: of((run) => run.lostPackets),
      tcpStallMs: of((run) => run.tcpStallMs),
      convergedMs: of((run) => run.convergedMs),
    },
  };
}
