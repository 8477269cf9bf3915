import type { Cluster, Endpoint } from '../../api/types.ts';
import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import { isForbidden } from '../../kube/errors.ts';
import type { Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { isCredentialOf } from '../brokercredential.ts';
import { type Written, written } from '../objects.ts';
import { memberAccount } from './brokerview.ts';
import { memberObjects } from './member.ts';

/** What became of a membership. */
export interface Left {
  readonly removed: readonly Written[];
  /** Whether the credentials do not suffice to give the claim of the ID up. */
  readonly claimKept: boolean;
}

/**
 * Takes a cluster out of the set: its Endpoints, Cluster, tokens and role bindings on the broker, and at last the service
 * account that is the claim of its ID, so that an interrupted run can be repeated. With a member's own credentials what
 * belongs to the account is left to the broker's garbage collector.
 */
export async function leaveBroker(client: KubeClient, namespace: string, clusterId: string): Promise<Left> {
  const account = memberAccount(clusterId);
  const removed: Written[] = [];
  const remove = async (type: ResourceType, name: string): Promise<'done' | 'denied'> => {
    try {
      const gone = await client.delete(type, name, { namespace });
      if (gone) removed.push(written({ kind: type.kind, metadata: { name, namespace } }, 'broker', 'deleted'));
      return 'done';
    } catch (error) {
      if (isForbidden(error)) return 'denied';
      throw error;
    }
  };
  for (const [type, name] of await doomed(client, { namespace, clusterId }, account)) await remove(type, name);
  const claim = await remove(RESOURCES.serviceAccounts, account);
  return { removed, claimKept: claim === 'denied' };
}

async function doomed(
  client: KubeClient,
  member: { readonly namespace: string; readonly clusterId: string },
  account: string,
): Promise<readonly (readonly [ResourceType, string])[]> {
  const { namespace, clusterId } = member;
  const [endpoints, clusters, secrets] = await Promise.all([
    client.list<Endpoint & KubeObject>(RESOURCES.endpoints, { namespace }),
    client.list<Cluster & KubeObject>(RESOURCES.clusters, { namespace }),
    listSecrets(client, namespace),
  ]);
  const tokens = secrets.filter((secret) => isCredentialOf(secret, { account, clusterId }));
  const named = (type: ResourceType, objects: readonly KubeObject[]): readonly (readonly [ResourceType, string])[] =>
    objects.map(({ metadata }) => [type, metadata.name ?? ''] as const);
  return [
    ...named(
      RESOURCES.endpoints,
      endpoints.items.filter((one) => isOf(one, clusterId)),
    ),
    ...named(
      RESOURCES.clusters,
      clusters.items.filter((one) => isOf(one, clusterId)),
    ),
    ...named(RESOURCES.secrets, tokens),
    ...memberObjects(member),
  ];
}

/** Written by others: the spec may be missing. */
function isOf(object: { readonly spec?: { readonly cluster_id?: string } }, clusterId: string): boolean {
  return object.spec?.cluster_id === clusterId;
}

async function listSecrets(client: KubeClient, namespace: string): Promise<readonly Secret[]> {
  try {
    return (await client.list<Secret>(RESOURCES.secrets, { namespace })).items;
  } catch (error) {
    if (isForbidden(error)) return [];
    throw error;
  }
}
