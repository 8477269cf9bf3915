import type { Submariner } from '../../api/types.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import type { ObjectDrift } from '../drift/comparison.ts';
import { describeDrift, driftPaint } from '../drift/render.ts';
import { renderStructured } from '../output.ts';
import { type LoopResult, overClusters } from '../show/loop.ts';
import { reportProblems } from '../show/run.ts';
import type { ShownCluster } from '../show/view.ts';
import { type ClusterDrift, compareCluster, notComparable } from './compare.ts';
import type { DiffOptions } from './options.ts';

type Found = LoopResult<ClusterDrift | undefined>;

/** `subctl diff`: rejects with ExpectedError when something differs, or could not be compared. */
export async function diff(run: CommandRun, options: DiffOptions): Promise<void> {
  const step = run.reporter.start('Comparing with what join would apply');
  const { connection } = run.flags;
  const chosen = connection.context !== undefined || connection.contexts !== undefined;
  const found: Found = await overClusters(run, async (cluster) => {
    const reason = notComparable(cluster);
    if (reason === undefined) return compareCluster(run, cluster as Joined, options);
    if (chosen) throw new ExpectedError(reason);
    return undefined;
  }).finally(() => step.clear());
  await print(run, found);
  finish(found);
}

type Joined = ShownCluster & { readonly submariner: Submariner };

/** One row of -o json: an object with the cluster that it belongs to. */
function items({ results }: Found): readonly object[] {
  return results.flatMap(({ cluster, value }) =>
    (value?.objects ?? []).map(({ changes, ...drift }) => ({
      cluster: cluster.clusterId,
      ...drift,
      changes: changes.map(({ path, live = null, wanted = null }) => ({ path, live, wanted })),
    })),
  );
}

function differing(value: ClusterDrift | undefined): readonly ObjectDrift[] {
  return (value?.objects ?? []).filter(({ state }) => state !== 'same');
}

async function print(run: CommandRun, found: Found): Promise<void> {
  const { output } = run.flags;
  const { results, problems } = found;
  if (output === 'json' || output === 'yaml') {
    const unchecked = results.flatMap(({ cluster, value }) =>
      (value?.unchecked ?? []).map((one) => ({ cluster: cluster.clusterId, ...one })),
    );
    run.print(await renderStructured({ items: items(found), unchecked, problems }, output));
  } else if (output === 'name') {
    const drifts = results.flatMap(({ value }) => differing(value));
    run.print(drifts.map(({ kind, name }) => `${kind.toLowerCase()}/${name}\n`).join(''));
  } else {
    for (const { cluster, value } of results) printCluster(run, cluster, value);
  }
  reportProblems(run, problems);
}

function printCluster(run: CommandRun, cluster: ShownCluster, value: ClusterDrift | undefined): void {
  const { reporter } = run;
  if (value === undefined) {
    reporter.warn(notComparable(cluster) ?? '');
    return;
  }
  const drifts = differing(value);
  const shown = run.flags.output === 'wide' ? value.objects : drifts;
  const paint = driftPaint(run);
  const texts = shown.map((drift) => describeDrift(drift, paint));
  if (texts.length > 0) run.print(`Cluster "${cluster.cluster}"\n${texts.join('')}\n`);
  for (const { what, reason } of value.unchecked) reporter.warn(`not compared: ${what}: ${reason}`);
  if (drifts.length > 0) return;
  reporter.done(`Cluster ${cluster.clusterId}: all ${value.objects.length} objects are as join would apply them`);
}

function finish({ results, problems }: Found): void {
  const compared = results.filter(({ value }) => value !== undefined);
  if (problems.length > 0) {
    throw new ExpectedError(
      `${problems.length} of ${results.length + problems.length} clusters could not be compared`,
      {
        hint: 'Choose the clusters to compare with --context or --contexts.',
      },
    );
  }
  if (compared.length === 0) {
    throw new ExpectedError('no cluster has joined, so there is nothing to compare', { hint: 'subctl join does it.' });
  }
  const drifts = compared.flatMap(({ value }) => differing(value));
  if (drifts.length === 0) return;
  const own = drifts.some(({ on }) => on === 'cluster');
  throw new ExpectedError(`${drifts.length} ${drifts.length === 1 ? 'object differs' : 'objects differ'}`, {
    hint: own
      ? 'subctl upgrade puts objects back in step with this subctl, after showing what it does; subctl join changes what is recorded.'
      : 'subctl join or subctl deploy-broker puts objects of the broker back; subctl diagnose broker tells more.',
  });
}
