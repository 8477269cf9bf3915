import type { CommandRun } from '../context.ts';
import { printable } from '../output.ts';
import { anchorOf, type Check, type Outcome } from './check.ts';

/** What a check found in a cluster, as -o json prints it. */
export interface CheckResult {
  /** Cluster ID, else the name in the kubeconfig. */
  readonly cluster: string;
  readonly category: string;
  readonly check: string;
  readonly title: string;
  readonly status: Outcome['status'];
  /** What was seen when all is well; why it was skipped. */
  readonly message: string;
  readonly findings: readonly { readonly object: string; readonly reason: string; readonly hint: string }[];
  /** Where the check is explained. */
  readonly doc: string;
}

/** Commands of a hint, made to reach the cluster they are for. */
function withContext(hint: string, context: string): string {
  return hint.replaceAll(/\b(kubectl|subctl join broker-info\.subm)(?! --context)/g, `$1 --context ${context}`);
}

/** The result of a check; `context` is the kubeconfig's name of the cluster, for the commands in hints. */
export function resultOf(
  check: Check,
  outcome: Outcome,
  { clusterId, context }: { readonly clusterId: string; readonly context: string },
): CheckResult {
  const { category, name, title, hint } = check;
  const base = { cluster: clusterId, category, check: name, title, status: outcome.status, doc: anchorOf(check) };
  if (outcome.status === 'ok') return { ...base, message: outcome.message ?? '', findings: [] };
  if (outcome.status === 'skipped') return { ...base, message: outcome.reason, findings: [] };
  const findings = outcome.findings.map((finding) => ({
    object: finding.object,
    reason: finding.reason,
    hint: withContext(finding.hint ?? hint, context),
  }));
  return { ...base, message: '', findings };
}

const MARKS: Readonly<Record<Outcome['status'], string>> = { ok: '✓', warning: '⚠', failed: '✗', skipped: '-' };

/** The lines of a result: what is wrong with each object, then how to mend it, once for all that share it. */
export function describeResult({ status, title, message, findings, doc }: CheckResult): string {
  const head = ` ${MARKS[status]} ${title}${message === '' ? '' : ` (${printable(message)})`}`;
  const byHint = Map.groupBy(findings, ({ hint }) => hint);
  const body = [...byHint].flatMap(([hint, group]) => [
    ...group.map(({ object, reason }) => printable(`     ${object}: ${reason}`)),
    `     Mend: ${hint}`,
  ]);
  const more = findings.length === 0 ? [] : [`     More: ${doc}`];
  return `${[head, ...body, ...more].join('\n')}\n`;
}

/** `20 checks: 17 ok, 1 warning, 2 failed`, without the zeros. */
export function countResults(results: readonly CheckResult[]): string {
  const words: readonly Outcome['status'][] = ['ok', 'warning', 'failed', 'skipped'];
  const counts = words
    .map((status) => ({ status, count: results.filter((result) => result.status === status).length }))
    .filter(({ count }) => count > 0)
    .map(({ status, count }) => `${count} ${status}`);
  return `${results.length} ${results.length === 1 ? 'check' : 'checks'}: ${counts.join(', ')}`;
}

/** Prints results as they come, under headings of their clusters and categories. */
export class ResultPrinter {
  readonly #run: CommandRun;
  #heading = '';
  #category = '';

  constructor(run: CommandRun) {
    this.#run = run;
  }

  print(result: CheckResult): void {
    const { output, verbosity } = this.#run.flags;
    if (output !== 'table' && output !== 'wide') return;
    if (verbosity < 0 && (result.status === 'ok' || result.status === 'skipped')) return;
    const heading = `Cluster "${result.cluster}"\n`;
    if (heading !== this.#heading) this.#run.print(`${this.#heading === '' ? '' : '\n'}${heading}`);
    if (heading !== this.#heading || result.category !== this.#category) this.#run.print(`${result.category}\n`);
    this.#heading = heading;
    this.#category = result.category;
    this.#run.print(describeResult(result));
  }
}
