import type { Node, Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { messageOf } from '../../runtime/errors.ts';
import { conditionOf, isPodReady } from '../controllers/pods.ts';
import { isNodeAlive } from '../fabric/fabric.ts';
import type { Fault } from '../fabric/fault-text.ts';
import { planSandbox, type ClusterPlan, type NodePlan } from '../plan.ts';
import { isAlive } from '../processes.ts';
import { observeAllFaults } from './fault.ts';
import { requireState, type SandboxState } from './state.ts';
import { clusterClient, serverUrl, type SandboxTools } from './tools.ts';

export interface NodeStatus {
  readonly name: string;
  readonly address: string;
  readonly podCidr: string;
  /** Meant as a gateway by `sandbox up`; `join` labels it. */
  readonly gateway: boolean;
  /** `running`, `killed`, `blackholed`, or `stopped` when its agent has ended by itself. */
  readonly state: 'running' | 'killed' | 'blackholed' | 'stopped';
  /** What the API server says; Unknown when it does not answer. */
  readonly ready: 'True' | 'False' | 'Unknown';
}

export interface ClusterStatus {
  readonly name: string;
  readonly server: string;
  readonly podCidr: string;
  readonly serviceCidr: string;
  /** Why the API server does not answer; undefined when it does. */
  readonly problem?: string;
  readonly nodes: readonly NodeStatus[];
  readonly pods: { readonly total: number; readonly ready: number };
}

export interface SandboxStatus {
  readonly name: string;
  readonly createdAt: string;
  readonly directory: string;
  readonly kubeconfig: string;
  readonly proxy: string;
  readonly controlPlane: string;
  readonly faults: readonly Fault[];
  readonly clusters: readonly ClusterStatus[];
}

function nodeState(state: SandboxState, faults: readonly Fault[], node: NodePlan): NodeStatus['state'] {
  if (!isNodeAlive(node)) return 'killed';
  const agent = state.processes[`node/${node.name}`];
  if (agent === undefined || !isAlive(agent)) return 'stopped';
  return faults.some((fault) => fault.kind === 'blackhole' && fault.target === node.name && fault.only === undefined)
    ? 'blackholed'
    : 'running';
}

interface Observed {
  readonly nodes: readonly Node[];
  readonly pods: readonly Pod[];
  readonly problem?: string;
}

async function observe(tools: SandboxTools, cluster: ClusterPlan): Promise<Observed> {
  const client = clusterClient(tools.files, cluster);
  try {
    const signal = AbortSignal.timeout(5000);
    const [nodes, pods] = await Promise.all([
      client.list<Node>(RESOURCES.nodes, { signal }),
      client.list<Pod>(RESOURCES.pods, { signal }),
    ]);
    return { nodes: nodes.items, pods: pods.items };
  } catch (error) {
    return { nodes: [], pods: [], problem: messageOf(error) };
  } finally {
    client.close();
  }
}

async function clusterStatus(
  tools: SandboxTools,
  state: SandboxState,
  faults: readonly Fault[],
  cluster: ClusterPlan,
): Promise<ClusterStatus> {
  const { nodes, pods, problem } = await observe(tools, cluster);
  const readiness = (name: string): NodeStatus['ready'] => {
    const node = nodes.find((one) => one.metadata.name === name);
    return conditionOf(node?.status?.conditions, 'Ready')?.status ?? 'Unknown';
  };
  const addressOf = ({ name, address }: NodePlan): string =>
    nodes.find((one) => one.metadata.name === name)?.status?.addresses?.find(({ type }) => type === 'InternalIP')
      ?.address ?? address;
  return {
    name: cluster.name,
    server: serverUrl(cluster),
    podCidr: cluster.podCidr,
    serviceCidr: cluster.serviceCidr,
    ...(problem === undefined ? {} : { problem }),
    nodes: cluster.nodes.map((node) => ({
      name: node.name,
      address: addressOf(node),
      podCidr: node.podCidr,
      gateway: node.gateway,
      state: nodeState(state, faults, node),
      ready: readiness(node.name),
    })),
    pods: { total: pods.length, ready: pods.filter(isPodReady).length },
  };
}

/** What is there and how it is; rejects when no such sandbox is up. */
export async function sandboxStatus(tools: SandboxTools, name: string): Promise<SandboxStatus> {
  const state = requireState(tools.files, name);
  const plan = planSandbox(state.options);
  const faults = await observeAllFaults(tools, plan).catch(() => []);
  return {
    name,
    createdAt: state.createdAt,
    directory: tools.files.dir,
    kubeconfig: tools.files.kubeconfig,
    proxy: `http://127.0.0.1:${state.proxyPort}`,
    controlPlane: state.options.controlPlane,
    faults,
    clusters: await Promise.all(plan.clusters.map((cluster) => clusterStatus(tools, state, faults, cluster))),
  };
}
