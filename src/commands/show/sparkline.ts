const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;
/** Where there is no value. */
const GAP = '×';

/**
 * One character a value, the oldest first, higher for larger ones, × where there is none. The scale begins at the smallest
 * value and ends at the largest, at least at its double: what hardly changes looks flat.
 */
export function sparkline(values: readonly (number | undefined)[]): string {
  const known = values.filter((value) => value !== undefined);
  const low = Math.min(...known);
  const range = Math.max(Math.max(...known), 2 * low) - low;
  return values
    .map((value) => {
      if (value === undefined) return GAP;
      const step = range === 0 ? 0 : Math.floor(((value - low) / range) * BARS.length);
      return BARS[Math.min(step, BARS.length - 1)];
    })
    .join('');
}

/** Remembers the last values of things by name; one entry for each look, also of what was not there to be seen. */
export class History {
  readonly #length: number;
  readonly #values = new Map<string, (number | undefined)[]>();

  constructor(length: number) {
    this.#length = length;
  }

  /** Takes the values of one look. */
  note(seen: ReadonlyMap<string, number | undefined>): void {
    for (const name of new Set([...this.#values.keys(), ...seen.keys()])) {
      const values = [...(this.#values.get(name) ?? []), seen.get(name)].slice(-this.#length);
      this.#values.set(name, values);
    }
  }

  /** The values of one thing, the oldest first. */
  of(name: string): readonly (number | undefined)[] {
    return this.#values.get(name) ?? [];
  }
}
