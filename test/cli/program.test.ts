import { expect, test } from '@jest/globals';
import type { Command } from 'commander';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildProgram } from '../../src/commands/program.ts';
import type { CommandContext } from '../../src/commands/context.ts';
import { describeFailure } from '../../src/commands/failure.ts';
import { ExpectedError, UsageError } from '../../src/runtime/errors.ts';
import { FakeKube } from '../fakes/kube.ts';
import { Harness } from '../commands/harness.ts';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));

function leaves(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

function program(args?: readonly string[]): Command {
  const sink = { write: () => undefined, isTTY: false };
  return buildProgram({ terminal: { stdout: sink, stderr: sink }, version: '1' } as unknown as CommandContext, args);
}

/** The help of every command of a program. */
function helps(command: Command): readonly string[] {
  return [command.helpInformation(), ...command.commands.flatMap(helps)];
}

test('a command that a command line names, by any of its names, is complete; the list of commands does not depend on it', () => {
  const walk = (path: readonly string[], full: Command): void => {
    for (const name of [full.name(), ...full.aliases()]) {
      let found = program([...path, name, '--help']);
      for (const at of [...path, name]) {
        const next = found.commands.find((one) => one.name() === at || one.aliases().includes(at));
        if (next === undefined) throw new Error(`no command ${at}`);
        found = next;
      }
      expect(found.helpInformation()).toBe(full.helpInformation());
    }
    for (const child of full.commands) walk([...path, full.name()], child);
  };
  for (const command of program().commands) walk([], command);
  expect(program([]).helpInformation()).toBe(program().helpInformation());
});

test('completion sees the flags of all commands', () => {
  expect(helps(program(['complete', '--', 'join', '--']))).toEqual(helps(program()));
  expect(helps(program(['version']))).not.toEqual(helps(program()));
});

test('every command has a summary and an example in its help', async () => {
  const harness = new Harness({});
  const commands = leaves(program()).filter((command) => !('_hidden' in command && command._hidden === true));
  expect(commands.length).toBeGreaterThan(15);
  for (const command of commands) {
    const names: string[] = [];
    for (let at: Command | null = command; at?.parent; at = at.parent) names.unshift(at.name());
    const { stdout, exitCode } = await harness.run(...names, '--help');
    expect(exitCode).toBe(0);
    expect(command.summary()).not.toBe('');
    expect(stdout).toContain(`Usage: subctl ${names.join(' ')}`);
    expect(stdout).toMatch(/Examples:\n {2}# .+\n {2}(?:eval "\$\()?(?:bin\/)?(?:source <\()?(?:subctl|kubectl)/);
    expect(stdout).toContain('--kubeconfig <file>');
  }
});

const WRONG: readonly (readonly [readonly string[], string])[] = [
  [['jion'], '(Did you mean join?)'],
  [['show', 'connection'], '(Did you mean connections?)'],
  [['join', 'f', '--clusterdi', 'x'], '(Did you mean --clusterid?)'],
  [['join'], "missing required argument 'broker-info.subm'"],
  [['join', 'a', 'b'], 'too many arguments'],
  [['show', 'all', '-o', 'xml'], 'Allowed choices are table, wide, json, yaml, name'],
  [['show', 'all', '--timeout', 'soon'], 'Give a duration such as 90s'],
  [['show', 'all', '-q', '-v'], 'cannot be used with'],
  [['completion', 'tcsh'], 'Allowed choices are bash, zsh, fish, powershell'],
  [['show'], 'Usage: subctl show'],
];

test.each(WRONG)('wrong usage %j exits with 2', async (args, says) => {
  const { stderr, stdout, exitCode } = await new Harness({}).run(...args);
  expect(stderr).toContain(says);
  expect(stdout).toBe('');
  expect(exitCode).toBe(2);
});

test('version in all its forms', async () => {
  const harness = new Harness({});
  expect(await harness.run('version')).toEqual({ stdout: 'subctl version: 9.8.7\n', stderr: '', exitCode: 0 });
  expect(await harness.run('--version')).toEqual({ stdout: 'subctl version: 9.8.7\n', stderr: '', exitCode: 0 });
  expect(JSON.parse((await harness.run('version', '-o', 'json')).stdout)).toEqual({ version: '9.8.7' });
});

test('subctl options lists the connection flags of kubectl', async () => {
  const { stdout } = await new Harness({}).run('options');
  for (const flag of [
    '--as-group',
    '--certificate-authority',
    '--insecure-skip-tls-verify',
    '-s, --server',
    '--request-timeout',
  ]) {
    expect(stdout).toContain(flag);
  }
});

test('failures say what to do next; bugs show their stack', () => {
  expect(describeFailure(new ExpectedError('no', { hint: 'try' }), '1')).toEqual({
    text: 'Error: no\nHint: try\n',
    exitCode: 1,
  });
  expect(describeFailure(new UsageError('bad'), '1')).toMatchObject({ exitCode: 2 });
  const bug = describeFailure(new TypeError('x is undefined'), '1');
  expect(bug.exitCode).toBe(70);
  expect(bug.text).toMatch(/Bug in subctl 1: TypeError: x is undefined\n\s+at .+\n[^]*please open an issue/);
});

test('colour only on a terminal that wants it', async () => {
  const failing = { tty: true, env: { TERM: 'xterm' } };
  const red = '\u001B[31m✗';
  const gone = new FakeKube([], 'https://gone:6443');
  gone.down = true;
  const stderrOf = async (options: object): Promise<string> =>
    (await new Harness({ gone }, options).run('show', 'gateways')).stderr;
  expect(await stderrOf(failing)).toContain(red);
  expect(await stderrOf({ ...failing, env: { TERM: 'xterm', NO_COLOR: '1' } })).not.toContain('\u001B[3');
  expect(await stderrOf({ ...failing, env: { TERM: 'dumb' } })).not.toContain('\u001B');
  expect(await stderrOf({})).not.toContain('\u001B');
  expect(await stderrOf({ env: { FORCE_COLOR: '1' } })).toContain(red);
});

/** Files that are loaded as soon as `from` is: everything imported statically for more than its types. */
function staticImports(from: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(from)) return seen;
  seen.add(from);
  const text = readFileSync(from, 'utf8');
  for (const [, clause = '', target = ''] of text.matchAll(/^(?:import|export) (?!type\b)([^;]*?)from '([^']+)'/gm)) {
    const onlyTypes = /^\{(?:\s*type [^,}]+,?)+\s*\}\s*$/.test(clause);
    if (onlyTypes) continue;
    if (target.startsWith('.')) staticImports(path.resolve(path.dirname(from), target), seen);
    else seen.add(target);
  }
  return seen;
}

