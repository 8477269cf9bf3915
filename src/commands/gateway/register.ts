import type { Command } from 'commander';
import { addCommand, addGroup, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import type { MoveOptions } from './options.ts';

/** `subctl gateway …`. */
export function registerGateway(program: Command, context: CommandContext): void {
  const group = addGroup(program, {
    name: 'gateway',
    summary: 'move the active gateway of a cluster',
    description: 'Works on the gateways of a cluster; `subctl show gateways` shows them.',
    group: GROUPS.setup,
    examples: [{ what: 'Before a node is taken down', command: 'subctl gateway move --context east' }],
  });
  addCommand<MoveOptions>(group, context, {
    name: 'move',
    summary: 'hand the traffic over to a standby gateway',
    description:
      'Makes a standby gateway the active one, without losing a packet: its cables are up already, the other clusters and the nodes switch, and only then the ' +
      'former gateway lets go. Without --to it takes the standby that is ready.',
    examples: [
      { what: 'To a certain node', command: 'subctl gateway move --context east --to east-worker2' },
      { what: 'To any standby that is ready', command: 'subctl gateway move --context east' },
    ],
    flags: (command) => command.option('--to <node>', 'node of the gateway that is to be active'),
    run: async (run, _args, options) => (await import('./run.ts')).moveGateway(run, options),
  });
}
