import type { Sink } from '../terminal.ts';

const HIDE_CURSOR = '\u001B[?25l';
const SHOW_CURSOR = '\u001B[?25h';

/** Lines that fit a terminal: none is wider, and the last line stays free for the cursor. */
export function fit(text: string, columns: number, rows: number): readonly string[] {
  const lines = text
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => cut(line, columns));
  if (lines.length < rows) return lines;
  const kept = Math.max(1, rows - 2);
  return [...lines.slice(0, kept), `… ${lines.length - kept} more lines`];
}

/** Colours take no room. */
// oxlint-disable-next-line no-control-regex
const COLOUR = /\u001B\[[\d;]*m/g;
const PLAIN = '\u001B[0m';

function cut(line: string, columns: number): string {
  if (line.replaceAll(COLOUR, '').length <= columns) return line;
  const coloured = line.search(COLOUR) !== -1;
  let kept = '';
  let room = columns - 1;
  for (const part of line.split(/(\u001B\[[\d;]*m)/)) {
    const isColour = part.startsWith('\u001B');
    kept += isColour ? part : part.slice(0, room);
    room -= isColour ? 0 : Math.min(room, part.length);
  }
  return `${kept}…${coloured ? PLAIN : ''}`;
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
