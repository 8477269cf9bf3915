import type { Command } from 'commander';
import { addCommand, booleanFlag, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { addContextsFlag } from '../globalflags.ts';
import type { DiffOptions } from './options.ts';

/** `subctl diff [broker-info.subm]`. */
export function registerDiff(program: Command, context: CommandContext): void {
  addCommand<DiffOptions>(program, context, {
    name: 'diff [broker-info.subm]',
    summary: 'what in a cluster is not as join left it',
    description:
      'Compares what join would apply, from what it recorded and the manifests of this subctl, with what is in the clusters and on their broker. ' +
      'Fields that others own are no difference. Changes nothing; it needs the right to patch, since the API server is asked what applying would change. ' +
      'Exits with 0 when nothing differs, else with 1. With broker-info.subm it also looks at the account of the cluster on the broker.',
    group: GROUPS.look,
    examples: [
      { what: 'All joined clusters of the kubeconfig', command: 'subctl diff' },
      { what: 'In CI: fail when somebody changed something', command: 'subctl diff --context east -o json' },
      { what: 'Also accounts and roles on the broker', command: 'subctl diff broker-info.subm --context west' },
    ],
    flags: (command: Command) => {
      addContextsFlag(command).option('--broker-context <name>', "use the context of the broker's cluster");
      booleanFlag(command, 'only-cluster', 'leave the broker out', false);
    },
    run: async (run, [file], options) =>
      (await import('./run.ts')).diff(run, file === undefined ? options : { ...options, brokerInfo: file }),
  });
}
