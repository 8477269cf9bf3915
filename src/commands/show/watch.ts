import { parseGoDuration } from '../../api/duration.ts';
import type { CommandRun } from '../context.ts';
import { type Column, renderStructured, renderTable } from '../output.ts';
import { lookAgain, type Teller, timeNow } from './again.ts';
import { appendedLines, type Rows } from './appended.ts';
import { connectionsView, type ConnectionItem } from './connections.ts';
import { chooseContexts, overClusters } from './loop.ts';
import { Screen } from './screen.ts';
import { namesIn, notJoined, readSections, sectionText, structured, viewsNamed } from './sections.ts';
import type { Section, Sections } from './sections.ts';
import { History, sparkline } from './sparkline.ts';
import type { Shown, View } from './view.ts';

/** Looks a sparkline goes back. */
const HISTORY = 30;

function nameOf({ cluster, gateway, remoteCluster, remoteGateway }: ConnectionItem): string {
  return [cluster, gateway, remoteCluster, remoteGateway].join('/');
}

function connectionsIn({ view, shown }: Section): readonly ConnectionItem[] {
  return view === connectionsView ? (shown.items as readonly ConnectionItem[]) : [];
}

/** The last round-trip time of every connection that has one. */
function roundTrips({ results }: Sections): ReadonlyMap<string, number | undefined> {
  const items = results.flatMap(({ value }) => value.flatMap(connectionsIn));
  return new Map(
    items.map((item) => [
      nameOf(item),
      item.status === 'connected' && item.rtt !== null ? parseGoDuration(item.rtt.last) : undefined,
    ]),
  );
}

function describeHistory({ rtt }: ConnectionItem, values: readonly (number | undefined)[]): string {
  const now = rtt === null ? undefined : parseGoDuration(rtt.last);
  return `${(now === undefined ? '-' : `${now.toFixed(2)} ms`).padStart(9)} ${sparkline(values)}`;
}

/** What fits a narrow terminal with a sparkline; the rest does not change from look to look. */
function liveColumns(history: History, wide: boolean): readonly Column<ConnectionItem>[] {
  return [
    { header: 'CLUSTER', value: ({ remoteCluster }) => remoteCluster, maxWidth: 24 },
    { header: 'GATEWAY', value: ({ remoteGateway }) => remoteGateway, maxWidth: 24 },
    ...(wide ? [{ header: 'LOCAL GATEWAY', value: ({ gateway }: ConnectionItem) => gateway }] : []),
    { header: 'CABLE DRIVER', value: ({ cableDriver }) => cableDriver },
    { header: 'STATUS', value: ({ status }) => status },
    { header: 'RTT now and before', value: (item) => describeHistory(item, history.of(nameOf(item))) },
    ...(wide ? [{ header: 'MESSAGE', value: ({ message }: ConnectionItem) => message }] : []),
  ];
}

function withSparklines(section: Section, history: History): Section {
  const items = connectionsIn(section);
  if (items.length === 0) return section;
  const table = (wide: boolean): string => renderTable(liveColumns(history, wide), items, wide);
  const shown: Shown = { ...section.shown, table };
  return { ...section, shown };
}

/** Everything as one text: what is a warning elsewhere stands below the cluster it is about. */
function frameOf(seen: Sections, views: readonly View[], wide: boolean): string {
  const clusters = seen.results.map(({ cluster, value }) => {
    const remark = notJoined(cluster, views);
    const sections = value.map((section) => {
      const title = views.length > 1 ? `${section.view.name.toUpperCase()}\n` : '';
      const empty = section.shown.items.length === 0 ? `  ⚠ ${section.view.empty}\n` : '';
      return `${title}${empty}${sectionText(section, wide)}`;
    });
    return `Cluster "${cluster.cluster}"\n${remark === undefined ? '' : `  ⚠ ${remark}\n`}${sections.join('')}\n`;
  });
  const problems = seen.problems.map(({ context, message }) => `  ✗ context ${context}: ${message}\n`);
  return `${clusters.join('')}${problems.join('')}`;
}

function liveTeller(run: CommandRun, views: readonly View[]): Teller<Sections> {
  const screen = new Screen(run.context.terminal.stdout);
  const history = new History(HISTORY);
  return {
    tell: async (seen) => {
      history.note(roundTrips(seen));
      const results = seen.results.map(({ cluster, value }) => ({
        cluster,
        value: value.map((section) => withSparklines(section, history)),
      }));
      screen.draw(`${timeNow(run)}\n\n${frameOf({ ...seen, results }, views, run.flags.output === 'wide')}`);
    },
    end: () => screen.end(),
  };
}

/** One line for each thing that is new, has changed or is gone. */
function appendingTeller(run: CommandRun, views: readonly View[]): Teller<Sections> {
  let before: Rows | undefined;
  return {
    tell: async (seen) => {
      const { rows, lines } = appendedLines(seen, before, {
        wide: run.flags.output === 'wide',
        named: run.flags.output === 'name' ? namesIn(seen) : undefined,
        time: timeNow(run),
        withView: views.length > 1,
      });
      before = rows;
      run.print(lines.map((line) => `${line}\n`).join(''));
    },
    end: () => undefined,
  };
}

/** One document for each look: a line of JSON, or a document of a YAML stream. */
function structuredTeller(run: CommandRun, name: string): Teller<Sections> {
  return {
    tell: async (seen) => {
      const value = { time: new Date(run.context.clock.now()).toISOString(), ...structured(name, seen) };
      if (run.flags.output === 'json') run.print(`${JSON.stringify(value)}\n`);
      else run.print(`---\n${await renderStructured(value, 'yaml')}`);
    },
    end: () => undefined,
  };
}

function chooseTeller(run: CommandRun, name: string): Teller<Sections> {
  const { output } = run.flags;
  if (output === 'json' || output === 'yaml') return structuredTeller(run, name);
  const views = viewsNamed(name);
  const live = run.context.terminal.stdout.isTTY && run.context.env['TERM'] !== 'dumb' && output !== 'name';
  return live ? liveTeller(run, views) : appendingTeller(run, views);
}

/**
 * Shows views again and again until it is interrupted or --timeout is over: redrawn in place on a terminal, else as lines
 * for what has changed. What cannot be looked at is shown as such and tried again.
 */
export async function watchShow(run: CommandRun, name: string, intervalMs: number): Promise<void> {
  const views = viewsNamed(name);
  const contexts = await chooseContexts(run);
  await lookAgain(run, intervalMs, chooseTeller(run, name), async () =>
    overClusters(run, async (cluster) => readSections(cluster, views), contexts),
  );
}
