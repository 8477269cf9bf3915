import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { EndpointSpec } from '../../api/types.ts';
import type { NodeNetwork } from '../../net/nodenetwork.ts';
import type { NetworkState } from '../../net/state.ts';
import type { ClusterEvidence, Echo, End } from './model.ts';

/** One direction of a packet's way. */
export interface Leg {
  readonly way: 'there' | 'back';
  readonly from: End;
  readonly to: End;
  /** The cluster the packet leaves, and the one it is for. */
  readonly a: ClusterEvidence;
  readonly b: ClusterEvidence;
}

/** The newest Endpoint of a cluster, as another one (or itself) knows it. */
export function endpointOf(
  { endpoints }: Pick<ClusterEvidence, 'endpoints'>,
  clusterId: string,
): EndpointSpec | undefined {
  const all = endpoints.filter(({ spec }) => spec.cluster_id === clusterId);
  const stamp = (one: (typeof all)[number]): string => one.metadata.creationTimestamp ?? '';
  return all.toSorted((a, b) => (stamp(a) < stamp(b) ? 1 : -1))[0]?.spec;
}

/** The node on which the active gateway of a cluster runs, as the cluster itself knows it. */
export function gatewayNode({ clusterId, nodes, gateways, endpoints }: ClusterEvidence): string | undefined {
  const active = gateways.find(({ status }) => status.haStatus === 'active')?.metadata.name;
  const hostname = endpointOf({ endpoints }, clusterId)?.hostname;
  if (hostname === undefined) return active;
  const found =
    nodes.find(({ metadata }) => metadata.name === hostname) ??
    nodes.find(({ metadata }) => metadata.labels?.['kubernetes.io/hostname'] === hostname);
  return found?.metadata.name ?? active ?? hostname;
}

/** The address of a node on the network of the nodes. */
export function nodeAddress(evidence: ClusterEvidence, node: string): string | undefined {
  const addresses = evidence.nodes.find(({ metadata }) => metadata.name === node)?.status?.addresses ?? [];
  const internal = addresses.find(({ type, address }) => type === 'InternalIP' && !address.includes(':'))?.address;
  return internal ?? evidence.routeAgents.get(node)?.state?.inputs.host?.underlay.address;
}

/** The whole network of a node; undefined when it could not be read. */
export function networkOf(evidence: ClusterEvidence, node: string): NodeNetwork | undefined {
  return evidence.networks.get(node)?.node ?? undefined;
}

/** The route agent's row of a node. */
export function rowOf(evidence: ClusterEvidence, node: string): NetworkState | undefined {
  return evidence.networks.get(node)?.own ?? undefined;
}

/** Echo requests from a node to an address; undefined when none were sent. */
export function echoOf({ echoes }: ClusterEvidence, node: string, address: string): Echo | undefined {
  return echoes.find((echo) => echo.node === node && echo.address === address);
}

/** `, echo 0.3 ms` for a way that answers; nothing when it was not tried. */
export function describeEcho(echo: Echo | undefined): string {
  if (echo === undefined) return '';
  return echo.received === 0 ? ', no echo' : `, echo ${echo.rttMs} ms`;
}

/** kubectl for the cluster. */
export function kubectl({ context }: ClusterEvidence): string {
  return `kubectl ${context === undefined ? '' : `--context ${context} `}-n ${OPERATOR_NAMESPACE}`;
}

/** The command that starts the route agents of a cluster anew, which makes them write everything again. */
export function restartAgents(evidence: ClusterEvidence): string {
  return `${kubectl(evidence)} rollout restart daemonset/submariner-routeagent`;
}
