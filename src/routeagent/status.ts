import type { RemoteEndpointStatus, RouteAgent } from '../api/types.ts';
import type { OwnerReference } from '../kube/client.ts';
import type { GatewayRole, RemoteEndpoint } from './model.ts';
import type { ProbeVerdict } from './probes.ts';

/** What the status of this node's route agent is made of. */
export interface StatusInputs {
  readonly nodeName: string;
  readonly nodeUid: string | undefined;
  readonly namespace: string;
  readonly version: string;
  readonly role: GatewayRole['role'] | undefined;
  readonly remotes: readonly RemoteEndpoint[];
  /** Why the node's network is not, or not wholly, as wanted. */
  readonly problems: readonly string[];
  readonly verdict: (clusterId: string) => ProbeVerdict | undefined;
}

function remoteStatus(remote: RemoteEndpoint, inputs: StatusInputs): RemoteEndpointStatus {
  const { spec, refusal } = remote;
  if (refusal !== undefined) return { status: 'error', statusMessage: refusal, spec };
  if (inputs.role === 'no gateway known') {
    return { status: 'error', statusMessage: 'no gateway of this cluster is known; traffic is refused', spec };
  }
  const verdict = inputs.verdict(spec.cluster_id);
  if (verdict === undefined) return { status: 'none', statusMessage: '', spec };
  const base = { status: verdict.status, statusMessage: verdict.message, spec };
  return verdict.latency === undefined ? base : { ...base, latencyRTT: verdict.latency };
}

/** The RouteAgent object of this node; it goes with its Node. */
export function routeAgentStatus(
  inputs: StatusInputs,
): RouteAgent & { readonly metadata: { readonly ownerReferences?: readonly OwnerReference[] } } {
  const { nodeName, nodeUid, namespace, version } = inputs;
  const owner = { apiVersion: 'v1', kind: 'Node', name: nodeName, uid: nodeUid ?? '' };
  return {
    apiVersion: 'submariner.io/v1',
    kind: 'RouteAgent',
    metadata: { name: nodeName, namespace, ...(nodeUid === undefined ? {} : { ownerReferences: [owner] }) },
    status: {
      version,
      statusFailure: inputs.problems.join('; '),
      remoteEndpoints: inputs.remotes.map((remote) => remoteStatus(remote, inputs)),
    },
  };
}

/** The status without what changes all the time; equal texts need no new publication. */
export function statusKey(agent: RouteAgent): string {
  const remotes = agent.status.remoteEndpoints.map(({ status, statusMessage, spec }) => [status, statusMessage, spec]);
  return JSON.stringify([agent.status.version, agent.status.statusFailure, remotes]);
}
