import { ExpectedError } from '../runtime/errors.ts';
import { CommandError, describeFailure, type CommandRunner } from './command.ts';

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
  if (lines.length === 0) return [];
  const stdin = `${lines.map((words) => words.join(' ')).join('\n')}\n`;
  const options = { stdin, timeoutMs: 60_000, ...(signal === undefined ? {} : { signal }) };
  try {
    await runner.run(program, ['-force', '-batch', '-'], options);
    return lines.map(() => undefined);
  } catch (error) {
    if (signal?.aborted === true) throw error;
    const { byLine, rest } = failuresOf(error instanceof CommandError ? error.stderr : '');
    const whole = byLine.size === 0 || rest !== undefined ? (rest ?? describeFailure(error)) : undefined;
    return lines.map((_, index) => byLine.get(index + 1) ?? whole);
  }
}

/** What one question of a batch was answered: JSON text, or why there is no answer. */
export type ReadOutcome = { readonly output: string; readonly failure?: undefined } | { readonly failure: string };

/**
 * Asks `ip` several questions in one process (starting it costs more than an answer) and returns the answers in their
 * order. Each answer is one line; a question that fails prints nothing, or a lone `[` in front of the next answer.
 * Rejects when answers and questions cannot be matched.
 */
export async function readBatch(
  runner: CommandRunner,
  questions: readonly (readonly string[])[],
  signal?: AbortSignal,
): Promise<readonly ReadOutcome[]> {
  const args = ['-N', '-d', '-j', '-force', '-batch', '-'];
  const stdin = `${questions.map((words) => words.join(' ')).join('\n')}\n`;
  const options = { stdin, okExitCodes: [0, 1], ...(signal === undefined ? {} : { signal }) };
  const result = await runner.run('ip', args, options);
  const { byLine } = failuresOf(result.stderr);
  const answers = result.stdout
    .split('\n')
    .map((line) => line.trim().replace(/^\[+(?=\[)/, ''))
    .filter((line) => line !== '' && line !== '[');
  if (answers.length + byLine.size !== questions.length) throw new CommandError('ip', args, result);
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
