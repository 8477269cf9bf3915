import type { Command } from 'commander';
import { addCommand, booleanFlag, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { listFlag } from '../globalflags.ts';
import type { UpgradeOptions } from './options.ts';

/** `subctl upgrade`. */
export function registerUpgrade(program: Command, context: CommandContext): void {
  addCommand<UpgradeOptions>(program, context, {
    name: 'upgrade',
    summary: 'bring a joined cluster to the version of this subctl',
    description:
      'Shows what would change (images, manifests, CRDs, settings), asks, and does it while traffic flows: CRDs and roles, then the route agents, then the gateways, ' +
      'those on standby first; the active one hands over before it is replaced. Each new pod has to be healthy before the next one is replaced; when one is not, everything goes ' +
      'back to how it was. What a former version applied and this one does not is removed at the end. Interrupted, run it again: it goes on.',
    group: GROUPS.setup,
    examples: [
      { what: 'See what would change', command: 'subctl upgrade --context east --dry-run' },
      { what: 'Upgrade a cluster, then the next one', command: 'subctl upgrade --context east' },
      { what: 'In a script', command: 'subctl upgrade --context east --yes --timeout 15m -o json' },
      { what: 'Go back after an interruption', command: 'subctl upgrade --context east --rollback' },
    ],
    flags: addFlags,
    run: async (run, _args, options) => (await import('./run.ts')).upgrade(run, options),
  });
}

function addFlags(command: Command): void {
  command
    .option('--to-version <tag>', 'tag of the images (default: the version of subctl)')
    .option('--repository <name>', 'repository of the images (default: the one that is recorded)')
    .option('--image-override <component=image>', 'image of one component; may be given several times', listFlag);
  booleanFlag(command, 'dry-run', 'show what would change and change nothing', false);
  booleanFlag(command, 'rollback', 'undo an upgrade that was interrupted', false);
  booleanFlag(command, 'force', 'also while another subctl changes the cluster, which then stops', false);
  booleanFlag(command, 'take-over', 'also objects that another tool (Argo CD, Flux, Helm) applies', false);
}
