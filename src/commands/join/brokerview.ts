import { parseCluster, parseEndpoint } from '../../api/validate.ts';
import type { Broker, Cluster, Endpoint } from '../../api/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { ConfigMap, ServiceAccount } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { BROKER_NAME } from '../../api/names.ts';
import type { OtherNetworks } from './cidrs.ts';

/** On a member's service account at the broker: uid of the joined cluster's kube-system namespace. */
export const CLAIM_ANNOTATION = 'subctl.submariner.io/claimed-by';
/** On the same object: the CIDRs the cluster announces, so that two joins at the same moment see each other's. */
export const CLAIM_CIDRS_ANNOTATION = 'subctl.submariner.io/cidrs';
const MEMBER_PREFIX = 'cluster-';

/** Name of a member's service account on the broker. */
export function memberAccount(clusterId: string): string {
  return `${MEMBER_PREFIX}${clusterId}`;
}

/** The ID that a member's service account claims. */
export function memberId({ metadata }: ServiceAccount): string {
  return (metadata.name ?? '').slice(MEMBER_PREFIX.length);
}

/** What the broker knows when a cluster wants to join. */
export interface BrokerView {
  readonly broker: Broker | undefined;
  readonly clusters: readonly Cluster[];
  readonly endpoints: readonly Endpoint[];
  readonly members: readonly ServiceAccount[];
  readonly globalnetEnabled: boolean;
}

/** Reads everything about the ClusterSet that join has to check. */
export async function readBroker(client: KubeClient, namespace: string): Promise<BrokerView> {
  const [broker, clusters, endpoints, accounts, globalnet] = await Promise.all([
    client.find<Broker>(RESOURCES.brokers, BROKER_NAME, { namespace }),
    client.list<Cluster>(RESOURCES.clusters, { namespace }),
    client.list<Endpoint>(RESOURCES.endpoints, { namespace }),
    client.list<ServiceAccount>(RESOURCES.serviceAccounts, { namespace }),
    client.find<ConfigMap>(RESOURCES.configMaps, 'submariner-globalnet-info', { namespace }),
  ]);
  return {
    broker,
    // Written by others: what cannot be read is nobody's network.
    clusters: clusters.items.flatMap(readable),
    endpoints: endpoints.items.flatMap(readableEndpoint),
    members: accounts.items.filter(({ metadata }) => metadata.name?.startsWith(MEMBER_PREFIX) === true),
    globalnetEnabled: globalnet?.data?.['globalnetEnabled'] === 'true',
  };
}

function readable(object: Cluster): readonly Cluster[] {
  const parsed = parseCluster(object);
  return parsed.problem === undefined ? [parsed.cluster] : [];
}

function readableEndpoint(object: Endpoint): readonly Endpoint[] {
  const parsed = parseEndpoint(object);
  return parsed.problem === undefined ? [parsed.endpoint] : [];
}

/** The IDs that a cluster has claimed: those whose claim carries the uid of its kube-system namespace. */
export function claimsOf({ members }: BrokerView, clusterUid: string): readonly string[] {
  return members
    .filter(({ metadata }) => metadata.annotations?.[CLAIM_ANNOTATION] === clusterUid)
    .map(memberId)
    .toSorted();
}

/** The networks of all clusters but those named: a cluster with global CIDRs is reached through those only. */
export function otherNetworks(view: BrokerView, own: readonly string[]): readonly OtherNetworks[] {
  const announced = new Map(
    view.clusters.map(({ spec }) => [
      spec.cluster_id,
      spec.global_cidr.length > 0 ? spec.global_cidr : [...spec.cluster_cidr, ...spec.service_cidr],
    ]),
  );
  for (const member of view.members) {
    const id = memberId(member);
    const cidrs = member.metadata.annotations?.[CLAIM_CIDRS_ANNOTATION]?.split(',').filter((cidr) => cidr !== '');
    if (!announced.has(id) && cidrs !== undefined) announced.set(id, cidrs);
  }
  for (const clusterId of own) announced.delete(clusterId);
  return [...announced].map(([id, cidrs]) => ({ clusterId: id, cidrs }));
}
