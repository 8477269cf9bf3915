import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Node } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { conditionOf } from '../controllers/pods.ts';
import { daemonPrograms, helperPrograms } from '../images.ts';
import { nodeConfig, type NodeConfig } from '../node/config.ts';
import { API_PORT, type ClusterPlan, type NodePlan, type SandboxPlan } from '../plan.ts';
import type { ProcessIdentity } from '../processes.ts';
import { readState, writeFileAtomically, type SandboxState } from './state.ts';
import { clusterClient, readSecrets, startProgram, waitFor, type SandboxTools } from './tools.ts';

const READY_MS = 30_000;

/** The role of a node's agent in the state of the sandbox. */
export function nodeRole(node: NodePlan): string {
  return `node/${node.name}`;
}

/** What runs the pods of a node. */
function runtimeOf({ files, product }: SandboxTools): Pick<NodeConfig, 'images' | 'podmanHome'> {
  const { node, dist } = product;
  const helpers = helperPrograms(node, dist);
  if (readState(files)?.options.runtime === 'podman') return { images: helpers, podmanHome: files.podmanDir };
  return { images: { ...daemonPrograms(node, dist), ...helpers } };
}

/** A real API server looks for logs and exec on the nodes. */
function kubeletOf({ files }: SandboxTools, cluster: string): Pick<NodeConfig, 'kubelet'> {
  const size = readState(files)?.options;
  if (size === undefined || size.controlPlane === 'embedded') return {};
  const at = (name: string): string => path.join(files.clusterDir(cluster), name);
  const keys = { caFile: at('ca.crt'), certFile: at('apiserver.crt'), keyFile: at('apiserver.key') };
  return { kubelet: { cluster, size, nodesDir: path.dirname(files.nodeDir('any')), ...keys } };
}

/** Starts the agent of a node whose network is there. */
export async function startNode(
  tools: SandboxTools,
  plan: SandboxPlan,
  cluster: ClusterPlan,
  node: NodePlan,
  started: (role: string, identity: ProcessIdentity) => void,
): Promise<void> {
  const { files } = tools;
  const nodeDir = files.nodeDir(node.name);
  mkdirSync(nodeDir, { recursive: true, mode: 0o700 });
  const role = nodeRole(node);
  const config = nodeConfig(plan, cluster.name, node.name, {
    server: `https://${cluster.controlPlane.lanAddress}:${API_PORT}`,
    caFile: path.join(files.clusterDir(cluster.name), 'ca.crt'),
    token: readSecrets(files, cluster.name).adminToken,
    nodeDir,
    ...runtimeOf(tools),
    ...kubeletOf(tools, cluster.name),
  });
  writeFileAtomically(files.config(role), JSON.stringify(config, undefined, 2));
  started(role, await startProgram(tools, 'node', role, node.namespace));
}

/** Waits until the API server calls a node ready and pods may be placed on it. */
export async function waitForNode(
  tools: SandboxTools,
  cluster: ClusterPlan,
  node: NodePlan,
  state: SandboxState,
): Promise<void> {
  const role = nodeRole(node);
  const identity = state.processes[role];
  const client = clusterClient(tools.files, cluster);
  const process = identity === undefined ? {} : { process: { identity, log: tools.files.log(role) } };
  try {
    await waitFor(tools, { what: `node ${node.name}`, timeoutMs: READY_MS, ...process }, async () => {
      const found = await client.find<Node>(RESOURCES.nodes, node.name);
      const ready = conditionOf(found?.status?.conditions, 'Ready')?.status === 'True';
      return ready && (found?.spec?.taints ?? []).length === 0 ? true : undefined;
    });
  } finally {
    client.close();
  }
}
