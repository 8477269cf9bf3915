import type { Command } from 'commander';
import { addCommand, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';
import type { RecoverOptions } from './options.ts';

/** `subctl recover-broker-info`. */
export function registerRecoverBrokerInfo(program: Command, context: CommandContext): void {
  addCommand<RecoverOptions>(program, context, {
    name: 'recover-broker-info',
    summary: 'write a lost broker-info.subm again',
    description:
      'Writes broker-info.subm again: the pre-shared key comes from a joined cluster (the context given), the token from the broker, ' +
      'which is that cluster itself or the one of --broker-context.',
    group: GROUPS.setup,
    examples: [
      { what: 'From a joined cluster that is also the broker', command: 'subctl recover-broker-info --context east' },
      {
        what: 'When the broker is another cluster',
        command: 'subctl recover-broker-info --context west --broker-context east',
      },
    ],
    flags: (command) =>
      command
        .option('--broker-url <url>', 'address under which clusters reach the broker')
        .option('--broker-context <name>', 'context of the broker, when it is another cluster'),
    run: async (run, _args, options) => (await import('./run.ts')).recoverBrokerInfo(run, options),
  });
}
