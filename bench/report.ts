/** One measured value, with the target it is held against. */
export interface Measurement {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** The figure aimed at; `atMost` unless `atLeast`. */
  readonly target?: { readonly atMost: number } | { readonly atLeast: number };
  readonly note?: string;
}

/** A benchmark: measures, prints nothing. When the signal is aborted it removes what it made and rejects. */
export interface Benchmark {
  readonly name: string;
  readonly run: (signal: AbortSignal) => Promise<readonly Measurement[]>;
}

/** The median of a non-empty list. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function verdict({ value, target }: Measurement): string {
  if (target === undefined) return '';
  if ('atMost' in target) return `${value <= target.atMost ? 'met' : 'MISSED'} (at most ${target.atMost})`;
  return `${value >= target.atLeast ? 'met' : 'MISSED'} (at least ${target.atLeast})`;
}

/** Measurements as a text table. */
export function renderTable(measurements: readonly Measurement[]): string {
  const rows = measurements.map((one) => [one.what, `${round(one.value)} ${one.unit}`, verdict(one), one.note ?? '']);
  const table = [['WHAT', 'MEASURED', 'TARGET', 'NOTE'], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  return table
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('   ')
        .trimEnd(),
    )
    .join('\n');
}

function round(value: number): number {
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
