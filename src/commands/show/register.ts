import { type Command, InvalidArgumentError, Option } from 'commander';
import { addCommand, addGroup, booleanFlag, type Example, GROUPS } from '../command.ts';
import type { CommandContext, CommandRun } from '../context.ts';
import { addContextsFlag, durationFlag } from '../globalflags.ts';
import type { TopologyFormat } from './topology/run.ts';

/** Name, summary and examples of each `show` subcommand; the views themselves are loaded when they run. */
const SUBCOMMANDS: readonly (readonly [string, string, readonly Example[]])[] = [
  ['endpoints', 'ends of the tunnels as the gateways know them', [example('endpoints', '')]],
  ['gateways', 'gateway nodes and which of them is active', [example('gateways', ' -o wide')]],
  ['networks', 'pod and Service CIDRs and where they are known from', [example('networks', '')]],
  ['clusters', 'clusters of the set and their networks', [example('clusters', ' --contexts east,west')]],
  ['brokers', 'brokers and their settings', [example('brokers', '')]],
  ['routeagents', 'nodes and what is wrong with their routes', [example('routeagents', '')]],
  ['versions', 'versions of the deployed components', [example('versions', '')]],
  ['all', 'all of it', [example('all', ' -o yaml')]],
];

function example(name: string, rest: string): Example {
  return {
    what: rest === '' ? 'Of all clusters in the kubeconfig' : 'For example',
    command: `subctl show ${name}${rest}`,
  };
}

interface WatchOptions {
  readonly watch: boolean;
  /** Milliseconds. */
  readonly interval: number;
}

interface ConnectionOptions extends WatchOptions {
  readonly wait: boolean;
}

/** Looks much closer together than gateways report would only be a burden. */
const LEAST_INTERVAL_MS = 200;

function intervalFlag(text: string): number {
  const ms = durationFlag(text);
  if (ms >= LEAST_INTERVAL_MS) return ms;
  throw new InvalidArgumentError(`Give at least ${LEAST_INTERVAL_MS}ms.`);
}

function addWatchFlags(command: Command): Command {
  booleanFlag(command, 'watch', 'go on showing: in place on a terminal, else a line for each change', false);
  return command.addOption(
    new Option('--interval <duration>', 'time between two looks of --watch')
      .argParser(intervalFlag)
      .default(2000, '2s'),
  );
}

async function showOrWatch(run: CommandRun, name: string, options: WatchOptions): Promise<void> {
  if (options.watch) await (await import('./watch.ts')).watchShow(run, name, options.interval);
  else await (await import('./run.ts')).show(run, name);
}

/** `subctl show …`. */
export function registerShow(program: Command, context: CommandContext): void {
  const group = addGroup(program, {
    name: 'show',
    summary: 'show connections, gateways, networks and more',
    description: 'Shows the state of the clusters in the kubeconfig; choose some with --contexts, one with --context.',
    group: GROUPS.look,
    examples: [
      { what: 'Are the clusters connected?', command: 'subctl show connections' },
      { what: 'Everything, for a script', command: 'subctl show all -o json' },
    ],
  });
  addConnections(group, context);
  addTopology(group, context);
  for (const [name, summary, examples] of SUBCOMMANDS) {
    addCommand<WatchOptions>(group, context, {
      name,
      summary,
      examples,
      flags: (command) => void addWatchFlags(addContextsFlag(command)),
      run: async (run, _args, options) => showOrWatch(run, name, options),
    });
  }
}

/** The forms are those of `topology/run.ts`, which is loaded only when it runs. */
function addTopology(group: Command, context: CommandContext): void {
  addCommand<WatchOptions & { readonly output: TopologyFormat }>(group, context, {
    name: 'topology',
    summary: 'clusters, gateways and cables as a picture',
    description:
      'Draws the clusters of the set, their gateways and the cables between them, coloured by health. A cable is as healthy as the worse of what its two ends say.',
    examples: [
      { what: 'On the terminal', command: 'subctl show topology' },
      { what: 'Stay and see it change', command: 'subctl show topology --watch' },
      { what: 'As a picture', command: 'subctl show topology -o svg > clusterset.svg' },
      { what: 'For Graphviz', command: 'subctl show topology -o dot | dot -Tpng > clusterset.png' },
    ],
    flags: (command) => {
      addWatchFlags(addContextsFlag(command)).addOption(
        new Option('-o, --output <format>', 'form of the result')
          .choices(['text', 'dot', 'svg', 'json', 'yaml', 'name'])
          .default('text'),
      );
    },
    run: async (run, _args, { output, watch, interval }) => {
      if (watch) await (await import('./topology/watch.ts')).watchTopology(run, output, interval);
      else await (await import('./topology/run.ts')).showTopology(run, output);
    },
  });
}

function addConnections(group: Command, context: CommandContext): void {
  addCommand<ConnectionOptions>(group, context, {
    name: 'connections',
    summary: 'tunnels to the other clusters and their state',
    description:
      'Shows the tunnels of the active gateway of each cluster. With --wait it returns as soon as every cluster is connected to every ' +
      'other one and probes come back, and fails when that takes longer than --timeout.',
    examples: [
      { what: 'With messages and round-trip times', command: 'subctl show connections -o wide' },
      { what: 'Stay and see round-trip times change', command: 'subctl show connections --watch' },
      { what: 'In a script, before tests', command: 'subctl show connections --wait --timeout 2m' },
    ],
    flags: (command) => {
      addWatchFlags(addContextsFlag(command));
      booleanFlag(command, 'wait', 'wait until all expected connections work', false);
    },
    run: async (run, _args, options) => {
      if (options.wait) await (await import('./wait.ts')).waitForConnections(run);
      await showOrWatch(run, 'connections', options);
    },
  });
}
