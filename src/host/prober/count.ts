import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { childEnvironment } from '../../runtime/environment.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { CountOrder, CountRule } from './protocol.ts';

/** Before connection tracking and every filter, or after all of them. */
const PRIORITY: Readonly<Record<CountRule['hook'], number>> = { prerouting: -310, input: 310, postrouting: 310 };
const ANSWER_MS = 5000;

/** The nft script of a table that counts and nothing else; it goes with the program that made it (flag owner). */
export function counterScript(table: string, rules: readonly CountRule[]): string {
  const hooks = [...new Set(rules.map(({ hook }) => hook))];
  const chains = hooks.map(
    (hook) => `add chain inet ${table} ${hook} { type filter hook ${hook} priority ${PRIORITY[hook]}; policy accept; }`,
  );
  const counters = rules.map(
    ({ id, hook, port, bytes }) =>
      `add rule inet ${table} ${hook} udp dport ${port} udp length ${bytes - IP_HEADER_BYTES} counter comment "${id}"`,
  );
  return [`add table inet ${table} { flags owner; }`, ...chains, ...counters].map((line) => `${line}\n`).join('');
}

const IP_HEADER_BYTES = 20;

/** Packets by the comment of the rule that counted them. */
export function parseCounters(listing: string): Readonly<Record<string, number>> {
  const found = listing.matchAll(/counter packets (\d+) bytes \d+ comment "([^"]*)"/g);
  return Object.fromEntries([...found].map(([, packets, id = '']) => [id, Number(packets)]));
}

/** What nft has said so far; `until` waits for a text. */
class Output {
  #text = '';
  readonly #waiting = new Set<() => void>();

  add(text: string): void {
    this.#text += text;
    for (const look of this.#waiting) look();
  }

  /** The text up to the end of the first match that comes from now on; rejects when it does not come in time. */
  until(pattern: RegExp): Promise<string> {
    const from = this.#text.length;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => done(() => reject(failed(this.#text.slice(from) || 'nft does not answer'))),
        ANSWER_MS,
      );
      const done = (finish: () => void): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        finish();
      };
      const look = (): void => {
        const text = this.#text.slice(from);
        const problem = /^.*(?:Error|error|not found).*$/m.exec(text)?.[0];
        if (problem !== undefined) done(() => reject(failed(problem)));
        else if (pattern.test(text)) done(() => resolve(text));
      };
      this.#waiting.add(look);
      look();
    });
  }
}

function failed(why: string): ExpectedError {
  return new ExpectedError(`packets cannot be counted: ${why.trim()}`, {
    hint: 'It takes nftables 0.9.9 and Linux 5.12 or newer.',
  });
}

/** The end of a listing that holds all rules. */
function whole(count: number): RegExp {
  return new RegExp(`(?:comment "[^"]*"[^]*?){${count}}\\n}\\n`);
}

function startNft(output: Output): ChildProcessWithoutNullStreams {
  const child = spawn('nft', ['-i'], { env: childEnvironment({ LC_ALL: 'C' }) });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => output.add(text));
  }
  child.stdin.on('error', () => undefined);
  child.on('error', (error) => output.add(`Error: ${error.message}\n`));
  return child;
}

/**
 * Counts UDP packets that pass the node until the signal is aborted, and says how many each rule saw. The counters stand
 * in a table that the kernel removes with this program, however it ends. Rejects with ExpectedError when that cannot be.
 */
export async function countPackets(
  { rules }: CountOrder,
  signal: AbortSignal,
  onReady: () => void,
): Promise<Readonly<Record<string, number>>> {
  const output = new Output();
  const table = `subctl-probe-${process.pid}`;
  const list = `list table inet ${table}\n`;
  const child = startNft(output);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  try {
    child.stdin.write(counterScript(table, rules));
    child.stdin.write(list);
    await output.until(whole(rules.length));
    onReady();
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const listing = output.until(whole(rules.length));
    child.stdin.write(list);
    return parseCounters(await listing);
  } finally {
    child.stdin.end();
    child.kill('SIGKILL');
    await ended;
  }
}
