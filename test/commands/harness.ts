import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from '@jest/globals';
import type { ClusterAccess, ContextInfo, KubeAccess } from '../../src/commands/access.ts';
import { normaliseArguments } from '../../src/commands/command.ts';
import type { CommandContext } from '../../src/commands/context.ts';
import { describeFailure } from '../../src/commands/failure.ts';
import { buildProgram } from '../../src/commands/program.ts';
import type { Prompter } from '../../src/commands/prompt.ts';
import { selectContexts } from '../../src/commands/show/contexts.ts';
import type { KubeObject, ResourceType } from '../../src/kube/client.ts';
import type { DaemonSet, Secret } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { FakeKube } from '../fakes/kube.ts';

/** What a command line did. */
export interface RunOutcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

export interface HarnessOptions {
  readonly interactive?: boolean;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly prompter?: Partial<Prompter>;
  readonly tty?: boolean;
  /** What Ctrl-C aborts. */
  readonly interrupted?: AbortSignal;
}

const NEVER: Prompter = {
  text: async (question) => Promise.reject(new Error(`asked without need: ${question}`)),
  choose: async (question) => Promise.reject(new Error(`asked without need: ${question}`)),
  confirm: async (question) => Promise.reject(new Error(`asked without need: ${question}`)),
};

/** A clock on which every sleep is over at once, so that deadlines pass without waiting. */
export class JumpingClock implements Clock {
  #now = Date.UTC(2030, 0, 1);

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  async sleep(ms: number): Promise<void> {
    this.#now += ms;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function ownDirectory(): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'subctl-test-'));
  directories.push(directory);
  return directory;
}

/** The command line with API servers in memory, a clock that jumps, and a directory of its own. */
export class Harness {
  readonly directory = ownDirectory();
  readonly clusters: ReadonlyMap<string, FakeKube>;
  readonly clock = new JumpingClock();
  readonly #options: HarnessOptions;
  #contexts: readonly ContextInfo[];

