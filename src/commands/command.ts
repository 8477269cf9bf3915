import { Argument, type Command, Option } from 'commander';
import type { KubeAccess } from './access.ts';
import type { CommandContext, CommandRun } from './context.ts';
import { addGlobalFlags, readGlobalFlags } from './globalflags.ts';

/** One line of the examples in a help text. */
export interface Example {
  readonly what: string;
  readonly command: string;
}

/** What a subcommand is; `run` loads everything it needs itself, so that --help stays fast. */
export interface CommandDefinition<Options extends object> {
  /** Name and arguments, e.g. `join <broker-info>`. */
  readonly name: string;
  /** Arguments of which there is more to say than their name. */
  readonly arguments?: readonly Argument[];
  /** One line for the list of commands. */
  readonly summary: string;
  /** What the command promises, for its own help. */
  readonly description?: string;
  readonly group?: string;
  readonly examples: readonly Example[];
  readonly aliases?: readonly string[];
  readonly hidden?: boolean;
  /** Adds the command's own flags. */
  readonly flags?: (command: Command) => void;
  readonly run: (run: CommandRun, args: readonly string[], options: Options) => Promise<void>;
}

/** Groups of commands in `subctl --help`, in this order. */
export const GROUPS = {
  setup: 'Join clusters:',
  look: 'Look at them:',
  sandbox: 'Try it on one machine:',
  other: 'Other commands:',
} as const;

/** What is still to be added to a command: its flags and examples. */
const details = new WeakMap<Command, () => void>();

/** Adds a subcommand to a parent. */
export function addCommand<Options extends object>(
  parent: Command,
  context: CommandContext,
  definition: CommandDefinition<Options>,
): Command {
  const command = parent.command(definition.name, { hidden: definition.hidden === true });
  command.summary(definition.summary).description(definition.description ?? definition.summary);
  if (definition.group !== undefined) command.helpGroup(definition.group);
  for (const alias of definition.aliases ?? []) command.alias(alias);
  for (const argument of definition.arguments ?? []) command.addArgument(argument);
  postpone(command, definition);
  command.action(async (...received: unknown[]) => {
    const args = received.slice(0, -2).flat() as readonly string[];
    await definition.run(await createRun(command, context), args, command.opts<Options>());
  });
  return command;
}

/** Adds a command that only groups others; without a subcommand it prints its help and fails as wrong usage. */
export function addGroup(
  parent: Command,
  definition: Pick<CommandDefinition<object>, 'name' | 'summary' | 'description' | 'group' | 'examples' | 'flags'>,
): Command {
  const command = parent.command(definition.name);
  command.summary(definition.summary).description(definition.description ?? definition.summary);
  if (definition.group !== undefined) command.helpGroup(definition.group);
  command.enablePositionalOptions();
  postpone(command, definition);
  return command;
}

function postpone(command: Command, { flags, examples }: Pick<CommandDefinition<object>, 'flags' | 'examples'>): void {
  details.set(command, () => {
    flags?.(command);
    addGlobalFlags(command);
    addExamples(command, examples);
  });
}

/**
 * Gives the commands below one their flags and examples: those that the words of a command line may mean, or all of them.
 * Two dozen flags for each of fifty commands would be felt at every start.
 */
export function addDetails(parent: Command, words?: ReadonlySet<string>): void {
  for (const command of parent.commands) {
    if (words === undefined || [command.name(), ...command.aliases()].some((name) => words.has(name))) {
      details.get(command)?.();
      details.delete(command);
    }
    addDetails(command, words);
  }
}

async function createRun(command: Command, context: CommandContext): Promise<CommandRun> {
  const flags = readGlobalFlags(command);
  const { createReporter } = await import('./reporter.ts');
  const { terminal, env, clock } = context;
  const reporter = createReporter({ sink: terminal.stderr, env, clock, verbosity: flags.verbosity });
  const open = async (): Promise<KubeAccess> => {
    const opened = await context.access(flags.connection, context);
    if (flags.verbosity < 1) return opened;
    const { traceAccess } = await import('./tracing.ts');
    return traceAccess(opened, (line) => reporter.detail(line));
  };
  let access: Promise<KubeAccess> | undefined;
  return {
    context,
    flags,
    given: (option) => (command.getOptionValueSource(option) ?? 'default') !== 'default',
    reporter,
    print: (text) => terminal.stdout.write(text),
    access: () => (access ??= open()),
  };
}

/** A command as the list of commands shows it: that it takes flags need not be said, all do. */
export function commandTerm(command: Command): string {
  const names = [command.name(), command.alias()].filter((name) => name !== '' && name !== undefined);
  return [names.join('|'), ...command.registeredArguments.map(argumentTerm)].join(' ');
}

function argumentTerm(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

/** Adds examples to the help of a command. */
export function addExamples(command: Command, examples: readonly Example[]): void {
  if (examples.length === 0) return;
  const lines = examples.map(({ what, command: line }) => `  # ${what}\n  ${line}`);
  command.addHelpText('after', `\nExamples:\n${lines.join('\n\n')}`);
}

/** Adds a flag that is on or off: --x and --no-x; --x=false is understood as well, as upstream writes it. */
export function booleanFlag(command: Command, name: string, description: string, initial: boolean): void {
  const initially = initial ? `on; --no-${name} turns it off` : 'off';
  command.addOption(new Option(`--${name}`, description).default(initial, initially));
  command.addOption(new Option(`--no-${name}`, `opposite of --${name}`).hideHelp());
}

/** Other spellings that are understood, as commander knows them: `--flag=true|false`, and a flag for a subcommand. */
export function normaliseArguments(program: Command, args: readonly string[]): readonly string[] {
  return normaliseSubcommands(program, normaliseBooleans(program, args));
}

/** A flag of a group that has the name of a subcommand means that one: `diagnose --pre` is `diagnose pre`. */
function normaliseSubcommands(program: Command, args: readonly string[]): readonly string[] {
  const at = args.findIndex((arg) => program.commands.some((command) => command.name() === arg));
  const group = program.commands.find((command) => command.name() === args[at]);
  const rest = args.slice(at + 1);
  const has = (name: string | undefined): boolean => group?.commands.some((one) => one.name() === name) === true;
  const flag = rest.find((arg) => group?.options.some(({ long }) => long === arg) === true && has(arg.slice(2)));
  if (flag === undefined || has(rest[0])) return args;
  return [...args.slice(0, at + 1), flag.slice(2), ...rest.filter((arg) => arg !== flag)];
}

/** Rewrites `--flag=true|false` of on/off flags, which upstream's flag parser accepts, to --flag and --no-flag. */
function normaliseBooleans(program: Command, args: readonly string[]): readonly string[] {
  const names = new Set<string>();
  collectBooleans(program, names);
  const end = args.indexOf('--');
  return args.map((arg, index) => {
    if (end !== -1 && index >= end) return arg;
    const match = /^--(?<name>[a-z-]+)=(?<value>true|false|1|0)$/i.exec(arg)?.groups;
    if (match?.['name'] === undefined || !names.has(match['name'])) return arg;
    return /^(?:true|1)$/i.test(match['value'] ?? '') ? `--${match['name']}` : `--no-${match['name']}`;
  });
}

function collectBooleans(command: Command, names: Set<string>): void {
  for (const option of command.options) if (option.negate) names.add(option.name().replace(/^no-/, ''));
  for (const child of command.commands) collectBooleans(child, names);
}

/** An argument restricted to some words, with its description. */
export function choiceArgument(name: string, description: string, choices: readonly string[]): Argument {
  return new Argument(name, description).choices([...choices]);
}
