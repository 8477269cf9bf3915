import type { Gateway } from '../../api/types.ts';
import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { ClusterPlan } from '../../sandbox/plan.ts';
import { readLog } from '../../sandbox/lifecycle/logs.ts';
import { clusterClient, type SandboxTools } from '../../sandbox/lifecycle/tools.ts';

const LOG_LINES = 15;

async function logTail(
  tools: SandboxTools,
  name: string,
  cluster: string,
  node: string,
  daemon: string,
): Promise<string> {
  const text = await readLog(tools, { name, cluster, node, daemon }).catch((error: unknown) => messageOf(error));
  return `--- ${daemon} on ${node}\n${text.trimEnd().split('\n').slice(-LOG_LINES).join('\n')}\n`;
}

async function gatewayStatus(tools: SandboxTools, cluster: ClusterPlan): Promise<string> {
  const client = clusterClient(tools.files, cluster);
  try {
    const { items } = await client.list<Gateway>(RESOURCES.gateways, {
      namespace: OPERATOR_NAMESPACE,
      signal: AbortSignal.timeout(5000),
    });
    const status = items
      .map((gateway) => JSON.stringify({ name: gateway.metadata.name, ...gateway.status }, undefined, 2))
      .join('\n');
    return `--- Gateways of ${cluster.name}\n${status}\n`;
  } catch (error) {
    return `--- Gateways of ${cluster.name}: ${messageOf(error)}\n`;
  } finally {
    client.close();
  }
}

/** What one looks at when clusters are not connected: Gateway status and the last lines of the daemons. Never rejects. */
export async function describeTrouble(
  tools: SandboxTools,
  name: string,
  clusters: readonly ClusterPlan[],
): Promise<string> {
  const parts = clusters.flatMap((cluster) => [
    gatewayStatus(tools, cluster),
    ...cluster.nodes.flatMap((node) => [
      ...(node.gateway ? [logTail(tools, name, cluster.name, node.name, 'gateway')] : []),
      logTail(tools, name, cluster.name, node.name, 'routeagent'),
    ]),
  ]);
  return (await Promise.all(parts)).join('');
}
