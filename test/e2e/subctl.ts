import { spawn, execFileSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { record } from '../runrecord.ts';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One sandbox of a test: its own name and directory, `bin/subctl` run as a user runs it. */
export class TestSandbox {
  readonly root = mkdtempSync(path.join(tmpdir(), 'sbx-e2e-'));
  readonly name = record(`t-${randomBytes(3).toString('hex')}`, this.root);
  readonly #running = new Set<ChildProcess>();

  start(args: readonly string[]): ChildProcess {
    const env = {
      PATH: process.env['PATH'],
      HOME: this.root,
      SUBCTL_SANDBOX_DIR: path.join(this.root, 'state'),
      NO_COLOR: '1',
    };
    const child = spawn(path.resolve('bin/subctl'), [...args, ...controlPlaneOf(args)], {
      cwd: this.root,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    child.once('close', () => this.#running.delete(child));
    return child;
  }

  run(...args: readonly string[]): Promise<Finished> {
    return finished(this.start(args));
  }

  /** Runs and fails with all that was printed unless the exit code is 0. */
  async ok(...args: readonly string[]): Promise<string> {
    const result = await this.run(...args);
    if (result.code === 0) return result.stdout;
    throw new Error(`subctl ${args.join(' ')}: exit code ${result.code}\n${result.stdout}${result.stderr}`);
  }

  sandbox(command: string, ...args: readonly string[]): Promise<string> {
    return this.ok('sandbox', command, '--name', this.name, ...args);
  }

  /** The flag with the kubeconfig of all clusters. */
  get kubeconfig(): readonly string[] {
    return ['--kubeconfig', path.join(this.root, 'state', this.name, 'kubeconfig')];
  }

  /** Starts clusters east and west with the flags of `sandbox up`, joins them with VXLAN, and waits until they are connected. */
  async joined(gateways: number, ...flags: readonly string[]): Promise<void> {
    await this.sandbox('up', '--gateways', String(gateways), ...flags);
    await this.ok('deploy-broker', '--context', 'east', ...this.kubeconfig);
    await this.join('--gateways', String(gateways), '--cable-driver', 'vxlan');
  }

  /** Joins clusters east and west one after the other, and waits until they are connected. */
  async join(...flags: readonly string[]): Promise<void> {
    for (const cluster of ['east', 'west']) {
      const identity = ['--context', cluster, '--clusterid', cluster];
      await this.ok('join', 'broker-info.subm', ...identity, ...flags, ...this.kubeconfig);
    }
    await this.ok('show', 'connections', '--wait', '--timeout', '2m', ...this.kubeconfig);
  }

  kubectl(...args: readonly string[]): string {
    return execFileSync('kubectl', [...this.kubeconfig, '--cache-dir', path.join(this.root, 'cache'), ...args], {
      encoding: 'utf8',
    });
  }

  /** Everything on this machine that belongs to the sandbox: namespaces, processes, files. */
  remains(): readonly string[] {
    const namespaces = readdirSync('/run/netns').filter((one) => one.startsWith(`sbx-${this.name}-`));
    const processes = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && mentions(pid, this.root));
    const files = entries(path.join(this.root, 'state'));
    return [...namespaces, ...processes.map((pid) => `process ${pid}`), ...files];
  }

  /** Removes everything, also while something is still being done to the sandbox. */
  async dispose(): Promise<void> {
    const ends = [...this.#running].map((child) => new Promise((resolve) => child.once('close', resolve)));
    for (const child of this.#running) child.kill('SIGINT');
    await Promise.all(ends);
    await this.run('sandbox', 'down', '--name', this.name);
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Whether the sandboxes run a kube-apiserver: it is older, takes its time, and remembers some things for a while. */
export const REAL = process.env['KUBEBUILDER_ASSETS'] !== undefined;

/** With KUBEBUILDER_ASSETS=DIR every sandbox of the tests runs the kube-apiserver and etcd in DIR. */
function controlPlaneOf(args: readonly string[]): readonly string[] {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets === undefined || assets === '') return [];
  // The server that Debian's source makes is one version older than what join asks for.
  if (args[0] === 'join') return ['--ignore-requirements'];
  const starts = args[0] === 'demo' || (args[0] === 'sandbox' && args[1] === 'up');
  return starts && !args.includes('--control-plane') ? ['--control-plane', assets] : [];
}

export function finished(child: ChildProcess): Promise<Finished> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}

function mentions(pid: string, text: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
  } catch {
    return false;
  }
}

function entries(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Looks until `holds`; fails with what was last seen. */
export async function eventually<T>(
  look: () => T | Promise<T>,
  holds: (seen: T) => boolean,
  timeoutMs = 30_000,
): Promise<T> {
  for (const end = Date.now() + timeoutMs; ;) {
    const seen = await look();
    if (holds(seen)) return seen;
    if (Date.now() > end) throw new Error(`not reached in ${timeoutMs} ms, last seen: ${JSON.stringify(seen)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
