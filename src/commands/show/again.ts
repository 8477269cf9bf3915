import type { CommandRun } from '../context.ts';

/** How what was seen is told, look after look. */
export interface Teller<Seen> {
  tell(seen: Seen): Promise<void>;
  end(): void;
}

/** Looks and tells again and again until it is interrupted or --timeout is over. */
export async function lookAgain<Seen>(
  run: CommandRun,
  intervalMs: number,
  teller: Teller<Seen>,
  look: () => Promise<Seen>,
): Promise<void> {
  const { clock, interrupted } = run.context;
  const signal = interrupted();
  const endMs = clock.monotonic() + (run.flags.timeoutMs ?? Infinity);
  const stopped = new Promise<undefined>((resolve) =>
    signal.addEventListener('abort', () => resolve(undefined), { once: true }),
  );
  try {
    while (!signal.aborted) {
      const seen = await Promise.race([look(), stopped]);
      if (seen === undefined) return;
      await teller.tell(seen);
      if (clock.monotonic() + intervalMs > endMs) return;
      await clock.sleep(intervalMs, signal);
    }
  } finally {
    teller.end();
  }
}

/** The time of a look, in seconds; RFC 3339. */
export function timeNow({ context }: CommandRun): string {
  return new Date(context.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
}
