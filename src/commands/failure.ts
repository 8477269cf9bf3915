import { ExpectedError, UsageError, exitCodeOf, messageOf } from '../runtime/errors.ts';

/** What is printed on stderr when a command fails, and the exit code of the process. */
export interface Failure {
  readonly text: string;
  readonly exitCode: 0 | 1 | 2 | 70;
}

/** An error of commander; it has printed its message itself unless told not to. */
interface ParserError {
  readonly code: string;
  readonly exitCode: number;
  readonly message: string;
}

/** Turns anything thrown into a message and an exit code: 0 help or version, 1 the operator can act, 2 wrong usage, 70 our bug. */
export function describeFailure(error: unknown, version: string): Failure {
  if (isParserError(error)) return { text: '', exitCode: error.exitCode === 0 ? 0 : 2 };
  if (error instanceof ExpectedError) {
    const hint = error.hint === undefined ? '' : `Hint: ${error.hint}\n`;
    const usage = error instanceof UsageError ? 'See --help of the command.\n' : '';
    return { text: `Error: ${error.message}\n${hint === '' ? usage : hint}`, exitCode: exitCodeOf(error) };
  }
  const stack = error instanceof Error && error.stack !== undefined ? error.stack : messageOf(error);
  return {
    text: `Bug in subctl ${version}: ${stack}\nHint: this is our mistake, not yours; please open an issue of the subctl project with the lines above and the command you ran\n`,
    exitCode: 70,
  };
}

function isParserError(error: unknown): error is ParserError {
  return error instanceof Error && 'code' in error && String(error.code).startsWith('commander.');
}
