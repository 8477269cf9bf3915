import type { Command } from 'commander';
import { addCommand, addGroup, booleanFlag, type Example, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { addContextsFlag } from '../globalflags.ts';

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

interface ConnectionOptions {
  readonly wait: boolean;
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
  for (const [name, summary, examples] of SUBCOMMANDS) {
    addCommand(group, context, {
      name,
      summary,
      examples,
      flags: addContextsFlag,
      run: async (run) => (await import('./run.ts')).show(run, name),
    });
  }
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
      { what: 'In a script, before tests', command: 'subctl show connections --wait --timeout 2m' },
    ],
    flags: (command) => {
      addContextsFlag(command);
      booleanFlag(command, 'wait', 'wait until all expected connections work', false);
    },
    run: async (run, _args, options) => {
      if (options.wait) await (await import('./wait.ts')).waitForConnections(run);
      await (await import('./run.ts')).show(run, 'connections');
    },
  });
}
