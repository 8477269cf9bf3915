import type { Section, Sections } from './sections.ts';

/** Rows by what they are about. */
export type Rows = ReadonlyMap<string, string>;

interface AppendOptions {
  readonly wide: boolean;
  /** Instead of rows: names. */
  readonly named: readonly string[] | undefined;
  readonly time: string;
  /** Whether several views are told, so that each line says which it is of. */
  readonly withView: boolean;
}

/** Cells of the rows of a table; the width of columns does not matter. */
function rowsOf({ shown }: Section, wide: boolean): readonly string[] {
  if (shown.items.length === 0) return [];
  const [, ...lines] = shown.table(wide).trimEnd().split('\n');
  return lines.map((line) => line.replaceAll(/ {3,}/g, '   '));
}

function currentRows(seen: Sections, { wide, named, withView }: AppendOptions): Rows {
  if (named !== undefined) return new Map(named.map((name) => [name, name]));
  const rows = seen.results.flatMap(({ cluster, value }) =>
    value.flatMap((section) => {
      const place = withView ? `${cluster.cluster}   ${section.view.name}` : cluster.cluster;
      return rowsOf(section, wide).map((row, index) => {
        const name = section.shown.names[index] ?? String(index);
        return [`${place} ${name}`, `${place}   ${row}`] as const;
      });
    }),
  );
  const problems = seen.problems.map(
    ({ context, message }) => [`context ${context}`, `context ${context}: ${message}`] as const,
  );
  return new Map([...rows, ...problems]);
}

/** The lines that tell what has changed since the rows before, and the rows now. */
export function appendedLines(
  seen: Sections,
  before: Rows | undefined,
  options: AppendOptions,
): { readonly rows: Rows; readonly lines: readonly string[] } {
  const rows = currentRows(seen, options);
  return { rows, lines: changedLines(rows, before, options.time) };
}

/** The lines that tell in what rows differ from those before. */
export function changedLines(rows: Rows, before: Rows | undefined, time: string): readonly string[] {
  const changed = [...rows].filter(([name, row]) => before?.get(name) !== row).map(([, row]) => row);
  const gone = [...(before ?? [])].filter(([name]) => !rows.has(name)).map(([, row]) => `gone: ${row}`);
  return [...changed, ...gone].map((line) => `${time}   ${line}`);
}
