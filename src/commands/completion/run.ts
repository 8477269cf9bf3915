import { RootCommand, script } from '@bomb.sh/tab';
import type { Command, Option } from 'commander';
import type { CommandRun } from '../context.ts';
import { ExpectedError } from '../../runtime/errors.ts';

/** Prints the completion script of a shell to stdout. */
export function printScript(shell: string): void {
  script(shell, 'subctl', 'subctl');
}

/** Prints the completions of the last of the given words, in the protocol of the scripts. */
export async function completeWords(run: CommandRun, program: Command, words: readonly string[]): Promise<void> {
  const contexts = asksForContext(words) ? await contextNames(run) : [];
  const root = new RootCommand();
  addOptions(root, program, contexts);
  for (const command of program.commands) addTree(root, command, '', contexts);
  root.parse([...words]);
}

type Completable = ReturnType<RootCommand['command']>;

function addTree(root: RootCommand, command: Command, prefix: string, contexts: readonly string[]): void {
  if (isHidden(command)) return;
  const name = `${prefix}${command.name()}`;
  const node = root.command(name, command.summary());
  addOptions(node, command, contexts);
  for (const argument of command.registeredArguments) {
    const choices = argument.argChoices ?? [];
    node.argument(argument.name(), (complete) => choices.forEach((choice) => complete(choice, '')), argument.variadic);
  }
  for (const child of command.commands) addTree(root, child, `${name} `, contexts);
}

function isHidden(command: Command): boolean {
  return '_hidden' in command && command._hidden === true;
}

function addOptions(node: Completable, command: Command, contexts: readonly string[]): void {
  for (const option of command.options) {
    if (!option.hidden)
      addOption(node, option, option.attributeName().startsWith('context') ? contexts : option.argChoices);
  }
}

function addOption(node: Completable, option: Option, values: readonly string[] = []): void {
  const name = option.long?.replace(/^--/, '') ?? '';
  const short = option.short?.replace(/^-/, '');
  if (option.required || option.optional) {
    node.option(name, option.description, (complete) => values.forEach((value) => complete(value, '')), short);
  } else if (short === undefined) {
    node.option(name, option.description);
  } else {
    node.option(name, option.description, short);
  }
}

function asksForContext(words: readonly string[]): boolean {
  return words.slice(-2).some((word) => /^--contexts?(?:=|$)/.test(word));
}

/** Contexts of the kubeconfig; a broken kubeconfig must not disturb the shell. */
async function contextNames(run: CommandRun): Promise<readonly string[]> {
  try {
    return (await (await run.access()).contexts()).map(({ name }) => name);
  } catch (error) {
    if (error instanceof ExpectedError) return [];
    throw error;
  }
}
