import type { Sink } from '../terminal.ts';

const HIDE_CURSOR = '\u001B[?25l';
const SHOW_CURSOR = '\u001B[?25h';

/** Lines that fit a terminal: none is wider, and the last line stays free for the cursor. */
export function fit(text: string, columns: number, rows: number): readonly string[] {
  const lines = text
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => (line.length > columns ? `${line.slice(0, columns - 1)}…` : line));
  if (lines.length < rows) return lines;
  const kept = Math.max(1, rows - 2);
  return [...lines.slice(0, kept), `… ${lines.length - kept} more lines`];
}

/**
 * Text that is replaced in place on a terminal.
 *
 * INVARIANTS: only lines that were drawn here are erased; after `end` the cursor is visible and below the text.
 */
export class Screen {
  readonly #sink: Sink;
  #drawn = 0;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  draw(text: string): void {
    const { columns = 80, rows = 24 } = this.#sink;
    const lines = fit(text, columns, rows);
    const back = this.#drawn === 0 ? HIDE_CURSOR : `\u001B[${this.#drawn}A\r`;
    this.#sink.write(`${back}${lines.map((line) => `${line}\u001B[K\n`).join('')}\u001B[J`);
    this.#drawn = lines.length;
  }

  end(): void {
    if (this.#drawn > 0) this.#sink.write(SHOW_CURSOR);
    this.#drawn = 0;
  }
}
