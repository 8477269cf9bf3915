import { ExpectedError } from '../../runtime/errors.ts';
import { findBinaries } from '../binaries.ts';
import { createFabric } from '../fabric/fabric.ts';
import { delayWan } from '../fabric/latency.ts';
import { planSandbox, type SandboxPlan } from '../plan.ts';
import { makePodmanHome } from '../podman/home.ts';
import { requireImages } from '../podman/requirements.ts';
import { isAlive, type ProcessIdentity } from '../processes.ts';
import { startControlPlane, startProxy } from './controlplanes.ts';
import { removeSandbox } from './down.ts';
import { renderKubeconfig, type ClusterAccess } from './kubeconfig.ts';
import { startNode, waitForNode } from './nodes.ts';
import {
  nameOption,
  readState,
  writeFileAtomically,
  writeState,
  type SandboxFiles,
  type SandboxOptions,
  type SandboxState,
} from './state.ts';
import { readSecrets, serverUrl, startProgram, together, type SandboxTools } from './tools.ts';
import type { DelayConfig } from '../workloads/delay.ts';
import { createWorkloads, waitForWorkloads } from './workloads.ts';

/** What `up` did. */
export interface Started {
  readonly state: SandboxState;
  readonly plan: SandboxPlan;
  /** False when the sandbox was up already. */
  readonly fresh: boolean;
}

/** The state of a sandbox that is being started; written to its file at every change, so that `down` finds everything. */
class StartingState {
  readonly #files: SandboxFiles;
  #state: SandboxState;

  constructor(files: SandboxFiles, state: SandboxState) {
    this.#files = files;
    this.#state = state;
    writeState(files, state);
  }

  get current(): SandboxState {
    return this.#state;
  }

  update(change: Partial<SandboxState>): void {
    this.#state = { ...this.#state, ...change };
    writeState(this.#files, this.#state);
  }

  readonly started = (role: string, identity: ProcessIdentity): void => {
    this.update({ processes: { ...this.#state.processes, [role]: identity } });
  };
}

function freshState(options: SandboxOptions, nowMs: number): SandboxState {
  const createdAt = new Date(nowMs).toISOString();
  return { format: 1, options, phase: 'starting', createdAt, proxyPort: 0, processes: {} };
}

/** The sandbox that is up already, when it is what was asked for; rejects when it is another. */
function runningAlready(existing: SandboxState | undefined, options: SandboxOptions): SandboxState | undefined {
  if (existing?.phase !== 'up' || !Object.values(existing.processes).every(isAlive)) return undefined;
  if (JSON.stringify(existing.options) === JSON.stringify(options)) return existing;
  const { clusters, nodes } = existing.options;
  throw new ExpectedError(
    `a sandbox named ${options.name} is up with other settings (${clusters.join(', ')}; ${nodes} nodes each)`,
    {
      hint: `Remove it first (subctl sandbox down${nameOption(options.name)}), or start another beside it: subctl sandbox up --name NAME`,
    },
  );
}

function writeKubeconfigs(tools: SandboxTools, plan: SandboxPlan, proxyPort: number): void {
  const clusters: readonly ClusterAccess[] = plan.clusters.map((cluster) => ({
    name: cluster.name,
    server: serverUrl(cluster),
    ...readSecrets(tools.files, cluster.name),
  }));
  writeFileAtomically(tools.files.kubeconfig, renderKubeconfig(clusters, proxyPort));
  for (const cluster of clusters) {
    const others = clusters.filter((other) => other !== cluster);
    writeFileAtomically(tools.files.clusterKubeconfig(cluster.name), renderKubeconfig([cluster], proxyPort, others));
  }
}

interface Start {
  readonly tools: SandboxTools;
  readonly plan: SandboxPlan;
  readonly options: SandboxOptions;
  readonly state: StartingState;
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? '' : 's'}`;
}

async function startNetwork({ tools, plan, options, state }: Start): Promise<void> {
  await createFabric(tools, plan);
  const config: DelayConfig = { delayMs: options.wanLatencyMs };
  await delayWan(tools, plan, options.wanLatencyMs, async () => {
    writeFileAtomically(tools.files.config('delay'), JSON.stringify(config));
    state.started('delay', await startProgram(tools, 'delay', 'delay', plan.wan.namespace));
  });
}

async function startControlPlanes({ tools, plan, options, state }: Start): Promise<void> {
  const startProxyToo = async (inner: SandboxTools): Promise<void> =>
    state.update({ proxyPort: await startProxy(inner, plan, state.started) });
  const starts = plan.clusters.map(
    (cluster) => (inner: SandboxTools) => startControlPlane(inner, cluster, options, state.started),
  );
  await together(tools, [startProxyToo, ...starts]);
  writeKubeconfigs(tools, plan, state.current.proxyPort);
}

async function startNodes({ tools, plan, state }: Start): Promise<void> {
  const nodes = plan.clusters.flatMap((cluster) => cluster.nodes.map((node) => ({ cluster, node })));
  await together(
    tools,
    nodes.map(({ cluster, node }) => async (inner) => {
      await startNode(inner, plan, cluster, node, state.started);
      await waitForNode(inner, cluster, node, state.current);
    }),
  );
}

async function startWorkloads({ tools, plan }: Start): Promise<void> {
  await together(
    tools,
    plan.clusters.map((cluster) => async (inner) => {
      await createWorkloads(inner, cluster);
      await waitForWorkloads(inner, cluster);
    }),
  );
}

async function startAll(start: Start): Promise<SandboxState> {
  const { tools, plan, state } = start;
  const { progress } = tools;
  const names = plan.clusters.map(({ name }) => name).join(', ');
  const nodes = plan.clusters.reduce((total, cluster) => total + cluster.nodes.length, 0);
  const network = `Network: WAN, ${counted(plan.clusters.length, 'LAN')}, ${counted(nodes, 'node')}`;
  await progress.step(network, () => startNetwork(start));
  await progress.step(`Control planes: ${names}`, () => startControlPlanes(start));
  await progress.step(`Nodes: ${counted(nodes, 'node')} ready`, () => startNodes(start));
  // Only now, so that the scheduler has all nodes to choose from and echo runs on each.
  await progress.step('Workloads: Deployment echo, pod client', () => startWorkloads(start));
  state.update({ phase: 'up' });
  return state.current;
}

/**
 * Starts a sandbox; what an interrupted start left is removed first. Resolves at once when it is up already as asked for.
 * When it fails, what was started is removed again.
 */
export async function startSandbox(tools: SandboxTools, options: SandboxOptions): Promise<Started> {
  const plan = planSandbox(options);
  const running = runningAlready(readState(tools.files), options);
  if (running !== undefined) return { state: running, plan, fresh: false };
  if (options.controlPlane !== 'embedded') findBinaries(options.controlPlane);
  const imageStore =
    options.runtime === 'podman' ? await requireImages(tools.runner, tools.product.version) : undefined;
  await removeSandbox(tools, options.name);
  try {
    if (imageStore !== undefined) makePodmanHome(tools.files.podmanDir, imageStore);
    const state = new StartingState(tools.files, freshState(options, tools.clock.now()));
    return { state: await startAll({ tools, plan, options, state }), plan, fresh: true };
  } catch (error) {
    // Why it failed counts for more than what could not be removed, which `down` and the next start try again.
    await removeSandbox(tools, options.name).catch(() => undefined);
    throw error;
  }
}
