import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isNamespaceOf, planSandbox, type SandboxPlan } from '../src/sandbox/plan.ts';
import { run } from './command.ts';

/** The drivers as the command line names them. */
export const DRIVERS = ['ipsec', 'wireguard', 'vxlan'] as const;
export type Driver = (typeof DRIVERS)[number];

/** Two clusters, east and west, with one gateway each. */
export interface BenchSandbox {
  readonly plan: SandboxPlan;
  /** A folder that goes with the sandbox. */
  readonly folder: string;
  /** Runs `subctl` with the sandbox's kubeconfig. */
  subctl(...args: readonly string[]): Promise<string>;
  /** Deploys the broker into east. */
  deployBroker(): Promise<void>;
  join(cluster: string, driver: Driver): Promise<void>;
  /** Resolves when both clusters are connected and probes come back. */
  connected(): Promise<void>;
  /** Deploys the broker and joins both. */
  joinAll(driver: Driver): Promise<void>;
}

const CLUSTERS = ['east', 'west'] as const;
const SUBCTL = path.resolve('bin/subctl');

/** Runs something with a new sandbox, which is removed in any case. */
export async function withSandbox<T>(
  nodes: number,
  signal: AbortSignal,
  use: (sandbox: BenchSandbox) => Promise<T>,
): Promise<T> {
  const name = `bench-${randomBytes(3).toString('hex')}`;
  const folder = mkdtempSync(path.join(tmpdir(), `${name}-`));
  const env = { SUBCTL_SANDBOX_DIR: path.join(folder, 'state'), NO_COLOR: '1' };
  const words = ['--name', name];
  try {
    const size = ['--clusters', CLUSTERS.join(','), '--nodes', String(nodes), '--gateways', '1'];
    await run([SUBCTL, 'sandbox', 'up', ...words, ...size], { env, signal });
    const kubeconfig = path.join(folder, 'kubeconfig');
    const exported = await run([SUBCTL, 'sandbox', 'env', ...words], { env, signal });
    const KUBECONFIG = /KUBECONFIG='([^']+)'/.exec(exported)?.[1] ?? kubeconfig;
    const subctl = (...args: readonly string[]): Promise<string> =>
      run([SUBCTL, ...args], { env: { ...env, KUBECONFIG }, cwd: folder, signal });
    return await use(sandboxOf(planSandbox({ name, clusters: CLUSTERS, nodes, gateways: 1 }), folder, subctl));
  } finally {
    await run([SUBCTL, 'sandbox', 'down', ...words], { env });
    rmSync(folder, { recursive: true, force: true });
  }
}

function sandboxOf(plan: SandboxPlan, folder: string, subctl: BenchSandbox['subctl']): BenchSandbox {
  const deployBroker = async (): Promise<void> => void (await subctl('deploy-broker', '--context', 'east'));
  const join = async (cluster: string, driver: Driver): Promise<void> => {
    const words = ['--context', cluster, '--clusterid', cluster, '--gateways', '1', '--cable-driver', driver];
    await subctl('join', 'broker-info.subm', ...words);
  };
  const connected = async (): Promise<void> => void (await subctl('show', 'connections', '--wait'));
  return {
    plan,
    folder,
    subctl,
    deployBroker,
    join,
    connected,
    joinAll: async (driver) => {
      await deployBroker();
      for (const cluster of CLUSTERS) await join(cluster, driver);
      await connected();
    },
  };
}

/** The network namespaces of the pods on a node. */
export async function podNamespaces(plan: SandboxPlan, node: string): Promise<readonly string[]> {
  const list = await run(['ip', 'netns', 'list']);
  const names = list.split('\n').map((line) => line.split(' ')[0] ?? '');
  const found = names.filter((name) => isNamespaceOf(plan.name, name) && name.includes(`-pod.${node}.`)).sort();
  if (found.length === 0) throw new Error(`no pod runs on ${node}`);
  return found;
}
