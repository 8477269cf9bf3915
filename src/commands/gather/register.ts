import type { Command } from 'commander';
import { addCommand, booleanFlag, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { addContextsFlag, integerFlag, listFlag } from '../globalflags.ts';
import type { GatherOptions } from './run.ts';

/** `subctl gather`. */
export function registerGather(program: Command, context: CommandContext): void {
  addCommand<GatherOptions>(program, context, {
    name: 'gather',
    summary: 'collect what support needs into one archive',
    description:
      'Writes an archive with the objects, logs and daemon states of the clusters in the kubeconfig, without secrets, and an index of what is ' +
      'there and what could not be had. A part that fails does not stop the others. It changes nothing in the clusters.',
    group: GROUPS.look,
    examples: [
      { what: 'Everything of all clusters', command: 'subctl gather' },
      { what: 'Of two clusters, into a directory', command: 'subctl gather --contexts east,west --dir evidence' },
      { what: 'Only logs and states of one node', command: 'subctl gather --type logs,state --nodes east-1' },
    ],
    flags: addFlags,
    run: async (run, _args, options) => (await import('./run.ts')).gather(run, options),
  });
}

function addFlags(command: Command): void {
  addContextsFlag(command);
  command
    .option('--file <name>', 'name of the archive (default: submariner-TIME.tar.gz in the current directory)')
    .option('--dir <directory>', 'write a directory instead of an archive')
    .option('--type <types>', 'resources, logs, state; comma-separated (default: all)', listFlag)
    .option('--nodes <names>', 'logs and states of these nodes only, comma-separated', listFlag)
    .option('--log-lines <count>', 'last lines of each log', integerFlag(1, 10_000_000), 10_000);
  booleanFlag(command, 'workloads', 'pods, Services and policies of all namespaces, not only of ours', true);
  command.addOption(
    command.createOption('--module <names>', 'accepted as upstream has it; all are gathered').hideHelp(),
  );
  command.addOption(command.createOption('--include-sensitive-data').hideHelp());
}
