/** The parts of `process` that an interruption needs. */
export interface SignalSource {
  on(event: 'SIGINT' | 'SIGTERM', listener: () => void): unknown;
  exit(code: number): void;
}

/**
 * How SIGINT and SIGTERM end a command. Until `signal` is first called they end the process at once; from then on the
 * first one aborts the signal, so that the command can put things in order, and the second one ends the process.
 */
export class Interruption {
  readonly #source: SignalSource;
  readonly #controller = new AbortController();
  #installed = false;
  #exitCode: number | undefined;

  constructor(source: SignalSource) {
    this.#source = source;
  }

  /** 128 + n when signal n has come, whatever the command makes of it; undefined before. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  readonly signal = (): AbortSignal => {
    if (!this.#installed) {
      this.#installed = true;
      this.#source.on('SIGINT', () => this.#interrupt(130));
      this.#source.on('SIGTERM', () => this.#interrupt(143));
    }
    return this.#controller.signal;
  };

  #interrupt(code: number): void {
    if (this.#exitCode !== undefined) this.#source.exit(code);
    this.#exitCode = code;
    this.#controller.abort();
  }
}
