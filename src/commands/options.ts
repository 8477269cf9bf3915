import { Command } from 'commander';
import { addCommand, GROUPS } from './command.ts';
import type { CommandContext } from './context.ts';
import { addShownGlobalFlags } from './globalflags.ts';

/** `subctl options`: the flags every command takes. */
export function registerOptions(program: Command, context: CommandContext): void {
  addCommand(program, context, {
    name: 'options',
    summary: 'list the flags that every command takes',
    group: GROUPS.other,
    examples: [{ what: 'List them', command: 'subctl options' }],
    run: async (run) => {
      const listed = addShownGlobalFlags(new Command('subctl COMMAND').helpOption(false));
      run.print(listed.helpInformation());
    },
  });
}
