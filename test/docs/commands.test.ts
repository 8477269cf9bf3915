import { expect, test } from '@jest/globals';
import { type Command, CommanderError } from 'commander';
import { normaliseArguments } from '../../src/commands/command.ts';
import type { CommandContext } from '../../src/commands/context.ts';
import { buildProgram } from '../../src/commands/program.ts';
import { guidePages, type Page } from './pages.ts';

/** A command line as a page quotes it. */
interface Quoted {
  readonly where: string;
  readonly line: string;
  /** In running text commands may be cut short: `join --dry-run`. */
  readonly inText: boolean;
}

/** The program, with every command doing nothing. */
function idleProgram(): Command {
  const sink = { write: () => undefined, isTTY: false };
  const program = buildProgram({ terminal: { stdout: sink, stderr: sink }, version: '1' } as unknown as CommandContext);
  const idle = (command: Command): void => {
    if (command.commands.length === 0) command.action(() => undefined);
    command.commands.forEach(idle);
  };
  idle(program);
  return program;
}

/** The words of a simple shell command, up to a comment, pipe, redirection, `;` or `&&`; quotes and $( ) hold words together. */
function shellWords(text: string): readonly string[] {
  const words = text.match(/(?:\$\([^)]*\)|"(?:\$\([^)]*\)|[^"])*"|'[^']*'|[^\s;|>"'])+|[;|>]/g) ?? [];
  const end = words.findIndex((word) => /^(?:#|[;|>]|&&)/.test(word));
  return (end === -1 ? words : words.slice(0, end)).map((word) => word.replaceAll(/^["']|["')]+$/g, ''));
}

/** Every place in a line where subctl is called. */
function calls(line: string): readonly string[] {
  return [...line.matchAll(/(?<![\w/.-])(?:bin\/)?subctl (?=[a-z-])/g)].map(({ index }) =>
    line.slice(index).replace(/^(?:bin\/)?subctl /, ''),
  );
}

function quotedCommands({ file, text }: Page, commands: ReadonlySet<string>): readonly Quoted[] {
  const found: Quoted[] = [];
  let fence: string | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const where = `${file}:${index + 1}`;
    const mark = /^```(?<language>\w*)/.exec(line)?.groups;
    if (mark !== undefined) fence = fence === undefined ? (mark['language'] ?? '') : undefined;
    else if (fence === 'sh') {
      const command = line.replace(/(?:^|\s)#.*$/, '');
      found.push(...calls(command).map((call) => ({ where, line: call, inText: false })));
    } else if (fence === undefined) {
      for (const [, span = ''] of line.matchAll(/`([^`]+)`/g)) {
        if (span.includes('…')) continue;
        const isCommand = commands.has(span.split(' ')[0] ?? '');
        const lines = isCommand ? [span] : calls(span);
        found.push(...lines.map((call) => ({ where, line: call, inText: true })));
      }
    }
  }
  return found;
}

/** What commander says against a command line; undefined when it is good. */
async function objection({ line, inText }: Quoted): Promise<string | undefined> {
  const program = idleProgram();
  try {
    await program.parseAsync([...normaliseArguments(program, shellWords(line))], { from: 'user' });
    return undefined;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    const cutShort = ['commander.missingArgument', 'commander.optionMissingArgument', 'commander.help'].includes(
      error.code,
    );
    return inText && cutShort ? undefined : error.message;
  }
}

test('every command line in the guide is one that subctl understands', async () => {
  const names = new Set(idleProgram().commands.map((command) => command.name()));
  const quoted = guidePages().flatMap((page) => quotedCommands(page, names));
  expect(quoted.filter(({ inText }) => !inText).length).toBeGreaterThan(30);
  expect(quoted.filter(({ inText }) => inText).length).toBeGreaterThan(60);
  const wrong: string[] = [];
  for (const one of quoted) {
    const problem = await objection(one);
    if (problem !== undefined) wrong.push(`${one.where}: subctl ${one.line}: ${problem}`);
  }
  expect(wrong).toEqual([]);
});

test.each([
  ['shwo all', "unknown command 'shwo'"],
  ['join f.subm --clusterdi x', "unknown option '--clusterdi'"],
  ['show all -o xml', 'Allowed choices'],
  ['sandbox up --nodes N', 'Give a whole number'],
])('a page with `subctl %s` would fail', async (line, message) => {
  const page = { file: 'x.md', text: `\`\`\`sh\nbin/subctl ${line} > out # why\n\`\`\`` };
  const quoted = quotedCommands(page, new Set());
  expect(quoted).toHaveLength(1);
  expect(await objection(quoted[0]!)).toContain(message);
});

test('only what belongs to the call is read', () => {
  expect(calls('eval "$(bin/subctl sandbox env)"').map(shellWords)).toEqual([['sandbox', 'env']]);
  expect(calls('kubectl x && subctl show all | head').map(shellWords)).toEqual([['show', 'all']]);
  expect(calls('subctl sandbox exec e pod/c -- sh -c "curl $(kubectl get x) y"').map(shellWords)).toEqual([
    ['sandbox', 'exec', 'e', 'pod/c', '--', 'sh', '-c', 'curl $(kubectl get x) y'],
  ]);
});
