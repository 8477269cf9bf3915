/** How results are printed. */
export const OUTPUT_FORMATS = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** What a cell may hold: lists are joined by ", ", booleans become yes and no, nothing becomes empty. */
type Cell = string | number | boolean | readonly string[] | undefined;

export interface Column<T> {
  readonly header: string;
  readonly value: (row: T) => Cell;
  /** Cells longer than this are cut and end in `…`; never with -o wide. */
  readonly maxWidth?: number;
  /** Only with -o wide. */
  readonly wideOnly?: boolean;
}

const GAP = '   ';

/** A left-aligned table with one header line and no trailing blanks; '' when there are no rows. */
export function renderTable<T>(columns: readonly Column<T>[], rows: readonly T[], wide: boolean): string {
  if (rows.length === 0) return '';
  const shown = columns.filter((column) => wide || column.wideOnly !== true);
  const lines = [
    shown.map(({ header }) => header),
    ...rows.map((row) => shown.map((column) => cut(cellText(column.value(row)), wide ? undefined : column.maxWidth))),
  ];
  const widths = shown.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0)));
  return lines
    .map((line) => line.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join(GAP))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

function cellText(cell: Cell): string {
  if (cell === undefined) return '';
  if (typeof cell === 'boolean') return cell ? 'yes' : 'no';
  return printable(typeof cell === 'string' || typeof cell === 'number' ? String(cell) : cell.join(', '));
}

/** The text on one line and without control characters: what others write into objects must not steer the terminal. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}+/gu, ' ');
}

function cut(text: string, maxWidth: number | undefined): string {
  return maxWidth === undefined || text.length <= maxWidth ? text : `${text.slice(0, maxWidth - 1)}…`;
}

/** A value as JSON (two blanks indentation) or YAML, ending in a line feed. */
export async function renderStructured(value: unknown, format: 'json' | 'yaml'): Promise<string> {
  if (format === 'json') return `${JSON.stringify(value, undefined, 2)}\n`;
  const { renderYaml } = await import('../kube/yaml.ts');
  return renderYaml(value);
}

/** Several objects as one YAML stream or one JSON List, as kubectl apply -f reads them. */
export async function renderManifests(objects: readonly unknown[], format: 'json' | 'yaml'): Promise<string> {
  if (format === 'json') return renderStructured({ apiVersion: 'v1', kind: 'List', items: objects }, 'json');
  const documents = await Promise.all(objects.map((object) => renderStructured(object, 'yaml')));
  return documents.map((document) => `---\n${document}`).join('');
}
