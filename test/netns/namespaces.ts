import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createRunner, type CommandRunner } from '../../src/host/command.ts';
import { RecentLooks } from '../../src/host/recent.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { record } from '../runrecord.ts';

/** Network namespaces of one test, named t-<random>-<short name>; nothing of it is in the machine's own namespace. */
export class Namespaces {
  readonly #prefix = record(`t-${randomBytes(3).toString('hex')}`);
  readonly #names: string[] = [];
  readonly #children: ChildProcess[] = [];

  add(...shorts: readonly string[]): void {
    for (const short of shorts) {
      execFileSync('ip', ['netns', 'add', this.name(short)]);
      this.#names.push(this.name(short));
      this.ip(short, 'link set lo up');
    }
  }

  name(short: string): string {
    return `${this.#prefix}-${short}`;
  }

  /** `ip` words, or several lines of them. */
  ip(short: string, lines: string): void {
    for (const line of lines.split('\n').map((text) => text.trim())) {
      if (line !== '') execFileSync('ip', ['-n', this.name(short), ...line.split(' ')], { stdio: 'pipe' });
    }
  }

  /** A link between two namespaces, both ends up. */
  wire(a: string, aLink: string, b: string, bLink: string): void {
    this.ip(a, `link add ${aLink} type veth peer name ${bLink} netns ${this.name(b)}`);
    this.ip(a, `link set ${aLink} up`);
    this.ip(b, `link set ${bLink} up`);
  }

  /** Runs a shell line and returns what it printed. */
  sh(short: string, line: string): string {
    return execFileSync('ip', ['netns', 'exec', this.name(short), 'sh', '-c', line], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
  }

  /** Starts a shell line that runs until remove(). */
  start(short: string, line: string): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.name(short), 'sh', '-c', `exec ${line}`], { stdio: 'ignore' });
    this.#children.push(child);
    return child;
  }

  runner(short: string): CommandRunner {
    return createRunner({ logger: silentLogger, namespace: this.name(short) });
  }

  /** As of a daemon whose node nobody else changes: it may rely on what it has seen, and programs stay. */
  watchedRunner(short: string): CommandRunner {
    const recent = new RecentLooks({ maxAgeMs: 20_000 });
    recent.trust(true);
    return createRunner({ logger: silentLogger, namespace: this.name(short), recent });
  }

  remove(): void {
    for (const child of this.#children.splice(0)) child.kill('SIGKILL');
    for (const name of this.#names.splice(0)) execFileSync('ip', ['netns', 'del', name]);
  }
}
