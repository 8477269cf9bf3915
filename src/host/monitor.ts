import { spawn } from 'node:child_process';
import { systemClock, type Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { leashed } from './leash.ts';
import { lineReader } from './ping.ts';

const RESTART_MS = 5000;

/** Programs that print a line whenever somebody changes the network of this machine. */
const MONITORS = [
  ['ip', '-4', 'monitor', 'link', 'address', 'route', 'rule'],
  ['nft', 'monitor', 'destroy', 'tables'],
  ['nft', 'monitor', 'destroy', 'chains'],
] as const;

/**
 * Calls back when the kernel reports a change whose line matches `relevant`, until the signal is aborted; never
 * rejects. A program that ends is started again. Says only that something changed: look again.
 */
export async function watchNetwork(
  dependencies: { readonly logger: Logger; readonly namespace?: string; readonly clock?: Clock },
  relevant: RegExp,
  onChange: () => void,
  signal: AbortSignal,
): Promise<void> {
  const { logger, namespace, clock = systemClock } = dependencies;
  const prefix = namespace === undefined ? [] : ['nsenter', `--net=/run/netns/${namespace}`];
  const follow = async (words: readonly string[]): Promise<void> => {
    while (!signal.aborted) {
      const ended = await runMonitor(
        leashed([...prefix, ...words]),
        (line) => relevant.test(line) && onChange(),
        signal,
      );
      if (signal.aborted) return;
      logger.debug('network monitor ended, starting it again', {
        command: words.join(' '),
        ended,
        retryMs: RESTART_MS,
      });
      await clock.sleep(RESTART_MS, signal);
      onChange();
    }
  };
  await Promise.all(MONITORS.map(follow));
}

/** Resolves with how the program ended. */
function runMonitor(words: readonly string[], onLine: (line: string) => void, signal: AbortSignal): Promise<string> {
  const [program = 'ip', ...args] = words;
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const kill = (): void => void child.kill('SIGTERM');
    signal.addEventListener('abort', kill);
    child.stdout.setEncoding('utf8').on('data', lineReader(onLine));
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = text.slice(0, 200)));
    const finish = (how: string): void => {
      signal.removeEventListener('abort', kill);
      resolve(how);
    };
    child.on('error', (error) => finish(error.message));
    child.on('close', (code, killedBy) => finish(killedBy ?? `exit code ${code ?? ''} ${stderr}`.trim()));
    if (signal.aborted) kill();
  });
}
