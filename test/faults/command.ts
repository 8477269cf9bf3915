import { execFile } from 'node:child_process';

/** Runs a program and resolves with what it printed; rejects with its last words when it fails. */
export function run(
  argv: readonly string[],
  options: { readonly input?: string; readonly env?: NodeJS.ProcessEnv; readonly timeoutMs?: number } = {},
): Promise<string> {
  const [file = '', ...args] = argv;
  const { input = '', env = process.env, timeoutMs = 60_000 } = options;
  return new Promise((resolve, reject) => {
    const child = execFile(
      file,
      args,
      { env, timeout: timeoutMs, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${argv.join(' ')}: ${(stderr + stdout).trim().slice(-2000) || error.message}`));
      },
    );
    child.stdin?.on('error', () => undefined).end(input);
  });
}

/** The words that run a program in a network namespace. */
export function inside(namespace: string, ...argv: readonly string[]): readonly string[] {
  return ['nsenter', `--net=/run/netns/${namespace}`, '--', ...argv];
}

/** Looks until `holds`; rejects with what was last seen. */
export async function until<T>(
  what: string,
  look: () => Promise<T>,
  holds: (seen: T) => boolean,
  timeoutMs: number,
  everyMs = 200,
): Promise<T> {
  for (const endMs = performance.now() + timeoutMs; ;) {
    const seen = await look().catch((error: unknown) => error as Error);
    if (!(seen instanceof Error) && holds(seen)) return seen;
    if (performance.now() > endMs) {
      const last = seen instanceof Error ? seen.message : JSON.stringify(seen, undefined, 1);
      throw new Error(`not so after ${timeoutMs / 1000} s: ${what}; last seen: ${last}`);
    }
    await pause(everyMs);
  }
}

/** Waits so long. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
