import type { Command } from 'commander';
import { BROKER_INFO_FILE } from '../brokerinfoname.ts';
import { addCommand, addGroup, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { durationFlag } from '../globalflags.ts';
import type { CreateOptions, FromOptions } from './options.ts';

/** `subctl broker-info …`. */
export function registerBrokerInfo(program: Command, context: CommandContext): void {
  const group = addGroup(program, {
    name: 'broker-info',
    summary: 'files with which one cluster can join once',
    description:
      'Join files are broker-info.subm for one cluster: they end by themselves, when they have been used, or when they are revoked. ' +
      'The broker-info.subm of deploy-broker is needed to make them, and no access to a cluster.',
    group: GROUPS.setup,
    examples: [
      { what: 'For cluster west, to be used within an hour', command: 'subctl broker-info create --clusterid west' },
      { what: 'Those that were not used yet', command: 'subctl broker-info list' },
    ],
  });
  addCreate(group, context);
  addCommand<FromOptions>(group, context, {
    name: 'list',
    summary: 'join files that were not used yet',
    examples: [{ what: 'For a script', command: 'subctl broker-info list -o json' }],
    flags: addFrom,
    run: async (run, _args, options) => (await import('./run.ts')).listJoinFiles(run, options),
  });
  addCommand<FromOptions>(group, context, {
    name: 'revoke <name...>',
    summary: 'end join files at once',
    examples: [{ what: 'One that was lost', command: 'subctl broker-info revoke join-west-1f3a09c2' }],
    flags: addFrom,
    run: async (run, args, options) => (await import('./run.ts')).revokeJoinFiles(run, args, options),
  });
}

function addCreate(group: Command, context: CommandContext): void {
  addCommand<CreateOptions>(group, context, {
    name: 'create',
    summary: 'write a file with which one cluster can join once',
    description:
      'Writes a broker-info.subm that lets one cluster join, and nothing more: join exchanges its credential for one of the ' +
      "cluster's own and ends it. With --clusterid only under that ID.",
    examples: [
      { what: 'To be used within an hour', command: 'subctl broker-info create --clusterid west --expires 1h' },
      { what: 'Under a name of its own', command: 'subctl broker-info create --clusterid west -f /secure/west.subm' },
    ],
    flags: (command) => {
      addFrom(command);
      command
        .option('--clusterid <id>', 'the only ID under which a cluster may join with the file (default: any)')
        .option('--expires <duration>', 'how long the file is good for (default: 1h)', durationFlag, 3_600_000)
        .option('-f, --file <file>', 'where to write it (default: join-<clusterid>.subm)');
    },
    run: async (run, _args, options) => (await import('./run.ts')).createJoinFile(run, options),
  });
}

function addFrom(command: Command): void {
  command.option('--from <file>', "the administrator's file of the broker", BROKER_INFO_FILE);
}
