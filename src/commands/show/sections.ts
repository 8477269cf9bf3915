import { brokersView } from './brokers.ts';
import { clustersView } from './clusters.ts';
import { connectionsView } from './connections.ts';
import { credentialsView } from './credentials.ts';
import { endpointsView } from './endpoints.ts';
import { gatewaysView } from './gateways.ts';
import type { LoopResult } from './loop.ts';
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

/** What a view found in one cluster. */
export interface Section {
  readonly view: View;
  readonly shown: Shown;
}

/** What was found in all clusters. */
export type Sections = LoopResult<readonly Section[]>;

/** The view of a name; every view with `all`. */
export function viewsNamed(name: string): readonly View[] {
  return name === 'all' ? VIEWS : [...VIEWS, credentialsView].filter((view) => view.name === name);
}

/** Reads what the views show of one cluster; views for joined clusters only are left out for others. */
export async function readSections(cluster: ShownCluster, views: readonly View[]): Promise<readonly Section[]> {
  const applicable = views.filter((view) => !view.joinedOnly || cluster.submariner !== undefined);
  return Promise.all(applicable.map(async (view) => ({ view, shown: await view.read(cluster) })));
}

/** `{items, problems}` of one view, or an object of such item lists by view for `all`. */
export function structured(name: string, { results, problems }: Sections): object {
  const itemsOf = (view: View): readonly object[] =>
    results.flatMap(({ value }) =>
      value.filter((section) => section.view === view).flatMap(({ shown }) => shown.items),
    );
  if (name !== 'all') return { items: viewsNamed(name).flatMap(itemsOf), problems };
  return { ...Object.fromEntries(VIEWS.map((view) => [view.name, itemsOf(view)])), problems };
}

/** Names of everything found, as -o name prints them. */
export function namesIn({ results }: Sections): readonly string[] {
  return results.flatMap(({ value }) => value.flatMap(({ shown }) => shown.names));
}

/** What is said of a cluster that has not joined; undefined where that does not matter. */
export function notJoined({ cluster, submariner }: ShownCluster, views: readonly View[]): string | undefined {
  if (submariner !== undefined || !views.some(({ joinedOnly }) => joinedOnly)) return undefined;
  return `cluster ${cluster} has not joined: there is no Submariner object in namespace submariner-operator`;
}

/** Table and notes of one section; '' when it is empty. */
export function sectionText({ shown }: Section, wide: boolean): string {
  const table = shown.items.length === 0 ? '' : shown.table(wide);
  return `${table}${wide ? '' : shown.notes.map((note) => `  ${note}\n`).join('')}`;
}
