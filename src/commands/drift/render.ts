import { Chalk } from 'chalk';
import type { CommandRun } from '../context.ts';
import { printable } from '../output.ts';
import { colourAllowed } from '../terminal.ts';
import type { ObjectDrift } from './comparison.ts';
import type { FieldChange } from './difference.ts';

/** How the lines of a difference are coloured. */
export interface DriftPaint {
  readonly head: (text: string) => string;
  readonly live: (text: string) => string;
  readonly wanted: (text: string) => string;
}

/** Colours for stdout, or none where none may be. */
export function driftPaint({ context }: CommandRun): DriftPaint {
  const chalk = new Chalk({ level: colourAllowed(context.terminal.stdout, context.env) ? 1 : 0 });
  return { head: chalk.bold, live: chalk.red, wanted: chalk.green };
}

const LONGEST = 160;
const VERDICTS: Readonly<Record<ObjectDrift['state'], string>> = {
  same: 'as wanted',
  changed: 'changed',
  missing: 'missing',
  extra: 'ought not to be there',
};

function driftTitle({ kind, name, namespace, on }: ObjectDrift): string {
  return `${kind} ${namespace === null ? '' : `${namespace}/`}${name}${on === 'broker' ? ' (on the broker)' : ''}`;
}

/** The lines of an object that differs: `-` what is there, `+` what applying would make of it. */
export function describeDrift(drift: ObjectDrift, paint: DriftPaint): string {
  const { state, changes, changedBy } = drift;
  const by = changedBy.length === 0 ? '' : ` by ${changedBy.join(', ')}`;
  const lines = [paint.head(`${driftTitle(drift)}: ${VERDICTS[state]}${by}`), ...changes.flatMap(describe)];
  return lines.map((line) => `${line}\n`).join('');

  function describe({ path, live, wanted }: FieldChange): readonly string[] {
    return [
      ...(live === undefined ? [] : [paint.live(`- ${path}: ${show(live)}`)]),
      ...(wanted === undefined ? [] : [paint.wanted(`+ ${path}: ${show(wanted)}`)]),
    ];
  }
}

function show(value: unknown): string {
  const text = printable(typeof value === 'string' ? value : JSON.stringify(value));
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}… (${text.length} characters)`;
}
