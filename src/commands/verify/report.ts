import type { CommandRun } from '../context.ts';
import { formatDuration } from '../duration.ts';
import { type Column, printable, renderStructured, renderTable } from '../output.ts';
import { describeCase, describePlace, type Aspect, type Destination, type Source } from './cases.ts';
import { describeFailover, type FailoverResult } from './failover.ts';
import type { JunitCase } from './junit.ts';
import type { CaseResult } from './judge.ts';

/** Everything a run of verify found out. */
export interface Verification {
  readonly clusters: readonly string[];
  readonly results: readonly CaseResult[];
  readonly failovers: readonly FailoverResult[];
  readonly conclusions: readonly string[];
  /** What `subctl explain` says of some of the ways that failed, with what mends it. */
  readonly causes: readonly string[];
  /** Directory with the evidence of failures; null when there is none. */
  readonly evidence: string | null;
}

/** All aspects of one way, side by side. */
interface Way {
  readonly from: Source;
  readonly to: Destination;
  readonly results: readonly CaseResult[];
}

function waysOf(results: readonly CaseResult[]): readonly Way[] {
  const groups = Map.groupBy(results, ({ tested: { from, to } }) => JSON.stringify([from, to]));
  return [...groups.values()].flatMap((own) => {
    const [first] = own;
    return first === undefined ? [] : [{ from: first.tested.from, to: first.tested.to, results: own }];
  });
}

const MARKS = { passed: 'ok', failed: 'FAILED', skipped: 'skipped' } as const;

function cell(way: Way, aspect: Aspect): string {
  const result = way.results.find(({ tested }) => tested.aspect === aspect);
  return result === undefined ? '' : MARKS[result.status];
}

function milliseconds(rttMs: number | null): string {
  return rttMs === null ? '' : `${rttMs.toFixed(2)} ms`;
}

function shortest({ results }: Way): number | null {
  const known = results.flatMap(({ rttMs }) => rttMs ?? []);
  return known.length === 0 ? null : Math.min(...known);
}

const WAY_COLUMNS: readonly Column<Way>[] = [
  { header: 'FROM', value: ({ from }) => describePlace(from) },
  { header: 'TO', value: ({ to }) => describePlace(to) },
  { header: 'TCP', value: (way) => cell(way, 'tcp') },
  { header: 'UDP', value: (way) => cell(way, 'udp') },
  { header: 'ICMP', value: (way) => cell(way, 'icmp') },
  { header: 'SIZES', value: (way) => cell(way, 'packet-sizes') },
  { header: 'RTT', value: (way) => milliseconds(shortest(way)) },
  { header: 'SOURCE SEEN', value: ({ results }) => results.find(({ sourceSeen }) => sourceSeen !== '')?.sourceSeen },
];

const CASE_COLUMNS: readonly Column<CaseResult>[] = [
  { header: 'TEST', value: ({ tested }) => tested.aspect },
  { header: 'FROM', value: ({ tested }) => describePlace(tested.from) },
  { header: 'TO', value: ({ tested }) => describePlace(tested.to) },
  { header: 'RESULT', value: ({ status }) => MARKS[status] },
  { header: 'RTT', value: ({ rttMs }) => milliseconds(rttMs) },
  { header: 'SOURCE SEEN', value: ({ sourceSeen }) => sourceSeen },
  { header: 'EXPECTED', value: ({ sourceExpected }) => sourceExpected },
  { header: 'MESSAGE', value: ({ message }) => message },
];

/** An outage for people; shorter ones than a few intervals are none. */
function describeOutage(ms: number): string {
  return ms === 0 ? 'none' : ms < 10_000 ? `${ms} ms` : formatDuration(ms);
}

type FlowRow = FailoverResult['flows'][number] & { readonly name: string; readonly successor: string };

