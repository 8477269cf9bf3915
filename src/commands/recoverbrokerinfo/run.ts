import path from 'node:path';
import { type BrokerInfo, renderBrokerInfo } from '../../api/brokerinfo.ts';
import { OPERATOR_NAMESPACE, PSK_SECRET, SUBMARINER_NAME } from '../../api/names.ts';
import type { Broker, Submariner } from '../../api/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isForbidden, isNotFound } from '../../kube/errors.ts';
import type { Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { ClusterAccess } from '../access.ts';
import { writeBrokerInfoFile } from '../brokerinfofile.ts';
import { BROKER_INFO_FILE } from '../brokerinfoname.ts';
import { tokenSecretOf } from '../brokertoken.ts';
import type { CommandRun } from '../context.ts';
import { BROKER_ADMIN } from '../deploybroker/names.ts';
import { pskSecret } from '../deploybroker/psk.ts';
import { PSK_FINGERPRINT_ANNOTATION, pskFingerprint } from '../pskfingerprint.ts';
import { parseServerUrl } from '../serverurl.ts';
import type { RecoverOptions } from './options.ts';

/** The broker as it was found. */
interface FoundBroker {
  readonly server: string;
  readonly broker: Broker;
  readonly token: Secret;
}

/** Writes broker-info.subm from what the broker and a joined cluster hold. */
export async function recoverBrokerInfo(run: CommandRun, options: RecoverOptions): Promise<void> {
  const { reporter, context } = run;
  const access = await run.access();
  const member = await access.current();
  const submariner = await joinedSubmariner(member);
  const psk = await reporter.step(`Reading the pre-shared key in cluster ${member.cluster}`, async () =>
    readPsk(member.client, submariner),
  );
  const place = options.brokerContext === undefined ? member : await access.connect(options.brokerContext);
  const found = await reporter.step(`Looking for the broker in cluster ${place.cluster}`, async () =>
    findBroker(place, submariner),
  );
  refuseOtherKey(found.broker, psk, member.cluster);
  const server =
    options.brokerUrl === undefined ? brokerUrl(found, submariner) : parseServerUrl('--broker-url', options.brokerUrl);
  const file = path.resolve(context.cwd, BROKER_INFO_FILE);
  const content = renderBrokerInfo(brokerInfo(found, server, psk));
  const { changed, kept } = await writeBrokerInfoFile(file, content, context.clock.now());
  if (kept !== undefined) reporter.info(`   the earlier file is kept as ${path.basename(kept)}`);
  reporter.done(changed ? `Wrote ${BROKER_INFO_FILE}` : `${BROKER_INFO_FILE} is up to date`);
}

/** The key of a cluster that joined before the key was changed would be of no use to anybody. */
function refuseOtherKey({ metadata }: Broker, psk: Buffer, cluster: string): void {
  const recorded = metadata.annotations?.[PSK_FINGERPRINT_ANNOTATION];
  if (recorded === undefined || recorded === pskFingerprint(psk)) return;
  throw new ExpectedError(`cluster ${cluster} holds another pre-shared key than the broker handed out last`, {
    hint: 'Give the context of another joined cluster with --context. Nothing was written.',
  });
}

async function joinedSubmariner({ client, cluster }: ClusterAccess): Promise<Submariner> {
  const at = { namespace: OPERATOR_NAMESPACE };
  const submariner = await client.find<Submariner>(RESOURCES.submariners, SUBMARINER_NAME, at);
  if (submariner !== undefined) return submariner;
  throw new ExpectedError(`cluster ${cluster} has not joined, so it does not hold the pre-shared key`, {
    hint: 'Give the context of a joined cluster with --context, and that of the broker with --broker-context.',
  });
}

/** The key of the Secret, else the one that upstream keeps in the Submariner object. */
async function readPsk(client: KubeClient, { spec }: Submariner): Promise<Buffer> {
  const secretName = spec.ceIPSecPSKSecret ?? PSK_SECRET;
  const secret = await client.find<Secret>(RESOURCES.secrets, secretName, { namespace: OPERATOR_NAMESPACE });
  const inObject = 'ceIPSecPSK' in spec && typeof spec.ceIPSecPSK === 'string' ? spec.ceIPSecPSK : undefined;
  const psk = secret?.data?.['psk'] ?? inObject;
  if (psk !== undefined && psk !== '') return Buffer.from(psk, 'base64');
  throw new ExpectedError(`Secret ${OPERATOR_NAMESPACE}/${secretName} holds no pre-shared key`, {
    hint: 'Try another joined cluster with --context.',
  });
}

async function findBroker({ client, cluster, server }: ClusterAccess, { spec }: Submariner): Promise<FoundBroker> {
  const namespace = spec.brokerK8sRemoteNamespace;
  try {
    const { items } = await client.list<Broker>(RESOURCES.brokers, { namespace });
    const broker = items[0];
    const token = broker === undefined ? undefined : await tokenSecretOf(client, namespace, BROKER_ADMIN);
    if (broker !== undefined && token !== undefined) return { server, broker, token };
  } catch (error) {
    if (!isNotFound(error) && !isForbidden(error)) throw error;
  }
  throw new ExpectedError(`cluster ${cluster} has no broker in namespace ${namespace}`, {
    hint: `The broker is at ${spec.brokerK8sApiServer}: give its context with --broker-context.`,
  });
}

/** The address that joined clusters use, which the record holds without scheme; else the one of the kubeconfig. */
function brokerUrl({ server }: FoundBroker, { spec }: Submariner): string {
  const recorded = spec.brokerK8sApiServer;
  return recorded === '' || server.endsWith(`//${recorded}`) ? server : `https://${recorded}`;
}

function brokerInfo({ broker, token }: FoundBroker, server: string, psk: Buffer): BrokerInfo {
  const { managedFields: _, ...metadata } = token.metadata;
  const components = broker.spec.components ?? [];
  return {
    brokerUrl: server,
    clientToken: { metadata: { ...metadata }, data: token.data ?? {}, type: token.type ?? '' },
    ipsecPsk: pskSecret(psk),
    serviceDiscovery: components.includes('service-discovery'),
    components,
    customDomains: broker.spec.defaultCustomDomains ?? [],
  };
}
