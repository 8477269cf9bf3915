import type { Clock } from '../runtime/clock.ts';

/** What a server's liveness is found out with. */
export interface LivenessOptions {
  /** A stream is trusted for so long after the server was last heard. */
  readonly silenceMs: number;
  readonly clock: Clock;
  /** Asks the server for any sign of life; rejects when none comes in time. */
  readonly ask: (signal: AbortSignal) => Promise<void>;
  /** Called with the reason when the server gave no sign of life. */
  readonly onDead: (reason: unknown) => void;
}

/** A response that comes bit by bit. */
interface Stream {
  destroy(error?: Error): unknown;
}

/**
 * Watches may rightly say nothing for a minute, and a connection whose other end is gone says nothing for ever. While
 * streams are open and nothing is heard, the server is asked now and then; when it does not answer, all streams break.
 *
 * INVARIANTS: a server that was heard within `silenceMs` is not asked; without streams there is no timer.
 */
export class Liveness {
  readonly #options: LivenessOptions;
  readonly #streams = new Set<Stream>();
  #heardAt = 0;
  #stop: AbortController | undefined;

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  /** To be called whenever anything came from the server. */
  heard(): void {
    this.#heardAt = this.#options.clock.monotonic();
  }

  /** Guards a stream until the returned function is called. */
  guard(stream: Stream): () => void {
    this.heard();
    this.#streams.add(stream);
    if (this.#stop === undefined) {
      this.#stop = new AbortController();
      void this.#run(this.#stop.signal);
    }
    return () => {
      this.#streams.delete(stream);
      if (this.#streams.size > 0) return;
      this.#stop?.abort();
      this.#stop = undefined;
    };
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, silenceMs, ask, onDead } = this.#options;
    while (!signal.aborted) {
      const leftMs = this.#heardAt + silenceMs - clock.monotonic();
      if (leftMs > 0) {
        await clock.sleep(leftMs, signal);
        continue;
      }
      try {
        await ask(signal);
        this.heard();
      } catch (error) {
        if (signal.aborted) return;
        onDead(error);
        const reason = error instanceof Error ? error : new Error(String(error));
        for (const stream of this.#streams) stream.destroy(reason);
        // The streams leave by and by; until then there is nothing more to ask.
        this.heard();
      }
    }
  }
}
