import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { normaliseArguments } from './commands/command.ts';
import type { CommandContext } from './commands/context.ts';
import { describeFailure } from './commands/failure.ts';
import { buildProgram } from './commands/program.ts';
import { createPrompter } from './commands/prompt.ts';
import type { Sink } from './commands/terminal.ts';
import { systemClock } from './runtime/clock.ts';
import { Interruption } from './runtime/interrupt.ts';

/**
 * The starter of subctl: runs one command line and sets the exit code (0 done, 1 operator can act, 2 wrong usage, 70 our
 * bug, 130 or 143 interrupted by SIGINT or SIGTERM).
 */
export async function main(args: readonly string[] = process.argv.slice(2)): Promise<void> {
  const interruption = new Interruption(process);
  const context = createContext(interruption);
  try {
    const program = buildProgram(context, args);
    await program.parseAsync([...normaliseArguments(program, args)], { from: 'user' });
  } catch (error) {
    const { text, exitCode } = describeFailure(error, context.version);
    if (text !== '') context.terminal.stderr.write(text);
    process.exitCode = exitCode;
  } finally {
    process.exitCode = interruption.exitCode ?? process.exitCode;
  }
  // A connection that was given up may never close and would keep the process alive.
  setTimeout(() => process.exit(), LINGER_MS).unref();
}

const LINGER_MS = 200;

function createContext(interruption: Interruption): CommandContext {
  return {
    terminal: {
      stdout: sinkOf(process.stdout),
      stderr: sinkOf(process.stderr),
      interactive: process.stdin.isTTY && process.stderr.isTTY,
      readStdin,
    },
    env: process.env,
    cwd: process.cwd(),
    version: productVersion(),
    templatesDir: fileURLToPath(new URL('../templates', import.meta.url)),
    clock: systemClock,
    interrupted: interruption.signal,
    access: async (flags, context) => (await import('./commands/kubeaccess.ts')).createKubeAccess(flags, context),
    prompter: createPrompter(),
  };
}

function sinkOf(stream: NodeJS.WriteStream): Sink {
  // A reader such as `head` that has seen enough is no failure of ours.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  return {
    write: (text) => void stream.write(text),
    isTTY: stream.isTTY,
    get columns() {
      return sizeOf(stream.columns);
    },
    get rows() {
      return sizeOf(stream.rows);
    },
  };
}

/** A terminal that does not know its size says 0. */
function sizeOf(reported: number | undefined): number | undefined {
  return reported === 0 ? undefined : reported;
}

async function readStdin(): Promise<string> {
  process.stdin.setEncoding('utf8');
  let text = '';
  for await (const chunk of process.stdin) text += String(chunk);
  return text;
}

/** The version that the build put in, else the one of package.json next to the sources. */
function productVersion(): string {
  // @ts-expect-error the bundler replaces this expression by the version
  const built: unknown = globalThis.SUBCTL_VERSION;
  if (typeof built === 'string') return built;
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return (manifest as { readonly version: string }).version;
}
