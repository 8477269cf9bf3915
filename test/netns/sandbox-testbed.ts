import { execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRunner } from '../../src/host/command.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import { createHttpsClient } from '../../src/kube/httpsclient.ts';
import type { Pod } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { execInNode, execInPod, type ExecCommand } from '../../src/sandbox/exec.ts';
import { createFabric, destroyFabric, inNamespace, type FabricTools } from '../../src/sandbox/fabric/fabric.ts';
import { nodeConfig } from '../../src/sandbox/node/config.ts';
import { readRecords } from '../../src/sandbox/pods/record.ts';
import { planSandbox, type NodePlan, type SandboxPlan } from '../../src/sandbox/plan.ts';
import { isAlive, startDaemon, type ProcessIdentity } from '../../src/sandbox/processes.ts';
import { record } from '../runrecord.ts';

export const tools: FabricTools = { runner: createRunner({ logger: silentLogger }) };

/** A plan with a name nobody else has. */
export function testPlan(clusters: readonly string[], nodes: number): SandboxPlan {
  return planSandbox({ name: record(`t-${randomBytes(3).toString('hex')}`), clusters, nodes, gateways: 1 });
}

export async function until<T>(what: string, look: () => Promise<T> | T, timeoutMs = 15_000): Promise<NonNullable<T>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== null && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`not so after ${timeoutMs} ms: ${what}`);
    await sleep(30);
  }
}

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line; never rejects. */
export function run(command: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ran> {
  const [file = '', ...args] = command;
  return new Promise((resolve) => {
    const options = { timeout: 20_000, ...(env === undefined ? {} : { env: { ...env } }) };
    execFile(file, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 255;
      resolve({ exitCode: code, stdout, stderr });
    });
  });
}

export function runIn(namespace: string, ...command: readonly string[]): Promise<Ran> {
  return run(inNamespace(namespace, command));
}

/** True when an answer comes back within 0.4 s. */
export async function pings(namespace: string, address: string): Promise<boolean> {
  return (await runIn(namespace, 'ping', '-c1', '-W0.4', address)).exitCode === 0;
}

/** Starts a program inside a namespace that goes on by itself. */
export function startIn(namespace: string, ...command: readonly string[]): number {
  const [file = '', ...args] = inNamespace(namespace, command);
  const child = spawn(file, args, { detached: true, stdio: 'ignore' });
  child.unref();
  return child.pid ?? 0;
}

const TOKEN = 'admin-token';
const program = path.resolve('test/netns/sandbox-programs.ts');
const node = [process.execPath, '--no-warnings'];

/** One cluster: the embedded API server in its namespace, and agents on its nodes. */
export class SandboxTestbed {
  readonly dir = mkdtempSync(path.join(tmpdir(), 'subctl-sandbox-'));
  readonly plan: SandboxPlan;
  readonly agents = new Map<string, ProcessIdentity>();
  #client: KubeClient | undefined;

  constructor(nodes: number) {
    this.plan = testPlan(['east'], nodes);
  }

  get cluster() {
    return this.plan.clusters[0]!;
  }

  get client(): KubeClient {
    const ca = readFileSync(this.file('cert.pem'), 'utf8');
    const { lanAddress } = this.cluster.controlPlane;
    const server = `https://${lanAddress}:6443`;
    this.#client ??= createHttpsClient({ server, socketPath: this.file('api.sock'), ca, token: TOKEN });
    return this.#client;
  }

  file(name: string): string {
    return path.join(this.dir, name);
  }

  nodeDir(name: string): string {
    return this.file(`nodes/${name}`);
  }

  node(number: number): NodePlan {
    return this.cluster.nodes[number - 1]!;
  }

  async up(): Promise<void> {
    await createFabric(tools, this.plan);
    const { lanAddress, namespace } = this.cluster.controlPlane;
    const subject = ['-subj', '/CN=sandbox', '-addext', `subjectAltName=DNS:localhost,IP:${lanAddress},IP:100.66.0.1`];
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const files = ['-keyout', this.file('key.pem'), '-out', this.file('cert.pem')];
    execFileSync('openssl', ['req', '-x509', '-days', '2', ...key, ...files, ...subject], { stdio: 'ignore' });
    const config = {
      listen: [{ host: lanAddress, port: 6443 }, { socketPath: this.file('api.sock') }],
      cert: this.file('cert.pem'),
      key: this.file('key.pem'),
      adminToken: TOKEN,
      serviceCidr: this.cluster.serviceCidr,
    };
    writeFileSync(this.file('apiserver.json'), JSON.stringify(config));
    await this.#start(namespace, 'apiserver', 'apiserver');
    await until('the API server listens', () => existsSync(this.file('api.sock')));
    await until('the API server answers', () =>
      this.client.request('GET', '/readyz').then(
        () => true,
        () => false,
      ),
    );
    await this.#announce(lanAddress);
    await Promise.all(this.cluster.nodes.map((one) => this.startAgent(one)));
    await until('all nodes are ready', async () => {
      const { items } = await this.client.list(RESOURCES.nodes);
      return (
        items.length === this.cluster.nodes.length && items.every((one) => JSON.stringify(one).includes('KubeletReady'))
      );
    });
  }

