import { ExpectedError } from '../../runtime/errors.ts';
import { createFabric } from '../fabric/fabric.ts';
import { planSandbox, type SandboxPlan } from '../plan.ts';
import { isAlive, type ProcessIdentity } from '../processes.ts';
import { startControlPlane, startProxy } from './controlplanes.ts';
import { removeSandbox } from './down.ts';
import { renderKubeconfig, type ClusterAccess } from './kubeconfig.ts';
import { startNode, waitForNode } from './nodes.ts';
import {
  readState,
  writeFileAtomically,
  writeState,
  type SandboxFiles,
  type SandboxOptions,
  type SandboxState,
} from './state.ts';
import { readSecrets, serverUrl, together, type SandboxTools } from './tools.ts';
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

/** The sandbox that is up already, when it is what was asked for; rejects when it is another. */
function runningAlready(existing: SandboxState | undefined, options: SandboxOptions): SandboxState | undefined {
  if (existing?.phase !== 'up' || !Object.values(existing.processes).every(isAlive)) return undefined;
  if (JSON.stringify(existing.options) === JSON.stringify(options)) return existing;
  const { clusters, nodes } = existing.options;
  throw new ExpectedError(
    `a sandbox named ${options.name} is up with other settings (${clusters.join(', ')}; ${nodes} nodes each)`,
    {
      hint: 'Remove it first (subctl sandbox down), or start another beside it: subctl sandbox up --name NAME',
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

async function startAll(tools: SandboxTools, plan: SandboxPlan, options: SandboxOptions): Promise<SandboxState> {
  const { progress, files } = tools;
  const state = new StartingState(files, {
    format: 1,
    options,
    phase: 'starting',
    createdAt: new Date(tools.clock.now()).toISOString(),
    proxyPort: 0,
    processes: {},
  });
  const nodes = plan.clusters.flatMap((cluster) => cluster.nodes.map((node) => ({ cluster, node })));
  const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
  await progress.step(`Network: WAN, ${counted(plan.clusters.length, 'LAN')}, ${counted(nodes.length, 'node')}`, () =>
    createFabric(tools, plan),
  );
  await progress.step(`Control planes: ${plan.clusters.map(({ name }) => name).join(', ')}`, async () => {
    await together(tools, [
      async (inner) => state.update({ proxyPort: await startProxy(inner, plan, state.started) }),
      ...plan.clusters.map(
        (cluster) => (inner: SandboxTools) => startControlPlane(inner, cluster, options, state.started),
      ),
    ]);
    writeKubeconfigs(tools, plan, state.current.proxyPort);
  });
  await progress.step(`Nodes: ${counted(plan.clusters[0]?.nodes.length ?? 0, 'node')} each`, async () => {
    await together(
      tools,
      nodes.map(
        ({ cluster, node }) =>
          (inner) =>
            startNode(inner, plan, cluster, node, state.started),
      ),
    );
    await together(
      tools,
      plan.clusters.map((cluster) => (inner) => createWorkloads(inner, cluster)),
    );
    await together(
      tools,
      nodes.map(
        ({ cluster, node }) =>
          (inner) =>
            waitForNode(inner, cluster, node, state.current),
      ),
    );
  });
  await progress.step('Workloads: Deployment echo, pod client', () =>
    together(
      tools,
      plan.clusters.map((cluster) => (inner) => waitForWorkloads(inner, cluster)),
    ),
  );
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
  await removeSandbox(tools, options.name);
  try {
    return { state: await startAll(tools, plan, options), plan, fresh: true };
  } catch (error) {
    await removeSandbox(tools, options.name);
    throw error;
  }
}