test('nothing heavy is loaded before a command runs', () => {
  const loaded = [...staticImports(path.join(SRC, 'cli.ts'))].map((file) => path.relative(SRC, file));
  expect(loaded).toContain(path.join('commands', 'join', 'register.ts'));
  const packages = [...staticImports(path.join(SRC, 'cli.ts'))].filter((name) => !name.startsWith('/'));
  expect(packages.filter((name) => !name.startsWith('node:'))).toEqual(['commander']);
  expect(packages.filter((name) => /https?$|child_process|crypto|net$/.test(name))).toEqual([]);
  expect(loaded.filter((file) => /^(?:kube|engine|routeagent|host|sandbox)\//.test(file))).toEqual([]);
});

test('the completion answers with commands, flags, choices and contexts', async () => {
  const harness = new Harness({ east: new FakeKube([], 'https://e'), west: new FakeKube([], 'https://w') });
  const lines: string[] = [];
  const log = console.log;
  console.log = (line: string) => void lines.push(line);
  try {
    for (const words of [
      ['sho'],
      ['show', 'conn'],
      ['join', '--cable'],
      ['show', 'all', '--context', ''],
      ['show', 'all', '-o', 'j'],
    ]) {
      await harness.run('complete', '--', ...words);
    }
  } finally {
    console.log = log;
  }
  const values = lines.map((line) => line.split('\t')[0]);
  expect(values).toEqual(expect.arrayContaining(['show', 'connections', '--cable-driver', 'east', 'west', 'json']));
  expect(values).not.toContain('complete');
});
