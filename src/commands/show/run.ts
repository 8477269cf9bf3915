import { ExpectedError } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { renderStructured } from '../output.ts';
import { overClusters, type Problem } from './loop.ts';
import { namesIn, notJoined, readSections, sectionText, structured, viewsNamed } from './sections.ts';
import type { Section, Sections } from './sections.ts';
import type { ShownCluster, View } from './view.ts';

/** Shows one view, or with `all` every view, of the chosen clusters. */
export async function show(run: CommandRun, name: string): Promise<void> {
  const views = viewsNamed(name);
  const loop = await overClusters(run, async (cluster) => readSections(cluster, views));
  if (run.flags.output === 'json' || run.flags.output === 'yaml') {
    run.print(await renderStructured(structured(name, loop), run.flags.output));
  } else if (run.flags.output === 'name') {
    run.print(
      namesIn(loop)
        .map((line) => `${line}\n`)
        .join(''),
    );
  } else {
    for (const result of loop.results) printCluster(run, result.cluster, views, result.value);
  }
  reportProblems(run, loop.problems);
  failIfNeeded(name, loop);
}

function printCluster(
  run: CommandRun,
  cluster: ShownCluster,
  views: readonly View[],
  sections: readonly Section[],
): void {
  const wide = run.flags.output === 'wide';
  run.print(`Cluster "${cluster.cluster}"\n`);
  const remark = notJoined(cluster, views);
  if (remark !== undefined) run.reporter.warn(remark);
  for (const section of sections) {
    const { view, shown } = section;
    if (views.length > 1) run.print(`${view.name.toUpperCase()}\n`);
    if (shown.items.length === 0) run.reporter.warn(`${view.empty} in cluster ${cluster.cluster}`);
    run.print(sectionText(section, wide));
    if (views.length > 1) run.print('\n');
  }
  if (views.length === 1) run.print('\n');
}

/** Says on stderr which clusters could not be looked at. */
export function reportProblems(run: CommandRun, problems: readonly Problem[]): void {
  for (const { context, message } of problems) run.reporter.fail(`context ${context}: ${message}`);
}

function failIfNeeded(name: string, { results, problems }: Sections): void {
  if (problems.length > 0) {
    throw new ExpectedError(
      `${problems.length} of ${results.length + problems.length} clusters could not be looked at`,
      {
        hint: 'Choose the clusters to look at with --context or --contexts.',
      },
    );
  }
  const empty = results.filter(({ value }) =>
    value.some(({ view, shown }) => view.emptyIsFailure && shown.items.length === 0),
  );
  if (name === 'all' || empty.length === 0) return;
  throw new ExpectedError(`no ${name} found in ${empty.map(({ cluster }) => cluster.cluster).join(', ')}`, {
    hint: 'subctl show gateways tells whether a gateway works, subctl show clusters which clusters are known.',
  });
}
