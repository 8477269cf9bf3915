import { constants } from 'node:os';
import { ExpectedError } from '../runtime/errors.ts';

/**
 * Runs a program on the terminal of the caller, signals passed on. Resolves with its exit code, 128 + n when signal n ended
 * it. Rejects when it cannot be started.
 */
export async function runInForeground(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const { execa } = await import('execa');
  const child = execa(file, [...args], { stdio: 'inherit', env: { ...env }, extendEnv: false, reject: false });
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on('SIGINT', forward).on('SIGTERM', forward);
  try {
    const { exitCode, signal, shortMessage } = await child;
    if (exitCode !== undefined) return exitCode;
    if (signal !== undefined) return 128 + constants.signals[signal];
    throw new ExpectedError(`cannot start ${file}: ${shortMessage ?? 'no reason given'}`);
  } finally {
    process.off('SIGINT', forward).off('SIGTERM', forward);
  }
}
