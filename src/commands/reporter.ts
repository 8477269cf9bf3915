import { Chalk } from 'chalk';
import type { Clock } from '../runtime/clock.ts';
import { formatDuration } from './duration.ts';
import { colourAllowed, type Sink } from './terminal.ts';

/** One piece of work being done; ends with exactly one of done, warn or fail. */
export interface Step {
  /** Says what is being waited for now. */
  readonly update: (text: string) => void;
  /** Says what is being done now; too fleeting for anything but a terminal. */
  readonly progress: (text: string) => void;
  readonly done: (text?: string) => void;
  readonly warn: (text: string) => void;
  readonly fail: (text?: string) => void;
  /** Ends it without a line: its result is printed elsewhere. */
  readonly clear: () => void;
}

/** Tells the operator on stderr what happens; results never go through it. */
export interface Reporter {
  /** Starts a step; on a terminal it is shown with a spinner and the elapsed time, else only its end is written. */
  start(text: string): Step;
  /** Runs `work` as a step: done when it resolves (with its text, when it returns one), failed when it rejects. */
  step<T>(text: string, work: (step: Step) => Promise<T>): Promise<T>;
  done(text: string): void;
  warn(text: string): void;
  fail(text: string): void;
  /** A line without a mark. */
  info(text: string): void;
  /** A line shown only with -v. */
  detail(text: string): void;
}

export interface ReporterOptions {
  readonly sink: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** -1: warnings and failures only; 0: steps; 1 and more: details too. */
  readonly verbosity: number;
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'] as const;
const FRAME_MS = 100;
/** Steps that took less are reported without a time. */
const NOTABLE_MS = 1000;

/** A reporter that writes to one sink; it keeps a timer only while a step is open on a terminal. */
export function createReporter(options: ReporterOptions): Reporter {
  return new SinkReporter(options);
}

class SinkReporter implements Reporter {
  readonly #options: ReporterOptions;
  readonly #live: boolean;
  readonly #colour: InstanceType<typeof Chalk>;
  #drawn = false;
  #open: { text: string; startedMs: number; frame: number } | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#live = options.sink.isTTY && options.env['TERM'] !== 'dumb' && options.verbosity >= 0;
    this.#colour = new Chalk({ level: colourAllowed(options.sink, options.env) ? 1 : 0 });
  }

  start(text: string): Step {
    const { clock } = this.#options;
    const startedMs = clock.monotonic();
    this.#show({ text, startedMs, frame: 0 });
    const end = (mark: (line: string) => void) => (last?: string) => {
      this.#show(undefined);
      const ms = clock.monotonic() - startedMs;
      mark(`${last ?? text}${ms < NOTABLE_MS ? '' : ` (${formatDuration(ms)})`}`);
    };
    return {
      update: (now) => this.#update(now),
      progress: (now) => {
        if (this.#live) this.#update(now);
      },
      done: end((line) => this.done(line)),
      warn: end((line) => this.warn(line)),
      fail: end((line) => this.fail(line)),
      clear: () => this.#show(undefined),
    };
  }

  async step<T>(text: string, work: (step: Step) => Promise<T>): Promise<T> {
    const step = this.start(text);
    let ended = false;
    const once =
      (end: (last?: string) => void) =>
      (last?: string): void => {
        if (!ended) end(last);
        ended = true;
      };
    const guarded: Step = {
      update: step.update,
      progress: step.progress,
      done: once(step.done),
      warn: once((last) => step.warn(last ?? text)),
      fail: once(step.fail),
      clear: once(step.clear),
    };
    try {
      const result = await work(guarded);
      guarded.done();
      return result;
    } catch (error) {
      guarded.fail();
      throw error;
    }
  }

  done(text: string): void {
    if (this.#options.verbosity >= 0) this.#line(` ${this.#colour.green('✓')} ${text}`);
  }

  warn(text: string): void {
    this.#line(` ${this.#colour.yellow('⚠')} ${text}`);
  }

  fail(text: string): void {
    this.#line(` ${this.#colour.red('✗')} ${text}`);
  }

  info(text: string): void {
    if (this.#options.verbosity >= 0) this.#line(text);
  }

  detail(text: string): void {
    if (this.#options.verbosity >= 1) this.#line(`   ${this.#colour.dim(text)}`);
  }

  #update(text: string): void {
    if (this.#open === undefined) return;
    if (this.#live) {
      this.#open = { ...this.#open, text };
      this.#draw();
    } else if (this.#options.verbosity >= 0 && this.#open.text !== text) {
      this.#open = { ...this.#open, text };
      this.#line(`   ${text}`);
    }
  }

  #show(open: { text: string; startedMs: number; frame: number } | undefined): void {
    this.#erase();
    this.#open = open;
    if (this.#timer !== undefined) clearInterval(this.#timer);
    this.#timer = undefined;
    if (open === undefined || !this.#live) return;
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), FRAME_MS);
    this.#timer.unref();
  }

  #draw(): void {
    const open = this.#open;
    if (open === undefined) return;
    const frame = FRAMES[open.frame % FRAMES.length] ?? '•';
    this.#open = { ...open, frame: open.frame + 1 };
    const elapsed = formatDuration(this.#options.clock.monotonic() - open.startedMs);
    const room = (this.#options.sink.columns ?? 80) - elapsed.length - 8;
    const text = open.text.length > room ? `${open.text.slice(0, Math.max(room - 1, 0))}…` : open.text;
    this.#options.sink.write(`\r\u001B[K ${this.#colour.cyan(frame)} ${text} ${this.#colour.dim(elapsed)}`);
    this.#drawn = true;
  }

  #erase(): void {
    if (this.#drawn) this.#options.sink.write('\r\u001B[K');
    this.#drawn = false;
  }

  #line(text: string): void {
    this.#erase();
    this.#options.sink.write(`${text}\n`);
  }
}
