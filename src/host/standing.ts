import { spawn, type ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { RecentLooks } from './recent.ts';

/** What a run gave: as of a process of its own. */
export interface BatchRun {
  /** Undefined when the program could not be started, was killed or ran too long. */
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Why there is no exit code. */
  readonly reason?: string;
  /** Its process had run batches before. */
  readonly stood: boolean;
}

/** How one run is limited. */
export interface BatchLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** What a process is started with. */
export interface StandingOptions {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /**
   * Another number once what a process remembers may not be so any more: `ip` knows links by the numbers they had when
   * it first met them.
   */
  readonly age: () => number;
  /** Why it could not be started, for the operator. */
  readonly explain: (program: string, error: NodeJS.ErrnoException) => string;
}

/** The words of `ip` and `bridge` that take lines on the standard input; asked questions they answer with a line of JSON each. */
export const BATCH_WORDS = {
  ip: ['-N', '-d', '-j', '-force', '-batch', '-'],
  bridge: ['-j', '-force', '-batch', '-'],
} as const;

/** Nobody knows which of its lines were done; the next look at the kernel tells. */
const ENDED_EARLY = 'ended before it had done all its lines';

const NOTHING = { exitCode: undefined, stdout: '', stderr: '' } as const;

/** A batch that a process is at. */
interface Turn {
  readonly end: string;
  stdout: string;
  stderr: string;
  readonly finish: (run: Omit<BatchRun, 'stood'>) => void;
}

/**
 * `ip` or `bridge` in batch mode, kept for the next batch: starting a process costs many times what it then does. Each
 * batch is followed by a line that cannot be a command, whose refusal on the standard error says that all before it is
 * done.
 *
 * INVARIANTS: one batch at a time, in the order they came; a run gives what a process of its own would have given, the
 * numbers of lines too; what does not answer in time is killed, and the next run starts another one; it ends with this
 * process, as its input does, and does not keep it from ending.
 */
export class StandingProgram {
  readonly #options: StandingOptions;
  #process: { readonly child: ChildProcess; readonly age: number; lines: number } | undefined;
  #turn: Turn | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #turns = 0;

  constructor(options: StandingOptions) {
    this.#options = options;
  }

  /** Runs lines, each with its line end. Never rejects. */
  async run(stdin: string, limits: BatchLimits): Promise<BatchRun> {
    const run = this.#last.then(async () => this.#take(stdin, limits));
    this.#last = run;
    return run;
  }

  async #take(stdin: string, limits: BatchLimits): Promise<BatchRun> {
    if (limits.signal?.aborted === true) return { ...NOTHING, reason: 'cancelled', stood: false };
    if (this.#process?.age !== this.#options.age()) this.#retire();
    const stood = this.#process !== undefined;
    const process = (this.#process ??= this.#start());
    const before = process.lines;
    process.lines += stdin.split('\n').length;
    const run = await this.#converse(process.child, stdin, limits);
    return { ...run, stderr: countedFrom(before, run.stderr), stood };
  }

  #converse(child: ChildProcess, stdin: string, { timeoutMs, signal }: BatchLimits): Promise<Omit<BatchRun, 'stood'>> {
    this.#turns += 1;
    const end = `subctl-end-${this.#turns}`;
    return new Promise((resolve) => {
      const give = (reason: string): void => {
        child.kill('SIGKILL');
        this.#lose(child, { exitCode: undefined, reason });
      };
      const cancel = (): void => give('cancelled');
      const timer = setTimeout(() => give(`not finished after ${timeoutMs} ms, killed`), timeoutMs);
      const finish = (run: Omit<BatchRun, 'stood'>): void => {
        this.#turn = undefined;
        clearTimeout(timer);
        signal?.removeEventListener('abort', cancel);
        resolve(run);
      };
      this.#turn = { end, stdout: '', stderr: '', finish };
      signal?.addEventListener('abort', cancel);
      child.stdin?.write(`${stdin}${end}\n`);
    });
  }

  /** Lets the process end; the next run starts another one. */
  #retire(): void {
    this.#process?.child.stdin?.end();
    this.#process = undefined;
  }

  #start(): { readonly child: ChildProcess; readonly age: number; lines: number } {
    const { words, env, age, explain } = this.#options;
    const [program = '', ...args] = words;
    const child = spawn(program, args, { env: { ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    child.unref();
    for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as Socket).unref();
    child.stdin.on('error', () => undefined);
    child.on('error', (error) => this.#lose(child, { exitCode: undefined, reason: explain(program, error) }));
    child.on('close', (code, killedBy) => {
      // Nothing was refused, and yet it did not come to the end of its lines.
      if (code === null || code === 0) this.#lose(child, { exitCode: undefined, reason: killedBy ?? ENDED_EARLY });
      else this.#lose(child, { exitCode: code });
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#heard(child, 'stdout', text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => this.#heard(child, 'stderr', text));
    return { child, age: age(), lines: 0 };
  }

  /** The process is gone, or given up; with it the batch it was at. */
  #lose(child: ChildProcess, how: Pick<BatchRun, 'exitCode' | 'reason'>): void {
    if (this.#process?.child !== child) return;
    this.#process = undefined;
    const turn = this.#turn;
    turn?.finish({ ...how, stdout: turn.stdout, stderr: turn.stderr });
  }

  #heard(child: ChildProcess, stream: 'stdout' | 'stderr', text: string): void {
    if (this.#process?.child !== child) return;
    const turn = this.#turn;
    // Words after the end: whose they are cannot be known.
    if (turn === undefined) return this.#retire();
    turn[stream] += text;
    if (stream === 'stderr') this.#lookForEnd(turn);
    return undefined;
  }

  #lookForEnd(turn: Turn): void {
    const at = turn.stderr.indexOf(`Object "${turn.end}" is unknown`);
    if (at < 0 || !/\nCommand failed .*:\d+\n$/.test(turn.stderr.slice(at))) return;
    const stderr = turn.stderr.slice(0, at);
    void this.#finish(turn, stderr);
  }

  async #finish(turn: Turn, stderr: string): Promise<void> {
    // What was written before the end is in its pipe by now: one whole look at all pipes brings it here.
    await nextTurn();
    await nextTurn();
    if (this.#turn !== turn) return;
    turn.finish({ exitCode: /^Command failed /m.test(stderr) ? 1 : 0, stdout: turn.stdout, stderr });
  }
}

/** Counts lines from the beginning of the batch, as a process of its own would. */
function countedFrom(before: number, stderr: string): string {
  return stderr.replaceAll(/^(Command failed .*:)(\d+)$/gm, (_, text: string, line: string) => {
    return `${text}${Number(line) - before}`;
  });
}

/** The programs that stay for one runner, whose node is watched. */
export class StandingPrograms {
  readonly #options: Omit<StandingOptions, 'words' | 'age'> & { readonly prefix: readonly string[] };
  readonly #recent: RecentLooks;
  readonly #programs = new Map<string, StandingProgram>();

  constructor(
    recent: RecentLooks,
    options: Omit<StandingOptions, 'words' | 'age'> & { readonly prefix: readonly string[] },
  ) {
    this.#recent = recent;
    this.#options = options;
  }

  /** The one that takes lines for this program; undefined while not every change of a link is reported. */
  of(file: string, args: readonly string[]): StandingProgram | undefined {
    if (!this.#recent.trusted) return undefined;
    const { prefix, env, explain } = this.#options;
    const words = [...prefix, file, ...args];
    const key = words.join(' ');
    const known = this.#programs.get(key);
    if (known !== undefined) return known;
    const program = new StandingProgram({ words, env, explain, age: () => this.#recent.reportsOf(['link']) });
    this.#programs.set(key, program);
    return program;
  }
}
