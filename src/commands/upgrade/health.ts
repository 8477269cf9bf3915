import { parseAvailability } from '../../api/availability.ts';
import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Gateway, RouteAgent } from '../../api/types.ts';
import type { KubeClient, KubeObject } from '../../kube/client.ts';
import { isForbidden } from '../../kube/errors.ts';
import type { Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { readDaemonState } from '../daemonstate.ts';
import { listGateways, nodeOf, obstacle } from '../gateway/handover.ts';
import { podTrouble } from '../join/ready.ts';
import type { DaemonSetName } from './plan.ts';
import type { UpgradeWork } from './work.ts';

/** A pod that was started in place of another. */
export interface NewPod {
  readonly pod: Pod;
  readonly node: string;
  readonly daemonSet: DaemonSetName;
  /** Since when the former gateway of the node was what it was; undefined when it did not say. */
  readonly formerSince: string | undefined;
}

/** What a kubelet says of a pod that will not come up by itself. */
const HOPELESS = /\b(?:ErrImagePull|ImagePullBackOff|InvalidImageName|CrashLoopBackOff|CreateContainer\w*Error)\b/;
/** A pod that has been started so often does not work. */
const TOO_MANY_RESTARTS = 2;

/** Whether a pod will not work however long one waits. */
export function isHopeless({ status }: Pod): boolean {
  const { containerStatuses = [], initContainerStatuses = [] } = status ?? {};
  return [...initContainerStatuses, ...containerStatuses].some(
    ({ state, restartCount }) => restartCount >= TOO_MANY_RESTARTS || HOPELESS.test(state?.waiting?.reason ?? ''),
  );
}

/** Why a new pod does not do its work yet; undefined when it does. */
export async function podObstacle(work: UpgradeWork, { pod, ...place }: NewPod): Promise<string | undefined> {
  const { client } = work.target;
  const trouble = podTrouble(pod);
  if (trouble !== undefined) return trouble;
  const engine = place.daemonSet === 'submariner-gateway';
  const said = work.back ? undefined : await daemonObstacle(client, engine ? 'engine' : 'routeagent', pod, work.signal);
  if (said !== undefined) return said;
  return engine ? gatewayObstacle(work, place) : routeAgentObstacle(client, place.node);
}

/** What the daemon itself lacks; nothing is said of one that may not be asked. */
async function daemonObstacle(
  client: KubeClient,
  daemon: 'engine' | 'routeagent',
  pod: Pod,
  signal: AbortSignal,
): Promise<string | undefined> {
  const node = pod.spec.nodeName ?? '';
  try {
    const { unready } = await readDaemonState({ client }, { daemon, node }, { pods: [pod], signal });
    return unready[0];
  } catch (error) {
    if (isForbidden(error)) return undefined;
    if (error instanceof ExpectedError) return error.message;
    throw error;
  }
}

async function routeAgentObstacle(client: KubeClient, node: string): Promise<string | undefined> {
  const agent = await client.find<RouteAgent & KubeObject>(RESOURCES.routeAgents, node, {
    namespace: OPERATOR_NAMESPACE,
  });
  if (agent === undefined) return `the route agent on ${node} has not reported yet`;
  return agent.status.statusFailure === '' ? undefined : `${node}: ${agent.status.statusFailure}`;
}

async function gatewayObstacle(
  { target, run, connected, back }: UpgradeWork,
  { node, formerSince }: Omit<NewPod, 'pod'>,
): Promise<string | undefined> {
  const gateway = (await listGateways(target)).find((one) => nodeOf(one) === node);
  if (gateway === undefined) return `the gateway on ${node} has not reported yet`;
  const since = parseAvailability(gateway)?.since;
  if (since === undefined && back) return undefined;
  if (since === undefined || since === formerSince) return `the new gateway on ${node} has not reported yet`;
  if (gateway.status.statusFailure !== '') return `${node}: ${gateway.status.statusFailure}`;
  const reason = obstacle(gateway, run.context.clock.now());
  if (reason !== undefined) return `${node}: ${reason}`;
  return gateway.status.haStatus === 'active' ? connectionObstacle(gateway, connected) : undefined;
}

/** Which of the clusters that were connected before is not now; undefined when all are. */
export function connectionObstacle({ status }: Gateway, connected: readonly string[]): string | undefined {
  const lost = connected.filter((cluster) => !connectedClusters(status.connections).includes(cluster));
  if (lost.length === 0) return undefined;
  const messages = status.connections
    .filter(({ endpoint, statusMessage }) => lost.includes(endpoint.cluster_id) && statusMessage !== '')
    .map(({ endpoint, statusMessage }) => `${endpoint.cluster_id}: ${statusMessage}`);
  return messages.length > 0 ? messages.join('; ') : `no connection to ${lost.join(', ')}, which there was before`;
}

/** IDs of the clusters that are connected. */
export function connectedClusters(connections: Gateway['status']['connections']): readonly string[] {
  const found = connections.filter(({ status }) => status === 'connected').map(({ endpoint }) => endpoint.cluster_id);
  return [...new Set(found)].toSorted();
}
