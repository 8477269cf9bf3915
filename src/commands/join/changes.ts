import type { Submariner } from '../../api/types.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { ANNOTATIONS } from './record.ts';

/** One setting that a second join changes. */
export interface Change {
  readonly name: string;
  readonly before: string;
  readonly after: string;
}

const PREFIX = 'subctl.submariner.io/';
/** They say where a setting comes from, and are none themselves. */
const NO_SETTINGS: ReadonlySet<string> = new Set([
  ANNOTATIONS.podSource,
  ANNOTATIONS.serviceSource,
  ANNOTATIONS.plugin,
  ANNOTATIONS.brokerUrl,
]);

/** Every setting in which two Submariner objects differ, by the name of its field or annotation. */
export function settingChanges(before: Submariner, after: Submariner): readonly Change[] {
  const [from, to] = [settings(before), settings(after)];
  const names = [...new Set([...from.keys(), ...to.keys()])].toSorted();
  return names
    .map((name) => ({ name, before: from.get(name) ?? 'none', after: to.get(name) ?? 'none' }))
    .filter((change) => change.before !== change.after)
    .map((change) => (change.name === 'brokerK8sCA' ? { ...change, before: 'one', after: 'another' } : change));
}

/** `name: before -> after`. */
export function describeChange({ name, before, after }: Change): string {
  return `${name}: ${before} -> ${after}`;
}

function settings({ spec, metadata }: Submariner): ReadonlyMap<string, string> {
  const annotations = Object.entries(metadata.annotations ?? {})
    .filter(([name]) => name.startsWith(PREFIX) && !NO_SETTINGS.has(name))
    .map(([name, value]) => [name.slice(PREFIX.length), value] as const);
  return new Map([...flatten('', spec), ...annotations]);
}

/** Empty values say the same as absent ones: which of them is written depends on who wrote the object. */
function flatten(prefix: string, value: object): readonly (readonly [string, string])[] {
  return Object.entries(value).flatMap(([key, inner]: readonly [string, unknown]) => {
    const name = `${prefix}${key}`;
    if (typeof inner === 'object' && inner !== null && !Array.isArray(inner)) return flatten(`${name}.`, inner);
    const text = Array.isArray(inner) ? inner.join(',') : textOf(inner);
    return text === '' ? [] : [[name, text] as const];
  });
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? '').replace(/^""$/, '');
}

/** Shows what a second join changes. */
export function showChanges({ reporter }: CommandRun, cluster: string, changes: readonly string[]): void {
  if (changes.length === 0) return;
  reporter.warn(`this changes what cluster ${cluster} has now:`);
  for (const change of changes) reporter.info(`   ${change}`);
}

/** Shows what a second join changes and lets the operator agree; rejects with ExpectedError when nobody does. */
export async function agreeToChanges(run: CommandRun, cluster: string, changes: readonly string[]): Promise<void> {
  const { flags, context } = run;
  showChanges(run, cluster, changes);
  if (changes.length === 0 || flags.yes) return;
  if (!context.terminal.interactive) {
    throw new ExpectedError(`nobody agreed to the changes of cluster ${cluster}: ${changes.join('; ')}`, {
      hint: 'Agree with --yes, or see the manifests with --dry-run. Flags that are not given keep what was recorded. Nothing was changed.',
    });
  }
  if (!(await context.prompter.confirm('Change them?'))) {
    throw new ExpectedError('not changed', { hint: 'Nothing was changed.' });
  }
}
