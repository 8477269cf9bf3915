import { parseAvailability } from '../../api/availability.ts';
import { GATEWAY_LEASE, OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Gateway } from '../../api/types.ts';
import type { KubeClient, KubeObject } from '../../kube/client.ts';
import { OFFER_ANNOTATION } from '../../kube/leaserules.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { ClusterAccess } from '../access.ts';
import { silence } from '../show/freshness.ts';
import { waitFor, type Deadline } from '../waiting.ts';

/** The Gateway objects of a cluster. */
export async function listGateways({ client }: ClusterAccess): Promise<readonly (Gateway & KubeObject)[]> {
  const { items } = await client.list<Gateway & KubeObject>(RESOURCES.gateways, { namespace: OPERATOR_NAMESPACE });
  return items;
}

/** The node of a gateway. */
export function nodeOf({ metadata, status }: Gateway): string {
  return status.localEndpoint.hostname || (metadata.name ?? '');
}

/** Why a standby cannot take over; undefined when it can. */
export function obstacle(gateway: Gateway, nowMs: number): string | undefined {
  const quiet = silence(gateway, nowMs);
  if (quiet !== undefined) return quiet;
  const availability = parseAvailability(gateway);
  if (availability === undefined) return 'its engine does not know how to take over (it is not of this product)';
  if (!availability.ready) return availability.reason;
  return undefined;
}

/** Hands the traffic over to the gateway of a node that is ready, and waits until it is active; takes the order back when it does not become it. */
export async function handOver(
  cluster: ClusterAccess,
  node: string,
  deadline: Deadline,
  note: (text: string) => void,
): Promise<void> {
  await offerLease(cluster.client, `${node}-submariner-gateway`);
  try {
    await awaitMove(cluster, node, deadline, note);
  } catch (error) {
    await offerLease(cluster.client, null);
    throw error;
  }
}

async function offerLease(client: KubeClient, identity: string | null): Promise<void> {
  const change = { metadata: { annotations: { [OFFER_ANNOTATION]: identity } } };
  await client.patch(RESOURCES.leases, GATEWAY_LEASE, change, { patchType: 'merge', namespace: OPERATOR_NAMESPACE });
}

async function awaitMove(
  cluster: ClusterAccess,
  node: string,
  deadline: Deadline,
  note: (text: string) => void,
): Promise<void> {
  await waitFor({
    deadline,
    what: `${node} to be the active gateway`,
    hint: `See what it says: subctl show gateways --context ${cluster.name}. The order to move was taken back.`,
    intervalMs: 100,
    onPending: note,
    look: async () => {
      const gateways = await listGateways(cluster);
      const active = gateways.filter(({ status }) => status.haStatus === 'active').map(nodeOf);
      if (active.length === 1 && active[0] === node) return { done: undefined };
      return { pending: active.length === 0 ? 'no gateway says it is active' : `active: ${active.join(', ')}` };
    },
  });
}
