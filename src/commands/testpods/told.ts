import { ExpectedError } from '../../runtime/errors.ts';
import type { Mouth } from './send.ts';

const EXEC_MS = 60_000;

/** A probe that works until it is told to stop. */
export interface Told<T> {
  /** Resolves when it has begun; rejects when it cannot. */
  readonly ready: Promise<void>;
  /** What it has seen; rejects with ExpectedError when it could not be done. */
  readonly result: Promise<T>;
}

/** Starts `probe count|meet` in a pod; it goes on until `stop` resolves. */
export function startTold<T>(
  mouth: Mouth,
  verb: 'count' | 'meet',
  order: object,
  { stop, signal }: { readonly stop: Promise<string>; readonly signal: AbortSignal },
): Told<T> {
  let isReady = (): void => undefined;
  let cannot = (_error: unknown): void => undefined;
  const ready = new Promise<void>((resolve, reject) => {
    isReady = resolve;
    cannot = reject;
  });
  const onStdout = (text: string): void => {
    if (text.includes('ready')) isReady();
  };
  const command = ['routeagent', 'probe', verb, JSON.stringify(order)];
  const result = mouth.client
    .exec(mouth.namespace, mouth.pod, command, { timeoutMs: EXEC_MS, onStdout, stdin: stop, signal })
    .then(({ exitCode, stdout, stderr }) => {
      const line = stdout.split('\n').find((one) => one.startsWith('{'));
      if (exitCode === 0 && line !== undefined) return JSON.parse(line) as T;
      throw new ExpectedError(/ERROR (.*)/.exec(stderr)?.[1] ?? `probe ${verb} ended with ${exitCode}`);
    });
  result.catch(cannot);
  ready.catch(() => undefined);
  return { ready, result };
}

/** What a promise gives, or the reason why it does not. */
export async function orReason<T>(read: Promise<T>): Promise<T | string> {
  try {
    return await read;
  } catch (error) {
    if (error instanceof ExpectedError) return error.message;
    throw error;
  }
}
