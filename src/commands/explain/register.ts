import { Argument, Option, type Command } from 'commander';
import { addCommand, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { addContextsFlag } from '../globalflags.ts';
import type { ExplainOptions } from './run.ts';

const PLACES = 'pod/[NAMESPACE/]NAME, node/NAME or an address, with CLUSTER: in front where it is not clear';

/** `subctl explain FROM TO`. */
export function registerExplain(program: Command, context: CommandContext): void {
  addCommand<ExplainOptions>(program, context, {
    name: 'explain',
    summary: 'follow a packet from one cluster to another and back, hop by hop',
    description:
      'Reads every hop of a packet’s way live (routes, overlay, gateways, cables, Services, and the way back), sends echo requests along it, and names the first hop that breaks it, the cause and what mends it.',
    group: GROUPS.look,
    examples: [
      { what: 'From a pod to a Service', command: 'subctl explain east:pod/default/client west:service/default/echo' },
      { what: 'From a node to an address', command: 'subctl explain node/east-2 10.131.2.3' },
      { what: 'As it was when gather looked', command: 'subctl explain --archive gather.tar.gz 10.130.2.3 10.131.2.3' },
    ],
    arguments: [
      new Argument('<from>', `where the packet starts: ${PLACES}`),
      new Argument('<to>', 'where it is for: the same, or service/[NAMESPACE/]NAME'),
    ],
    flags: (command) => {
      addContextsFlag(command);
      command.addOption(new Option('--archive <file>', 'read an archive of subctl gather instead of the clusters'));
    },
    run: async (run, args, options) => (await import('./run.ts')).explain(run, args, options),
  });
}
