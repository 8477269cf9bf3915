import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Node } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { conditionOf } from '../controllers/pods.ts';
import { sandboxImages } from '../images.ts';
import { nodeConfig } from '../node/config.ts';
import { API_PORT, type ClusterPlan, type NodePlan, type SandboxPlan } from '../plan.ts';
import type { ProcessIdentity } from '../processes.ts';
import { writeFileAtomically, type SandboxState } from './state.ts';
import { clusterClient, readSecrets, startProgram, waitFor, type SandboxTools } from './tools.ts';

const READY_MS = 30_000;

/** The role of a node's agent in the state of the sandbox. */
export function nodeRole(node: NodePlan): string {
  return `node/${node.name}`;
}

/** Starts the agent of a node whose network is there. */
export async function startNode(
  tools: SandboxTools,
  plan: SandboxPlan,
  cluster: ClusterPlan,
  node: NodePlan,
  started: (role: string, identity: ProcessIdentity) => void,
): Promise<void> {
  const { files, product } = tools;
  const nodeDir = files.nodeDir(node.name);
  mkdirSync(nodeDir, { recursive: true, mode: 0o700 });
  const role = nodeRole(node);
  const config = nodeConfig(plan, cluster.name, node.name, {
    server: `https://${cluster.controlPlane.lanAddress}:${API_PORT}`,
    caFile: path.join(files.clusterDir(cluster.name), 'ca.crt'),
    token: readSecrets(files, cluster.name).adminToken,
    nodeDir,
    images: sandboxImages(product.node, product.dist),
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
