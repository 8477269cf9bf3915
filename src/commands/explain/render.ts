import { type Column, printable, renderTable } from '../output.ts';
import type { End, Hop } from './model.ts';
import { culprit } from './walk.ts';

/** An explanation, as -o json prints it. */
export interface Explanation {
  readonly from: End;
  readonly to: End;
  readonly hops: readonly Hop[];
  /** The hop that breaks the way; null when it is whole. */
  readonly broken: Hop | null;
}

/** What the hops add up to. */
export function explanation(from: End, to: End, hops: readonly Hop[]): Explanation {
  return { from, to, hops, broken: culprit(hops) ?? null };
}

const MARKS: Readonly<Record<Hop['status'], string>> = {
  ok: '✓',
  warning: '⚠',
  unknown: '?',
  silent: '✗',
  broken: '✗',
};

interface Row {
  readonly hop: Hop;
  readonly isCulprit: boolean;
}

const COLUMNS: readonly Column<Row>[] = [
  { header: '', value: ({ hop }) => MARKS[hop.status] },
  { header: 'WAY', value: ({ hop }) => hop.way },
  { header: 'CLUSTER', value: ({ hop }) => hop.cluster },
  { header: 'NODE', value: ({ hop }) => hop.node },
  { header: 'HOP', value: ({ hop }) => hop.what },
  { header: 'WHAT IS THERE', value: ({ hop, isCulprit }) => `${hop.detail}${isCulprit ? '   <-- broken here' : ''}` },
];

function describeEnd({ name, address, cluster, node }: End): string {
  const where = node === undefined ? '' : ` on ${node}`;
  return `${name}${name === address ? '' : ` (${address})`}${where} of ${cluster}`;
}

/** The hops as a table, then what is wrong and what mends it. */
export function renderExplanation({ from, to, hops, broken }: Explanation): string {
  const rows = hops.map((hop) => ({ hop, isCulprit: hop === broken }));
  const head = `From ${describeEnd(from)} to ${describeEnd(to)}\n\n`;
  const others = hops.filter((hop) => hop !== broken && hop.cause !== '');
  const remark = (hop: Hop): string => `  ${hop.way}, ${hop.what} on ${hop.node}: ${printable(hop.cause)}\n`;
  const verdict =
    broken === null
      ? '\nThe way is whole, there and back.\n'
      : `\nBroken: ${broken.way}, ${broken.what} on ${broken.node} (${broken.cluster})\n  Cause: ${printable(broken.cause)}\n  Mend:  ${broken.mend}\n`;
  const more = others.length === 0 ? '' : `Besides:\n${[...new Set(others.map(remark))].join('')}`;
  return `${head}${renderTable(COLUMNS, rows, true)}${verdict}${more}`;
}
