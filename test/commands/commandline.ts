import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KubeClient } from '../../src/kube/client.ts';
import { KubeApiError } from '../../src/kube/errors.ts';
import { createHttpsClient } from '../../src/kube/httpsclient.ts';
import type { Secret } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { assetsOf } from '../apiserver.ts';
import type { Served } from './apiservers.ts';

const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
const SERVERS = fileURLToPath(new URL('apiservers.ts', import.meta.url));

/** The clusters of apiservers.ts, which are contexts of the kubeconfig. */
export const NAMES = ['east', 'west'] as const;

/** What a command printed. */
export interface Printed {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The commands as a user runs them, each in a process of its own, against API servers with real RBAC and CRD validation. */
export class CommandLine {
  readonly directory: string;
  readonly served: Readonly<Record<string, Served>>;
  /** With the rights of an administrator. */
  readonly clients: Readonly<Record<string, KubeClient>>;
  readonly #servers: ChildProcess;

  constructor(directory: string, servers: ChildProcess, served: Readonly<Record<string, Served>>) {
    this.directory = directory;
    this.served = served;
    this.#servers = servers;
    this.clients = Object.fromEntries(NAMES.map((name) => [name, this.client(name, `token-${name}`)]));
  }

  client(cluster: string, token: string): KubeClient {
    return createHttpsClient({ ...this.served[cluster]!, token });
  }

  async run(...args: readonly string[]): Promise<Printed> {
    const { directory } = this;
    const old = args[0] === 'join' && assetsOf() !== undefined ? ['--ignore-requirements'] : [];
    const all = ['--no-warnings', path.join(directory, 'subctl.mjs'), ...args, ...old, '--kubeconfig', 'config'];
    return new Promise((resolve) => {
      execFile(process.execPath, all, { cwd: directory, env: { HOME: directory } }, (error, stdout, stderr) => {
        resolve({ exitCode: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr });
      });
    });
  }

  /** Runs and fails with what was printed unless the exit code is 0. */
  async ok(...args: readonly string[]): Promise<Printed> {
    const printed = await this.run(...args);
    if (printed.exitCode === 0) return printed;
    throw new Error(`subctl ${args.join(' ')}: exit code ${printed.exitCode}\n${printed.stdout}${printed.stderr}`);
  }

  /** The credential of a joined cluster. */
  async tokenOf(cluster: string): Promise<string> {
    const at = { namespace: 'submariner-operator' };
    const secret = await this.clients[cluster]!.get<Secret>(RESOURCES.secrets, 'submariner-broker-secret', at);
    return Buffer.from(secret.data!['token']!, 'base64').toString();
  }

  async stop(): Promise<void> {
    for (const client of Object.values(this.clients)) client.close();
    const ended = this.#servers.exitCode === null ? once(this.#servers, 'exit') : undefined;
    this.#servers.stdin?.end();
    await ended;
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function clusterEntry({ server, ca }: Served): object {
  const authority = ca === undefined ? {} : { 'certificate-authority-data': Buffer.from(ca).toString('base64') };
  return { server, ...authority };
}

/** Two API servers, and a directory with their kubeconfig; stop() it afterwards. */
export async function startCommandLine(): Promise<CommandLine> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'subctl-cli-'));
  const servers = spawn(process.execPath, ['--no-warnings', SERVERS], { stdio: ['pipe', 'pipe', 'inherit'] });
  const line = await Promise.race([
    once(servers.stdout, 'data'),
    once(servers, 'exit').then(() => Promise.reject(new Error('the API servers did not start'))),
  ]);
  const served = JSON.parse(String(line[0])) as Record<string, Served>;
  const kubeconfig = {
    'current-context': 'east',
    clusters: NAMES.map((name) => ({ name, cluster: clusterEntry(served[name]!) })),
    users: NAMES.map((name) => ({ name, user: { token: `token-${name}` } })),
    contexts: NAMES.map((name) => ({ name, context: { cluster: name, user: name } })),
  };
  writeFileSync(path.join(directory, 'config'), JSON.stringify(kubeconfig));
  writeFileSync(path.join(directory, 'subctl.mjs'), `import { main } from ${JSON.stringify(CLI)};\nawait main();\n`);
  return new CommandLine(directory, servers, served);
}

/** HTTP status of a request that is refused; 0 for one that is not. */
export async function refusal(request: Promise<unknown>): Promise<number> {
  const error: unknown = await request.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error === undefined) return 0;
  if (error instanceof KubeApiError) return error.code;
  throw error;
}
