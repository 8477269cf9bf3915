import { execFile } from 'node:child_process';

/** How a program is run: `signal` ends it, `env` is added to the environment. */
export interface RunOptions {
  readonly signal?: AbortSignal;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
}

/** Runs a program and returns what it printed; rejects with its last words when it fails. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const { signal, env, cwd, input } = options;
  const [file = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      {
        env: { ...process.env, ...env },
        maxBuffer: 64 * 1024 * 1024,
        ...(signal === undefined ? {} : { signal }),
        ...(cwd === undefined ? {} : { cwd }),
      },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else if (signal?.aborted === true) reject(new Error('interrupted'));
        else reject(new Error(`${argv.join(' ')}: ${(stderr + stdout).trim().slice(-2000) || error.message}`));
      },
    );
    // What does not read its input ends early; its exit code says whether that matters.
    child.stdin?.on('error', () => undefined).end(input ?? '');
  });
}

/** The words that run a program in a network namespace. */
export function inside(namespace: string, ...argv: readonly string[]): readonly string[] {
  return ['nsenter', `--net=/run/netns/${namespace}`, '--', ...argv];
}

/** Waits so long; rejects at once when interrupted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(new Error('interrupted'));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

/** Runs something and says how many seconds it took. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1000;
}