  async startAgent(target: NodePlan): Promise<void> {
    mkdirSync(this.nodeDir(target.name), { recursive: true });
    const config = nodeConfig(this.plan, 'east', target.name, {
      server: `https://${this.cluster.controlPlane.lanAddress}:6443`,
      caFile: this.file('cert.pem'),
      token: TOKEN,
      nodeDir: this.nodeDir(target.name),
      restartMs: 100,
      heartbeatMs: 500,
      images: {
        echo: { entrypoint: [...node, program, 'echo'], env: { CLUSTER: 'east' } },
        shell: { entrypoint: ['sh', '-c'] },
      },
    });
    writeFileSync(this.file(`${target.name}.json`), JSON.stringify(config));
    this.agents.set(target.name, await this.#start(target.namespace, 'node', target.name));
  }

  async #start(namespace: string, what: string, config: string): Promise<ProcessIdentity> {
    const [file = '', ...args] = inNamespace(namespace, [...node, program, what, this.file(`${config}.json`)]);
    const env = { PATH: process.env['PATH'], LOG_LEVEL: 'info' };
    return startDaemon({ file, args, env, logFile: this.file(`${config}.log`) });
  }

  /** Service `kubernetes`, which a control plane makes. */
  async #announce(address: string): Promise<void> {
    const metadata = { name: 'kubernetes', namespace: 'default' };
    if ((await this.client.find(RESOURCES.services, 'kubernetes', { namespace: 'default' })) === undefined) {
      const ports = [{ name: 'https', port: 443, targetPort: 6443, protocol: 'TCP' }];
      await this.client.create(RESOURCES.services, { metadata, spec: { clusterIP: '100.66.0.1', ports } } as never);
    }
    await this.endpoints('kubernetes', [address], [{ name: 'https', port: 6443, protocol: 'TCP' }]);
  }

  /** Makes or replaces the EndpointSlice of a Service. */
  async endpoints(service: string, addresses: readonly string[], ports: readonly object[]): Promise<void> {
    const object = {
      metadata: { name: service, namespace: 'default', labels: { 'kubernetes.io/service-name': service } },
      addressType: 'IPv4',
      endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
      ports,
    };
    await this.client.apply(RESOURCES.endpointSlices, object as never, { fieldManager: 'test', force: true });
  }

  async service(name: string, ports: readonly object[]): Promise<string> {
    const object = { metadata: { name, namespace: 'default' }, spec: { ports } };
    const made = await this.client.create(RESOURCES.services, object as never);
    return (made as unknown as { readonly spec: { readonly clusterIP: string } }).spec.clusterIP;
  }

  async createPod(name: string, on: NodePlan, spec: object): Promise<void> {
    const object = { metadata: { name, namespace: 'default' }, spec: { nodeName: on.name, ...spec } };
    await this.client.create(RESOURCES.pods, object as never);
  }

  pod(name: string): Promise<Pod | undefined> {
    return this.client.find<Pod>(RESOURCES.pods, name, { namespace: 'default' });
  }

  /** Waits until a pod is as wanted. */
  async podThat(name: string, what: string, holds: (pod: Pod) => boolean, timeoutMs?: number): Promise<Pod> {
    let last: Pod | undefined;
    const look = async (): Promise<Pod | undefined> => {
      last = await this.pod(name);
      return last !== undefined && holds(last) ? last : undefined;
    };
    try {
      return await until(`pod ${name} ${what}`, look, timeoutMs);
    } catch (error) {
      throw new Error(`${String(error)}\n${JSON.stringify(last?.status)}\n${this.logs()}`, { cause: error });
    }
  }

  readyPod(name: string): Promise<Pod> {
    return this.podThat(name, 'is ready', isReady);
  }

  async gone(name: string): Promise<void> {
    await until(`pod ${name} is gone`, async () => (await this.pod(name)) === undefined);
  }

  exec(pod: string, ...command: readonly string[]): Promise<Ran> {
    const nodeDir = (name: string): string => this.nodeDir(name);
    const { command: words, env }: ExecCommand = execInPod(this.plan, { cluster: 'east', pod }, nodeDir, command);
    return run(words, env as Readonly<Record<string, string>> | undefined);
  }

  execOnNode(on: NodePlan, ...command: readonly string[]): Promise<Ran> {
    return run(execInNode(this.plan, { cluster: 'east', node: on.name }, command).command);
  }

  log(on: NodePlan, pod: string, container: string): string {
    return readFileSync(path.join(this.nodeDir(on.name), 'logs', `default_${pod}_${container}.log`), 'utf8');
  }

  logs(): string {
    return this.cluster.nodes.map((one) => readFileSync(this.file(`${one.name}.log`), 'utf8').slice(-2000)).join('\n');
  }

  processOf(on: NodePlan, pod: string): ProcessIdentity | undefined {
    const record = readRecords(this.nodeDir(on.name)).find((one) => one.name === pod);
    const found = Object.values(record?.containers ?? {})[0];
    return found !== undefined && isAlive(found) ? found : undefined;
  }

  async down(): Promise<void> {
    this.#client?.close();
    await destroyFabric(tools, this.plan.name, { graceMs: 200 });
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true;
}