  constructor(clusters: Readonly<Record<string, FakeKube>>, options: HarnessOptions = {}) {
    this.clusters = new Map(Object.entries(clusters));
    this.#options = options;
    this.#contexts = Object.entries(clusters).map(([name, { server }]) => ({
      name,
      cluster: name,
      user: `admin@${name}`,
      namespace: undefined,
      server,
    }));
  }

  set contexts(contexts: readonly ContextInfo[]) {
    this.#contexts = contexts;
  }

  file(name: string): string {
    return readFileSync(path.join(this.directory, name), 'utf8');
  }

  async run(...args: readonly string[]): Promise<RunOutcome> {
    let stdout = '';
    let stderr = '';
    const isTTY = this.#options.tty === true;
    const context: CommandContext = {
      terminal: {
        stdout: { write: (text) => void (stdout += text), isTTY },
        stderr: { write: (text) => void (stderr += text), isTTY },
        interactive: this.#options.interactive === true,
        readStdin: async () => '',
      },
      env: this.#options.env ?? {},
      cwd: this.directory,
      version: '9.8.7',
      templatesDir: fileURLToPath(new URL('../../templates', import.meta.url)),
      clock: this.clock,
      interrupted: () => this.#options.interrupted ?? new AbortController().signal,
      access: async (flags) => this.#access(flags.context),
      prompter: { ...NEVER, ...this.#options.prompter },
    };
    try {
      const program = buildProgram(context, args);
      await program.parseAsync([...normaliseArguments(program, args)], { from: 'user' });
      return { stdout, stderr, exitCode: 0 };
    } catch (error) {
      const failure = describeFailure(error, context.version);
      return { stdout, stderr: `${stderr}${failure.text}`, exitCode: failure.exitCode };
    }
  }

  #access(contextName: string | undefined): KubeAccess {
    const connect = async (name: string): Promise<ClusterAccess> => {
      const info = selectContexts(this.#contexts, { context: name }).contexts[0]!;
      return { ...info, client: this.clusters.get(info.cluster)! };
    };
    return {
      contexts: async () => this.#contexts,
      current: async () => connect(contextName ?? this.#contexts[0]?.name ?? ''),
      connect,
      broker: async ({ server }) => {
        const found = [...this.clusters.values()].find((kube) => kube.server === server);
        if (found === undefined) throw new Error(`no fake broker at ${server}`);
        return found;
      },
    };
  }
}

const CA = '-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----\n';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** Plays the controllers a real cluster has: fills token Secrets, runs DaemonSets, and lets the gateway report. */
export function withControllers(kube: FakeKube, clusterUid: string): FakeKube {
  kube.seed(RESOURCES.namespaces, { metadata: { name: 'kube-system', uid: clusterUid } });
  kube.onRequest = (method, path_, body) => {
    if (path_ === '/version') return { gitVersion: 'v1.32.4' };
    const account = /^\/api\/v1\/namespaces\/([^/]+)\/serviceaccounts\/([^/]+)\/token$/.exec(path_);
    if (method === 'POST' && account !== null) return { status: { token: tokenOf(account[1]!, account[2]!, body) } };
    if (method === 'POST' && path_.endsWith('selfsubjectaccessreviews')) return { status: { allowed: true } };
    return undefined;
  };
  kube.onCall = ({ verb, resource }) => {
    if (verb === 'get' && resource === 'secrets') fillTokens(kube);
    if (verb === 'get' && resource === 'daemonsets') runDaemonSets(kube);
    if (verb === 'get' && resource === 'customresourcedefinitions') establish(kube);
    if (verb === 'list' && resource === 'gateways') reportGateway(kube);
    return undefined;
  };
  return kube;
}

interface TokenRequest {
  readonly spec: { readonly expirationSeconds: number; readonly boundObjectRef?: { readonly name: string } };
}

/** A token as the API server gives it from the moment at which the harness's clock begins, but for the signature. */
export function tokenOf(namespace: string, account: string, body: unknown): string {
  const { expirationSeconds, boundObjectRef } = (body as TokenRequest).spec;
  const iat = Date.UTC(2030, 0, 1) / 1000;
  const bound = boundObjectRef === undefined ? {} : { secret: { name: boundObjectRef.name } };
  const claims = {
    sub: `system:serviceaccount:${namespace}:${account}`,
    iat,
    exp: iat + expirationSeconds,
    'kubernetes.io': { namespace, serviceaccount: { name: account }, ...bound },
  };
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none' })}.${part(claims)}.signature`;
}

function reseed(kube: FakeKube, type: ResourceType, object: KubeObject): void {
  kube.drop(type, object.metadata.name ?? '', object.metadata.namespace);
  kube.seed(type, object);
}

function fillTokens(kube: FakeKube): void {
  for (const secret of kube.all<Secret>(RESOURCES.secrets)) {
    if (secret.type !== 'kubernetes.io/service-account-token' || secret.data?.['token'] !== undefined) continue;
    const { namespace = '', annotations } = secret.metadata;
    const token = `token-of-${annotations?.['kubernetes.io/service-account.name']}`;
    const data = { token: base64(token), namespace: base64(namespace), 'ca.crt': base64(CA) };
    reseed(kube, RESOURCES.secrets, { ...secret, data } as KubeObject);
  }
}

function establish(kube: FakeKube): void {
  for (const { metadata, ...rest } of kube.all(RESOURCES.crds)) {
    if ('status' in rest) continue;
    const status = { conditions: [{ type: 'Established', status: 'True' }] };
    const options = { patchType: 'merge', subresource: 'status' } as const;
    void kube.patch(RESOURCES.crds, metadata.name ?? '', { status }, options);
  }
}

function runDaemonSets(kube: FakeKube): void {
  for (const daemonSet of kube.all<DaemonSet>(RESOURCES.daemonSets)) {
    if (daemonSet.status !== undefined) continue;
    const status = {
      observedGeneration: 1,
      desiredNumberScheduled: 1,
      currentNumberScheduled: 1,
      updatedNumberScheduled: 1,
      numberReady: 1,
    };
    void kube.patch(
      RESOURCES.daemonSets,
      daemonSet.metadata.name ?? '',
      { status },
      {
        namespace: daemonSet.metadata.namespace ?? '',
        patchType: 'merge',
        subresource: 'status',
      },
    );
  }
}

function reportGateway(kube: FakeKube): void {
  const deployed = kube.all(RESOURCES.daemonSets, 'submariner-operator').length > 0;
  if (!deployed || kube.all(RESOURCES.gateways).length > 0) return;
  kube.seed(RESOURCES.gateways, {
    metadata: { name: 'n1', namespace: 'submariner-operator' },
    status: {
      version: '9.8.7',
      haStatus: 'active',
      statusFailure: '',
      localEndpoint: endpointSpec('local', '10.0.0.1'),
      connections: [],
    },
  } as KubeObject);
}

/** A valid EndpointSpec. */
export function endpointSpec(clusterId: string, privateIp: string): Readonly<Record<string, unknown>> {
  return {
    cluster_id: clusterId,
    cable_name: `submariner-cable-${clusterId}-${privateIp.replaceAll('.', '-')}`,
    hostname: `${clusterId}-gw`,
    subnets: ['100.66.0.0/16', '10.130.0.0/16'],
    private_ip: privateIp,
    public_ip: '',
    nat_enabled: false,
    backend: 'libreswan',
  };
}

/** A ready node. */
export function node(name: string, labels: Readonly<Record<string, string>> = {}): KubeObject {
  return { metadata: { name, labels }, status: { conditions: [{ type: 'Ready', status: 'True' }] } } as KubeObject;
}
