import { BROKER_SECRET } from '../../../api/names.ts';
import type { KubeClient, ResourceType } from '../../../kube/client.ts';
import { RESOURCES } from '../../../kube/resources.ts';
import { ExpectedError } from '../../../runtime/errors.ts';
import type { BrokerTarget } from '../../access.ts';
import type { Collecting, Collector } from '../collector.ts';
import { archiveObjects } from '../listing.ts';

function decoded(base64: string | undefined): string {
  return Buffer.from(base64 ?? '', 'base64').toString('utf8');
}

/** How this cluster's gateways reach the broker; undefined when that is not known here. */
function brokerTarget({ submariner, secrets, cluster }: Collecting): BrokerTarget | undefined {
  const secret = secrets.find(({ metadata }) => metadata.name === BROKER_SECRET);
  if (submariner === undefined || secret === undefined) return undefined;
  const { brokerK8sApiServer: server, brokerK8sInsecure: insecure = false } = submariner.spec;
  const ca = decoded(secret.data?.['ca.crt']);
  return {
    server: server.includes('://') ? server : `https://${server}`,
    token: decoded(secret.data?.['token']),
    ca: ca === '' ? undefined : ca,
    namespace: submariner.spec.brokerK8sRemoteNamespace,
    insecure,
    source: `secret ${BROKER_SECRET} of cluster ${cluster.cluster}`,
  };
}

/** The broker as this cluster's gateways see it: with their token, at the address they use. */
export const brokerCollector: Collector = {
  name: 'broker',
  type: 'resources',
  collect: async (collecting) => {
    if (collecting.submariner === undefined) return;
    const target = brokerTarget(collecting);
    if (target === undefined) {
      collecting.fail('the token of the broker could not be read, so the broker was not looked at');
      return;
    }
    const client = await collecting.broker(target);
    const archive = async (type: ResourceType): Promise<void> => archiveBrokerKind(collecting, client, type, target);
    await archive(RESOURCES.endpoints)
      .then(async () => archive(RESOURCES.clusters))
      .finally(() => client.close());
  },
};

async function archiveBrokerKind(
  collecting: Collecting,
  client: KubeClient,
  type: ResourceType,
  { namespace, server }: BrokerTarget,
): Promise<void> {
  try {
    const { items } = await client.list(type, { namespace, signal: collecting.signal });
    await archiveObjects(collecting, type, items, 'broker/');
  } catch (error) {
    if (error instanceof ExpectedError) throw new ExpectedError(`broker ${server}: ${error.message}`, { cause: error });
    throw error;
  }
}
