import type { Command } from 'commander';
import { addCommand, booleanFlag, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { listFlag } from '../globalflags.ts';
import type { UninstallOptions } from './options.ts';

/** `subctl uninstall`. */
export function registerUninstall(program: Command, context: CommandContext): void {
  addCommand<UninstallOptions>(program, context, {
    name: 'uninstall',
    summary: 'take a cluster out of its set, leaving nothing behind',
    description:
      'Shows what there is, asks, and removes everything that join and deploy-broker made: on the broker, on every node, in the cluster. ' +
      'The broker goes too when it is in this cluster and no other cluster is joined. Running it again goes on where it stopped.',
    group: GROUPS.setup,
    examples: [
      { what: 'Take a cluster out', command: 'subctl uninstall --context west' },
      { what: 'See what would go', command: 'subctl uninstall --context west --dry-run' },
      {
        what: 'The member may not give up its claim (joined by an older version)',
        command: 'subctl uninstall --context west --broker-context east',
      },
      { what: 'A node that was away then is back', command: 'subctl uninstall --context west --nodes west-2' },
    ],
    flags: addFlags,
    run: async (run, _args, options) => (await import('./run.ts')).uninstall(run, options),
  });
}

function addFlags(command: Command): void {
  command
    .option('--broker-info <file>', "use the broker's credentials of a broker-info.subm instead of the member's")
    .option('--broker-context <name>', "use the context of the broker's cluster instead of the member's credentials")
    .option('--nodes <names>', 'only clean these nodes, of a cluster that was uninstalled; comma-separated', listFlag)
    .option('--repository <name>', 'repository of the images that clean nodes (default: those that run)')
    .option('--version <tag>', 'their tag')
    .option('--image-override <component=image>', 'image of one component; may be given several times', listFlag);
  booleanFlag(command, 'keep-broker', 'leave a broker in this cluster alone', false);
  booleanFlag(command, 'force', 'remove the broker although other clusters are joined', false);
  booleanFlag(command, 'dry-run', 'show what would be removed and change nothing', false);
}
