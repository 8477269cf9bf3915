import { ExpectedError } from '../runtime/errors.ts';
import { CommandError, describeFailure, type CommandRunner, type RunResult } from './command.ts';
import { BATCH_WORDS } from './standing.ts';

/** What became of each line of a batch, in their order: undefined = done, else why not. */
export type BatchOutcome = readonly (string | undefined)[];

/** Failures by line number (from 1), as iproute2 prints them: the reason, then `Command failed FILE:LINE`. */
function failuresOf(stderr: string): {
  readonly byLine: ReadonlyMap<number, string>;
  readonly rest: string | undefined;
} {
  const byLine = new Map<number, string>();
  let reason: string | undefined;
  for (const line of stderr.split('\n').map((item) => item.trim())) {
    const match = /^Command failed .*:(\d+)$/.exec(line);
    if (match !== null) {
      byLine.set(Number(match[1]), reason ?? 'failed');
      reason = undefined;
    } else if (line !== '') reason ??= line;
  }
  return { byLine, rest: reason };
}

/** Gives lines to `ip` or `bridge`, to one that stays where there is one. Exit code 1: some of them failed. */
export async function runLines(
  runner: CommandRunner,
  program: keyof typeof BATCH_WORDS,
  lines: readonly string[],
  options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number; readonly anew?: boolean },
): Promise<RunResult> {
  const { signal, timeoutMs, anew = false } = options;
  return runner.run(program, BATCH_WORDS[program], {
    stdin: `${lines.join('\n')}\n`,
    okExitCodes: [0, 1],
    lines: !anew,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(signal === undefined ? {} : { signal }),
  });
}

/**
 * Runs lines through `ip -force -batch -` (or bridge): one process, every line tried. A batch that broke off (a line
 * that the tool cannot parse ends it) fails as a whole: what it did shows in the next observation.
 */
export async function runBatch(
  runner: CommandRunner,
  program: 'ip' | 'bridge',
  lines: readonly (readonly string[])[],
  signal?: AbortSignal,
): Promise<BatchOutcome> {
  const texts = lines.map((words) => words.join(' '));
  const { outcomes, stood } = await tryLines(runner, program, texts, { signal });
  const failed = texts.filter((_, index) => outcomes[index] !== undefined);
  if (!stood || failed.length === 0) return outcomes;
  // A process that had run before may have taken a link for a former one of that name.
  const again = (await tryLines(runner, program, failed, { signal, anew: true })).outcomes.values();
  return outcomes.map((reason) => (reason === undefined ? undefined : again.next().value));
}

async function tryLines(
  runner: CommandRunner,
  program: 'ip' | 'bridge',
  lines: readonly string[],
  options: { readonly signal: AbortSignal | undefined; readonly anew?: boolean },
): Promise<{ readonly outcomes: BatchOutcome; readonly stood: boolean }> {
  if (lines.length === 0) return { outcomes: [], stood: false };
  try {
    const {
      exitCode,
      stderr,
      stood = false,
    } = await runLines(runner, program, lines, { ...options, timeoutMs: 60_000 });
    const outcomes = exitCode === 0 ? lines.map(() => undefined) : outcomesOf(lines, stderr, 'failed');
    return { outcomes, stood };
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    const stderr = error instanceof CommandError ? error.stderr : '';
    return { outcomes: outcomesOf(lines, stderr, describeFailure(error)), stood: false };
  }
}

/** What became of lines of which some were not done: all, when it is not said which. */
function outcomesOf(lines: readonly string[], stderr: string, otherwise: string): BatchOutcome {
  const { byLine, rest } = failuresOf(stderr);
  const whole = byLine.size === 0 || rest !== undefined ? (rest ?? otherwise) : undefined;
  return lines.map((_, index) => byLine.get(index + 1) ?? whole);
}

/** What one question of a batch was answered: JSON text, or why there is no answer. */
export type ReadOutcome = { readonly output: string; readonly failure?: undefined } | { readonly failure: string };

/** Questions that are asked at the same moment, and what the process that is asked all of them will answer. */
interface Together {
  readonly signal: AbortSignal | undefined;
  readonly questions: Map<string, number>;
  readonly outcomes: Promise<readonly ReadOutcome[]>;
}

const gathering = new WeakMap<CommandRunner, Together>();

/**
 * Asks `ip` several questions in one process (starting it costs more than an answer), together with all that are asked
 * in the same turn of the event loop, and returns the answers in the order of the questions. Each answer is one line; a
 * question that fails prints nothing, or a lone `[` in front of the next answer. Rejects when answers and questions
 * cannot be matched.
 */
export async function readBatch(
  runner: CommandRunner,
  questions: readonly (readonly string[])[],
  signal?: AbortSignal,
): Promise<readonly ReadOutcome[]> {
  const current = gathering.get(runner);
  const together = current !== undefined && current.signal === signal ? current : gather(runner, signal);
  const places = questions.map((words) => {
    const line = words.join(' ');
    const place = together.questions.get(line) ?? together.questions.size;
    together.questions.set(line, place);
    return place;
  });
  const outcomes = await together.outcomes;
  return places.map((place) => outcomes[place] ?? { failure: 'no answer' });
}

function gather(runner: CommandRunner, signal: AbortSignal | undefined): Together {
  const questions = new Map<string, number>();
  const outcomes = Promise.resolve().then(() => {
    if (gathering.get(runner) === together) gathering.delete(runner);
    return ask(runner, [...questions.keys()], signal);
  });
  const together: Together = { signal, questions, outcomes };
  gathering.set(runner, together);
  return together;
}

async function ask(
  runner: CommandRunner,
  questions: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly ReadOutcome[]> {
  const result = await runLines(runner, 'ip', questions, { signal });
  const { byLine } = failuresOf(result.stderr);
  const answers = result.stdout
    .split('\n')
    .map((line) => line.trim().replace(/^\[+(?=\[)/, ''))
    .filter((line) => line !== '' && line !== '[');
  if (answers.length + byLine.size !== questions.length) throw new CommandError('ip', BATCH_WORDS.ip, result);
  const next = answers.values();
  return questions.map((_, index): ReadOutcome => {
    const failure = byLine.get(index + 1);
    return failure === undefined ? { output: next.next().value ?? '' } : { failure };
  });
}

/** The answer; rejects with what was asked and why it failed, unless the failure means that there is nothing. */
export function answerOf(outcome: ReadOutcome | undefined, question: string, nothing?: RegExp): string {
  if (outcome?.failure === undefined) return outcome?.output ?? '';
  if (nothing?.test(outcome.failure) === true) return '';
  throw new ExpectedError(`ip ${question}: ${outcome.failure}`);
}
