import type { CommandRun } from '../context.ts';
import type { ObjectDrift } from '../drift/comparison.ts';
import { type DriftPaint, describeDrift } from '../drift/render.ts';
import { describeChange } from '../join/changes.ts';
import { renderStructured } from '../output.ts';
import type { UpgradePlan } from './plan.ts';
import type { DoneStep } from './work.ts';

/** What became of an upgrade. */
export interface UpgradeResult {
  readonly cluster: string;
  readonly context: string;
  readonly outcome: 'planned' | 'unchanged' | 'upgraded' | 'rolled back' | 'interrupted' | 'failed';
  /** Why it was not upgraded; '' when it was. */
  readonly reason: string;
  readonly plan: UpgradePlan;
  readonly notes: readonly string[];
  readonly steps: readonly DoneStep[];
}

/** The plan as text. */
export function describePlan(cluster: string, plan: UpgradePlan, paint: DriftPaint): string {
  const { from, to, images, settings, objects, replacements } = plan;
  const title =
    from === to
      ? `Cluster ${cluster} to version ${to} as it is meant to be`
      : `Cluster ${cluster} from version ${from} to ${to}`;
  const changed = objects.filter(({ state }) => state !== 'extra');
  const names = { 'submariner-gateway': 'gateways', 'submariner-routeagent': 'route agents' } as const;
  return [
    `${title}\n`,
    ...images.map(({ component, before, after }) => `  image of ${component}: ${before} -> ${after}\n`),
    ...settings.map((change) => `  setting ${describeChange(change)}\n`),
    ...replacements
      .filter(({ nodes }) => nodes.length > 0)
      .map(({ daemonSet, nodes }) => `  new pods of ${names[daemonSet]}, in this order: ${nodes.join(', ')}\n`),
    ...objects
      .filter(({ state }) => state === 'extra')
      .map((one) => `  removed at the end, as ${to} does not have it: ${titleOf(one)}\n`),
    ...(changed.length === 0 ? [] : ['\n']),
    ...changed.map((drift) => describeDrift(drift, paint)),
  ].join('');
}

function titleOf({ kind, namespace, name }: ObjectDrift): string {
  return `${kind} ${namespace === null ? '' : `${namespace}/`}${name}`;
}

/** Prints the result when -o asks for data. */
export async function printUpgrade(run: CommandRun, { plan, ...result }: UpgradeResult): Promise<void> {
  const { output } = run.flags;
  if (output !== 'json' && output !== 'yaml') return;
  const { objects, ...rest } = plan;
  const rows = objects.map((drift) => ({
    ...drift,
    changes: drift.changes.map(({ path, live = null, wanted = null }) => ({ path, live, wanted })),
  }));
  const { cluster, context, outcome, reason, notes, steps } = result;
  const value = { cluster, context, outcome, reason, ...rest, objects: rows, notes, steps };
  run.print(await renderStructured(value, output));
}
