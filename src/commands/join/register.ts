import type { Command } from 'commander';
import { addCommand, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { addJoinFlags } from './flags.ts';
import type { JoinOptions } from './options.ts';

/** `subctl join <broker-info.subm>`. */
export function registerJoin(program: Command, context: CommandContext): void {
  addCommand<JoinOptions>(program, context, {
    name: 'join <broker-info.subm>',
    summary: 'join a cluster to the others',
    description:
      'Checks everything first, claims the cluster ID on the broker, deploys gateway engine and route agents, and waits until they work. ' +
      'Running it again changes nothing; after an interruption it completes what is missing. ' +
      'Flags not given keep what the Submariner object of a joined cluster records; those given change it, after a question.',
    group: GROUPS.setup,
    examples: [
      { what: 'Join the cluster of a context', command: 'subctl join broker-info.subm --context east' },
      {
        what: 'Say everything, ask nothing',
        command:
          'subctl join broker-info.subm --clusterid east --gateway-nodes east-1 --clustercidr 10.42.0.0/16 --servicecidr 10.43.0.0/16',
      },
      { what: 'Manifests for GitOps, nothing is changed', command: 'subctl join broker-info.subm --dry-run -o yaml' },
      {
        what: 'Let kubectl do what join does (twice for a new cluster)',
        command: 'subctl join broker-info.subm --dry-run --include all | kubectl apply --server-side -f -',
      },
    ],
    flags: addJoinFlags,
    run: async (run, args, options) => (await import('./run.ts')).join(run, args[0] ?? '', options),
  });
}
