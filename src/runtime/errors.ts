/** An error the operator can act on: printed as message and hint, without a stack. Everything else is a bug. */
export class ExpectedError extends Error {
  override readonly name: string = 'ExpectedError';
  /** The next step to take, one sentence or a command. */
  readonly hint: string | undefined;
  constructor(message: string, options: { readonly hint?: string; readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.hint = options.hint;
  }
}

/** Wrong usage of the command line or of a configuration: exit code 2. */
export class UsageError extends ExpectedError {
  override readonly name: string = 'UsageError';
}

/** The exit code of a failed run: 1 the operator can act, 2 wrong usage, 70 a bug of ours (sysexits.h EX_SOFTWARE). */
export function exitCodeOf(error: unknown): 1 | 2 | 70 {
  if (error instanceof UsageError) return 2;
  return error instanceof ExpectedError ? 1 : 70;
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
