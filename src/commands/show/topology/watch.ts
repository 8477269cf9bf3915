import { UsageError } from '../../../runtime/errors.ts';
import type { CommandRun } from '../../context.ts';
import { printable, renderStructured } from '../../output.ts';
import { lookAgain, type Teller, timeNow } from '../again.ts';
import { changedLines, type Rows } from '../appended.ts';
import { chooseContexts, overClusters, type Problem } from '../loop.ts';
import { Screen } from '../screen.ts';
import { buildTopology, type Topology, type TopologyCable } from './model.ts';
import { namesIn, painter, readReport, type TopologyFormat } from './run.ts';
import { renderText } from './text.ts';

/** A topology at one look. */
interface Seen {
  readonly topology: Topology;
  readonly problems: readonly Problem[];
}

/** `subctl show topology --watch`: drawn in place on a terminal, else a line for what has changed; throws UsageError for pictures. */
export async function watchTopology(run: CommandRun, format: TopologyFormat, intervalMs: number): Promise<void> {
  if (format === 'svg' || format === 'dot') {
    throw new UsageError(`--watch cannot show -o ${format}: choose text, json, yaml or name`);
  }
  const contexts = await chooseContexts(run);
  await lookAgain(run, intervalMs, chooseTeller(run, format), async () => {
    const { results, problems } = await overClusters(run, readReport, contexts);
    return { topology: buildTopology(results.map(({ value }) => value)), problems };
  });
}

function chooseTeller(run: CommandRun, format: 'text' | 'json' | 'yaml' | 'name'): Teller<Seen> {
  if (format === 'json' || format === 'yaml') return structuredTeller(run, format);
  const live = run.context.terminal.stdout.isTTY && run.context.env['TERM'] !== 'dumb';
  return live && format === 'text' ? liveTeller(run) : appendingTeller(run, format);
}

function structuredTeller(run: CommandRun, format: 'json' | 'yaml'): Teller<Seen> {
  return {
    tell: async ({ topology, problems }) => {
      const value = { time: new Date(run.context.clock.now()).toISOString(), ...topology, problems };
      if (format === 'json') run.print(`${JSON.stringify(value)}\n`);
      else run.print(`---\n${await renderStructured(value, 'yaml')}`);
    },
    end: () => undefined,
  };
}

function liveTeller(run: CommandRun): Teller<Seen> {
  const { stdout } = run.context.terminal;
  const screen = new Screen(stdout);
  const paint = painter(run);
  return {
    tell: async ({ topology, problems }) => {
      const trouble = problems.map(({ context, message }) => `  ✗ context ${context}: ${printable(message)}\n`);
      const picture = renderText(topology, stdout.columns ?? 100, paint);
      screen.draw(`${timeNow(run)}\n\n${picture}${trouble.join('')}`);
      return Promise.resolve();
    },
    end: () => screen.end(),
  };
}

function appendingTeller(run: CommandRun, format: 'text' | 'name'): Teller<Seen> {
  let before: Rows | undefined;
  return {
    tell: async (seen) => {
      const rows = format === 'name' ? namedRows(seen) : rowsOf(seen);
      run.print(
        changedLines(rows, before, timeNow(run))
          .map((line) => `${line}\n`)
          .join(''),
      );
      before = rows;
      return Promise.resolve();
    },
    end: () => undefined,
  };
}

function namedRows({ topology }: Seen): Rows {
  const names = namesIn(topology)
    .split('\n')
    .filter((name) => name !== '');
  return new Map(names.map((name) => [name, name]));
}

/** What is worth a line: gateways and their part, cables and their health. Round-trip times change at every look. */
function rowsOf({ topology: { clusters, cables }, problems }: Seen): Rows {
  const gateways = clusters.flatMap(({ id, gateways: nodes }) =>
    nodes.map(({ node, haStatus, failure }) => {
      const name = `gateway ${id}/${node}`;
      return [name, printable([name, haStatus, failure].filter((word) => word !== '').join('   '))] as const;
    }),
  );
  const links = cables.map((cable) => [cableName(cable), cableRow(cable)] as const);
  const troubles = problems.map(({ context, message }) => {
    return [`context ${context}`, printable(`context ${context}: ${message}`)] as const;
  });
  return new Map([...gateways, ...links, ...troubles]);
}

function cableName({ from, to }: TopologyCable): string {
  const ends = [from, to].map(({ cluster, gateway }) => (gateway === '' ? cluster : `${cluster}/${gateway}`));
  return `cable ${ends.join(' ')}`;
}

function cableRow(cable: TopologyCable): string {
  const { health, cableDriver, message } = cable;
  return printable([cableName(cable), cableDriver, health, message].filter((word) => word !== '').join('   '));
}
