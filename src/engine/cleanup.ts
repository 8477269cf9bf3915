import { CLUSTER_ID_LABEL, GATEWAY_LABEL, validName } from '../api/names.ts';
import type { KubeClient, KubeObject, ResourceType } from '../kube/client.ts';
import type { Node } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import type { Logger } from '../runtime/logger.ts';
import { describeFailure } from '../host/command.ts';
import type { CableDriver } from './drivers/driver.ts';

/** Removes what any driver ever made on this node; rejects with one error that lists what could not be removed. */
export async function cleanUpNode(drivers: readonly CableDriver[], logger: Logger): Promise<void> {
  const failures: string[] = [];
  for (const driver of drivers) {
    try {
      await driver.cleanup();
    } catch (error) {
      failures.push(`${driver.name}: ${describeFailure(error)}`);
    }
  }
  if (failures.length > 0) throw new Error(`not everything could be removed: ${failures.join('; ')}`);
  logger.info('everything of the gateway engine was removed from this node');
}

/** Whether a node goes on being a gateway: false only when the API server says that it is gone or has no gateway label. */
export async function staysGateway(
  client: KubeClient,
  nodeName: string,
  logger: Logger,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const node = await client.find<Node>(RESOURCES.nodes, nodeName, { signal });
    return node?.metadata.labels?.[GATEWAY_LABEL] === 'true';
  } catch (error) {
    logger.warn('cannot tell whether this node stays a gateway; all stays as it is', { error });
    return true;
  }
}

interface Owned extends KubeObject {
  readonly spec?: { readonly cluster_id?: string };
}

/** The local objects of this gateway: its Gateway, and all Endpoints and Clusters, mirrored ones too. */
export async function cleanUpLocalObjects(
  client: KubeClient,
  { namespace, nodeName }: { readonly namespace: string; readonly nodeName: string },
): Promise<void> {
  await client.delete(RESOURCES.gateways, validName(nodeName), { namespace });
  await removeAll(client, namespace, () => true);
}

/** On the broker only what this cluster put there. */
export async function cleanUpBrokerObjects(
  client: KubeClient,
  { namespace, clusterId }: { readonly namespace: string; readonly clusterId: string },
): Promise<void> {
  await removeAll(
    client,
    namespace,
    ({ spec, metadata }) => spec?.cluster_id === clusterId && metadata.labels?.[CLUSTER_ID_LABEL] === clusterId,
  );
}

async function removeAll(client: KubeClient, namespace: string, chosen: (object: Owned) => boolean): Promise<void> {
  const types: readonly ResourceType[] = [RESOURCES.endpoints, RESOURCES.clusters];
  for (const type of types) {
    const { items } = await client.list<Owned>(type, { namespace });
    for (const { metadata } of items.filter(chosen)) await client.delete(type, metadata.name ?? '', { namespace });
  }
}
