import type { Command } from 'commander';
import { addCommand, choiceArgument, GROUPS } from '../command.ts';
import type { CommandContext } from '../context.ts';

/** Shells that completion scripts are made for. */
const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const;

/** `subctl completion SHELL`, and the hidden command that those scripts call. */
export function registerCompletion(program: Command, context: CommandContext): void {
  addCommand(program, context, {
    name: 'completion',
    summary: 'print a script that completes subctl in your shell',
    group: GROUPS.other,
    examples: [
      { what: 'In bash', command: 'source <(subctl completion bash)' },
      { what: 'In zsh', command: 'source <(subctl completion zsh)' },
      { what: 'In fish', command: 'subctl completion fish | source' },
      { what: 'In PowerShell', command: 'subctl completion powershell | Out-String | Invoke-Expression' },
    ],
    arguments: [choiceArgument('<shell>', 'kind of shell', SHELLS)],
    run: async (_run, [shell = '']) => (await import('./run.ts')).printScript(shell),
  });
  addCommand(program, context, {
    name: 'complete [words...]',
    summary: 'answer the completion script',
    hidden: true,
    examples: [],
    flags: (command) => command.allowUnknownOption().passThroughOptions(),
    run: async (run, words) => (await import('./run.ts')).completeWords(run, program, words),
  });
}
