import { createLogger, type Logger } from '../../src/runtime/logger.ts';

/** Keeps what programs under a test log, so that a failure that comes once can be read afterwards. */
export interface Journal {
  readonly logger: Logger;
  /** Runs a test's body; what was logged is printed when it fails. */
  explain(body: () => Promise<void>): Promise<void>;
}

export function createJournal(most = 400): Journal {
  const lines: string[] = [];
  const write = (line: string): void => {
    lines.push(line);
    if (lines.length > most) lines.shift();
  };
  return {
    logger: createLogger({ level: 'info', write }),
    explain: async (body) => {
      try {
        await body();
      } catch (error) {
        process.stderr.write(lines.join(''));
        throw error;
      }
    },
  };
}
