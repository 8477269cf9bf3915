import { ExpectedError, exitCodeOf, messageOf } from './errors.ts';
import { createLogger, parseLogLevel, type Logger } from './logger.ts';

/** Environment variables as a process gets them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What a daemon does: resolves when the signal is aborted and all is put in order, or rejects when it cannot go on. */
export type DaemonMain = (signal: AbortSignal, logger: Logger, env: Environment) => Promise<void>;

/** The parts of `process` a daemon needs. */
export interface HostProcess {
  readonly env: Environment;
  on(event: string, listener: (value: unknown) => void): unknown;
  off(event: string, listener: (value: unknown) => void): unknown;
  writeError(text: string): void;
  exit(code: number): void;
}

/** The time a daemon has to put things in order after the first signal, in milliseconds. */
const STOP_MS = 10_000;

/**
 * Runs a daemon until SIGTERM or SIGINT and then ends the process: 0 stopped as asked, 1 or 2 the operator can act,
 * 70 a bug, 128 + n on a second signal or when stopping takes longer than 10 s. LOG_LEVEL (error, warn, info, debug) and
 * LOG_FORMAT (text, json) choose what is logged to standard error.
 */
export async function runDaemon(main: DaemonMain, host: HostProcess = thisProcess()): Promise<void> {
  const logger = daemonLogger(host);
  const stop = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const finish = (code: number): void => {
    clearTimeout(timer);
    host.exit(code);
  };
  const stopOn = (name: string, number: number) => () => {
    if (stop.signal.aborted) {
      finish(128 + number);
      return;
    }
    logger.info('stopping', { signal: name });
    timer = setTimeout(() => {
      logger.error('stopping takes too long, leaving', { waitedMs: STOP_MS });
      finish(128 + number);
    }, STOP_MS);
    stop.abort(new ExpectedError(`stopped by ${name}`));
  };
  const bug = (error: unknown): void => {
    logger.error('unexpected error, leaving', { error });
    finish(70);
  };
  const handlers = [
    ['SIGTERM', stopOn('SIGTERM', 15)],
    ['SIGINT', stopOn('SIGINT', 2)],
    ['unhandledRejection', bug],
    ['uncaughtException', bug],
  ] as const;
  for (const [event, handler] of handlers) host.on(event, handler);
  try {
    await main(stop.signal, logger, host.env);
    finish(0);
  } catch (error) {
    finish(stop.signal.aborted ? 0 : reportFailure(logger, error));
  } finally {
    for (const [event, handler] of handlers) host.off(event, handler);
  }
}

function reportFailure(logger: Logger, error: unknown): number {
  if (error instanceof ExpectedError) logger.error(messageOf(error), { hint: error.hint });
  else logger.error('unexpected error, leaving', { error });
  return exitCodeOf(error);
}

function daemonLogger(host: HostProcess): Logger {
  const debug = host.env['SUBMARINER_DEBUG'] === 'true' ? 'debug' : 'info';
  return createLogger({
    level: parseLogLevel(host.env['LOG_LEVEL'] ?? '') ?? debug,
    format: host.env['LOG_FORMAT'] === 'json' ? 'json' : 'text',
    write: (line) => host.writeError(line),
  });
}

function thisProcess(): HostProcess {
  return {
    env: process.env,
    on: (event, listener) => process.on(event, listener),
    off: (event, listener) => process.off(event, listener),
    writeError: (text) => void process.stderr.write(text),
    exit: (code) => process.exit(code),
  };
}
