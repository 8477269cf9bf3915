import type { Cluster, Endpoint } from '../../api/types.ts';
import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import type { Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { type Written, written } from '../objects.ts';
import { memberAccount } from './brokerview.ts';
import { memberObjects } from './member.ts';

const ACCOUNT_ANNOTATION = 'kubernetes.io/service-account.name';

/**
 * Takes a cluster out of the set: its Endpoints, Cluster, tokens and role binding on the broker, and at last the service
 * account that is the claim of its ID, so that an interrupted run can be repeated. Says what there was to remove.
 */
export async function leaveBroker(
  client: KubeClient,
  namespace: string,
  clusterId: string,
): Promise<readonly Written[]> {
  const account = memberAccount(clusterId);
  const [endpoints, clusters, secrets] = await Promise.all([
    client.list<Endpoint & KubeObject>(RESOURCES.endpoints, { namespace }),
    client.list<Cluster & KubeObject>(RESOURCES.clusters, { namespace }),
    client.list<Secret>(RESOURCES.secrets, { namespace }),
  ]);
  const tokens = secrets.items.filter(({ metadata }) => metadata.annotations?.[ACCOUNT_ANNOTATION] === account);
  const named = (
    type: ResourceType,
    names: readonly (string | undefined)[],
  ): readonly (readonly [ResourceType, string])[] => names.map((name = '') => [type, name] as const);
  const doomed = [
    ...named(RESOURCES.endpoints, ofCluster(endpoints.items, clusterId)),
    ...named(RESOURCES.clusters, ofCluster(clusters.items, clusterId)),
    ...named(
      RESOURCES.secrets,
      tokens.map(({ metadata }) => metadata.name),
    ),
    ...memberObjects({ namespace, clusterId }),
    ...named(RESOURCES.serviceAccounts, [account]),
  ];
  const removed: Written[] = [];
  for (const [type, name] of doomed) {
    const found = await client.find(type, name, { namespace });
    if (found === undefined) continue;
    await client.delete(type, name, { namespace });
    removed.push(written({ kind: type.kind, metadata: { name, namespace } }, 'broker', 'deleted'));
  }
  return removed;
}

function ofCluster(
  objects: readonly { readonly metadata: KubeObject['metadata']; readonly spec?: { readonly cluster_id?: string } }[],
  clusterId: string,
): readonly (string | undefined)[] {
  // Written by others: the spec may be missing.
  return objects.filter(({ spec }) => spec?.cluster_id === clusterId).map(({ metadata }) => metadata.name);
}
