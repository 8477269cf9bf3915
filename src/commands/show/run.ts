import { ExpectedError } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { renderStructured } from '../output.ts';
import { brokersView } from './brokers.ts';
import { clustersView } from './clusters.ts';
import { connectionsView } from './connections.ts';
import { endpointsView } from './endpoints.ts';
import { gatewaysView } from './gateways.ts';
import { type LoopResult, overClusters, type Problem } from './loop.ts';
import { networksView } from './networks.ts';
import { routeAgentsView } from './routeagents.ts';
import { versionsView } from './versions.ts';
import type { Shown, ShownCluster, View } from './view.ts';

/** All views, in the order of `show all`. */
const VIEWS: readonly View[] = [
  brokersView,
  clustersView,
  connectionsView,
  endpointsView,
  gatewaysView,
  networksView,
  routeAgentsView,
  versionsView,
];

interface Section {
  readonly view: View;
  readonly shown: Shown;
}

/** Shows one view, or with `all` every view, of the chosen clusters. */
export async function show(run: CommandRun, name: string): Promise<void> {
  const views = VIEWS.filter((view) => name === 'all' || view.name === name);
  const loop = await overClusters(run, async (cluster) => readSections(cluster, views));
  if (run.flags.output === 'json' || run.flags.output === 'yaml') {
    run.print(await renderStructured(structured(name, loop), run.flags.output));
  } else if (run.flags.output === 'name') {
    const names = loop.results.flatMap(({ value }) => value.flatMap(({ shown }) => shown.names));
    run.print(names.map((line) => `${line}\n`).join(''));
  } else {
    for (const result of loop.results) printCluster(run, result.cluster, views, result.value);
  }
  reportProblems(run, loop.problems);
  failIfNeeded(name, loop);
}

async function readSections(cluster: ShownCluster, views: readonly View[]): Promise<readonly Section[]> {
  const applicable = views.filter((view) => !view.joinedOnly || cluster.submariner !== undefined);
  return Promise.all(applicable.map(async (view) => ({ view, shown: await view.read(cluster) })));
}

/** `{items, problems}` of one view, or an object of such item lists by view for `all`. */
function structured(name: string, { results, problems }: LoopResult<readonly Section[]>): object {
  const itemsOf = (view: View): readonly object[] =>
    results.flatMap(({ value }) =>
      value.filter((section) => section.view === view).flatMap(({ shown }) => shown.items),
    );
  if (name !== 'all') return { items: VIEWS.filter((view) => view.name === name).flatMap(itemsOf), problems };
  return { ...Object.fromEntries(VIEWS.map((view) => [view.name, itemsOf(view)])), problems };
}

function warnAboutNotJoined(run: CommandRun, cluster: string, views: readonly View[]): void {
  if (!views.some(({ joinedOnly }) => joinedOnly)) return;
  run.reporter.warn(
    `cluster ${cluster} has not joined: there is no Submariner object in namespace submariner-operator`,
  );
}

function printCluster(
  run: CommandRun,
  { cluster, submariner }: ShownCluster,
  views: readonly View[],
  sections: readonly Section[],
): void {
  const wide = run.flags.output === 'wide';
  run.print(`Cluster "${cluster}"\n`);
  if (submariner === undefined) warnAboutNotJoined(run, cluster, views);
  for (const { view, shown } of sections) {
    if (views.length > 1) run.print(`${view.name.toUpperCase()}\n`);
    const table = shown.items.length === 0 ? '' : shown.table(wide);
    if (table === '') run.reporter.warn(`${view.empty} in cluster ${cluster}`);
    run.print(table);
    if (!wide) run.print(shown.notes.map((note) => `  ${note}\n`).join(''));
    if (views.length > 1) run.print('\n');
  }
  if (views.length === 1) run.print('\n');
}

/** Says on stderr which clusters could not be looked at. */
export function reportProblems(run: CommandRun, problems: readonly Problem[]): void {
  for (const { context, message } of problems) run.reporter.fail(`context ${context}: ${message}`);
}

function failIfNeeded(name: string, { results, problems }: LoopResult<readonly Section[]>): void {
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
