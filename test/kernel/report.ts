/** What a guest says of its run, a line each, as tools/jest-guest.mjs and guest-init.sh write them. */
export type GuestEvent =
  | { readonly kernel: string; readonly seconds: number }
  | { readonly exit: number }
  | {
      readonly file: string;
      readonly test: string;
      readonly status: string;
      readonly ms: number;
      readonly failure: string;
    }
  | { readonly total: Totals };

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The event in a line of the guest's console, undefined when it is anything else. */
export function parseEvent(line: string): GuestEvent | undefined {
  const [, text] = /@@ (\{.*\})\s*$/.exec(line) ?? [];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as GuestEvent;
  } catch {
    // The kernel wrote in the middle of it.
    return undefined;
  }
}

/** Cuts a stream into lines, whatever the pieces it arrives in. */
export class Lines {
  #rest = '';
  push(piece: string): readonly string[] {
    const lines = (this.#rest + piece).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines;
  }
}

/** The numbers of a run of Jest that ended before it told them: what was seen of it. */
function seenOf(events: readonly GuestEvent[]): Totals {
  const statuses = events.flatMap((event) => ('test' in event ? [event.status] : []));
  const count = (status: string): number => statuses.filter((seen) => seen === status).length;
  return { passed: count('passed'), failed: count('failed'), skipped: count('pending') };
}

/**
 * The numbers of a guest's run. One that ended without telling them, or with an exit code that they do not explain,
 * counts as a failure more: what did not run has not passed.
 */
export function totalsOf(events: readonly GuestEvent[]): Totals {
  const told = events.flatMap((event) => ('total' in event ? [event.total] : []));
  const exit = events.flatMap((event) => ('exit' in event ? [event.exit] : [])).at(-1);
  const untold = seenOf(events.slice(events.findLastIndex((event) => 'total' in event) + 1));
  const sum = (key: keyof Totals): number => told.reduce((total, item) => total + item[key], untold[key]);
  const tests = sum('passed') + sum('failed');
  const unexplained = told.length === 0 || tests === 0 || exit === undefined || (exit !== 0 && sum('failed') === 0);
  return { passed: sum('passed'), failed: sum('failed') + (unexplained ? 1 : 0), skipped: sum('skipped') };
}

const SECOND_MS = 1000;

/** How an event is shown; undefined for those that are not. */
export function describeEvent(event: GuestEvent): string | undefined {
  if ('kernel' in event) return `guest: Linux ${event.kernel}, up after ${event.seconds} s`;
  if (!('test' in event) || event.status === 'pending') return undefined;
  const mark = event.status === 'passed' ? 'ok    ' : 'FAILED';
  const head = `${mark} ${event.file.replace('.test.ts', '')}: ${event.test} (${(event.ms / SECOND_MS).toFixed(1)} s)`;
  return event.failure === '' ? head : `${head}\n${event.failure.replaceAll(/^/gm, '       ')}`;
}