const FLOW_COLUMNS: readonly Column<FlowRow>[] = [
  { header: 'TEST', value: ({ name }) => name },
  { header: 'AFTERWARDS', value: ({ successor }) => successor },
  { header: 'TRAFFIC', value: ({ protocol, from, to }) => `${protocol} ${from} -> ${to}` },
  { header: 'SENT', value: ({ sent }) => sent },
  { header: 'LOST', value: ({ lost }) => lost },
  { header: 'LONGEST OUTAGE', value: ({ longestOutageMs }) => describeOutage(longestOutageMs) },
];

/** The tables; under the narrow ones the reason of each failure. */
export function renderTables({ results, failovers }: Verification, wide: boolean): string {
  const directions = Map.groupBy(results, ({ tested: { from, to } }) => `${from.cluster} -> ${to.cluster}`);
  const traffic = [...directions].map(([direction, own]) => {
    const table = wide ? renderTable(CASE_COLUMNS, own, true) : renderTable(WAY_COLUMNS, waysOf(own), false);
    return `${printable(direction)}\n${table}`;
  });
  const flows = failovers.flatMap((one) =>
    one.flows.map((flow) => ({ ...flow, name: describeFailover(one), successor: one.successor })),
  );
  const reasons = wide ? [] : failures(results);
  return [...traffic, reasons.join(''), renderTable(FLOW_COLUMNS, flows, wide)]
    .filter((text) => text !== '')
    .join('\n');
}

/** Failures told under the table; they tend to be alike. */
const MAX_REASONS = 10;

function failures(results: readonly CaseResult[]): readonly string[] {
  const lines = results
    .filter(({ status }) => status === 'failed')
    .map(({ tested, message }) => `  ${printable(`${describeCase(tested)}: ${message}`)}\n`);
  if (lines.length <= MAX_REASONS) return lines;
  return [...lines.slice(0, MAX_REASONS), `  … and ${lines.length - MAX_REASONS} more; -o wide tells all\n`];
}

function placeItem({ cluster, kind, node, gateway }: Source | Destination): object {
  return { cluster, kind, node, gateway };
}

/** What -o json prints. */
export function structuredVerification(verification: Verification): object {
  const { results, failovers, clusters, conclusions, causes, evidence } = verification;
  const all = [...results, ...failovers];
  const count = (status: CaseResult['status']): number => all.filter((one) => one.status === status).length;
  return {
    clusters,
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
    conclusions,
    causes,
    evidence,
    tests: results.map(({ tested, status, message, rttMs, sourceSeen, sourceExpected }) => ({
      test: tested.aspect,
      from: placeItem(tested.from),
      to: placeItem(tested.to),
      status,
      message,
      rttMs,
      sourceSeen,
      sourceExpected,
    })),
    failovers,
  };
}

/** One line for -o name. */
function caseName({ tested: { aspect, from, to } }: CaseResult): string {
  const place = ({ cluster, kind, node }: Source | Destination): string => `${cluster}/${kind}/${node}`;
  return `test/${aspect}/${place(from)}/${place(to)}`;
}

/** Prints the result in the form of -o. */
export async function printVerification(run: CommandRun, verification: Verification): Promise<void> {
  const { output } = run.flags;
  if (output === 'json' || output === 'yaml') {
    run.print(await renderStructured(structuredVerification(verification), output));
  } else if (output === 'name') {
    const failovers = verification.failovers.map(({ cluster, kind, gateway }) => `test/${kind}/${cluster}/${gateway}`);
    run.print([...verification.results.map(caseName), ...failovers].map((line) => `${line}\n`).join(''));
  } else {
    run.print(renderTables(verification, output === 'wide'));
  }
}

/** The tests for a JUnit file; how long one of many that ran at the same time took is not known. */
export function junitCases({ results, failovers }: Verification): readonly JunitCase[] {
  return [
    ...results.map(({ tested, status, message }) => ({
      suite: `${tested.from.cluster} -> ${tested.to.cluster}`,
      name: describeCase(tested),
      status,
      message,
      seconds: 0,
    })),
    ...failovers.map((one) => ({
      suite: 'gateway-failover',
      name: describeFailover(one),
      status: one.status,
      message: one.message,
      seconds: one.seconds,
    })),
  ];
}
