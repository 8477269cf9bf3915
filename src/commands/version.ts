import type { Command } from 'commander';
import { addCommand, GROUPS } from './command.ts';
import type { CommandContext } from './context.ts';
import { renderStructured } from './output.ts';

/** `subctl version`. */
export function registerVersion(program: Command, context: CommandContext): void {
  addCommand(program, context, {
    name: 'version',
    summary: 'print the version of subctl',
    group: GROUPS.other,
    examples: [
      { what: 'For people', command: 'subctl version' },
      { what: 'For scripts', command: 'subctl version -o json' },
    ],
    run: async (run) => {
      const { output } = run.flags;
      const { version } = run.context;
      if (output === 'json' || output === 'yaml') {
        run.print(await renderStructured({ version }, output));
      } else {
        run.print(output === 'name' ? `${version}\n` : `subctl version: ${version}\n`);
      }
    },
  });
}
