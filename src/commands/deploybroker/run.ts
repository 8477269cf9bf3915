import path from 'node:path';
import { type BrokerInfo, type InfoSecret, renderBrokerInfo } from '../../api/brokerinfo.ts';
import { BROKER_NAME } from '../../api/names.ts';
import type { Broker, Cluster } from '../../api/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import { isNotFound } from '../../kube/errors.ts';
import type { ConfigMap, Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { applyManifests } from '../applying.ts';
import { findBrokerInfoFile, readBrokerInfoFile, writeBrokerInfoFile } from '../brokerinfofile.ts';
import { BROKER_INFO_FILE } from '../brokerinfoname.ts';
import { ensureTokenSecret } from '../brokertoken.ts';
import type { CommandRun } from '../context.ts';
import { printManifests, printResult, reportWritten } from '../report.ts';
import { PSK_FINGERPRINT_ANNOTATION } from '../pskfingerprint.ts';
import { readingOnly, requireRights } from '../rights.ts';
import { parseServerUrl } from '../serverurl.ts';
import { type Deadline, startDeadline } from '../waiting.ts';
import { written, type Written } from '../objects.ts';
import { allocationMaps } from './globalnet.ts';
import { BROKER_ADMIN } from './names.ts';
import { hasAdmissionPolicies } from './admission.ts';
import { brokerComponents, brokerManifests, brokerRights } from './plan.ts';
import { type ChosenPsk, choosePsk, pskSecret } from './psk.ts';
import type { DeployBrokerOptions } from './options.ts';

const DEFAULT_TIMEOUT_MS = 60_000;

/** Sets up the broker and writes broker-info.subm; nothing is changed when a check before it fails. */
export async function deployBroker(run: CommandRun, options: DeployBrokerOptions): Promise<void> {
  const { context, flags, reporter } = run;
  brokerManifests(context.templatesDir, options, { policies: false });
  const brokerUrl = options.brokerUrl === undefined ? undefined : parseServerUrl('--broker-url', options.brokerUrl);
  const target = await (await run.access()).current();
  const { dryRun, namespace } = options;
  const policies = await hasAdmissionPolicies(target.client);
  await reporter.step(`Checking permissions in cluster ${target.cluster}`, async () => {
    const place = { where: target.name, client: target.client, rights: brokerRights(namespace, policies) };
    return requireRights([dryRun ? readingOnly(place) : place]);
  });
  const maps = allocationMaps(options, await existingMaps(target.client, namespace));
  if (dryRun) return printManifests(run, [...brokerManifests(context.templatesDir, options, { policies }), ...maps]);

  const deadline = startDeadline(context.clock, flags.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const server = brokerUrl ?? target.server;
  warnAboutScope(run, options, server);
  const psk = await findPsk(run, options, target.client, server);
  const objects = [...brokerManifests(context.templatesDir, options, { policies, psk: psk.psk }), ...maps];
  const applied = await reporter.step(`Applying the broker to cluster ${target.cluster}`, async (step) =>
    applyManifests({ client: target.client, on: 'broker' }, objects, context, step),
  );
  const token = await adminToken(run, target.client, options.namespace, deadline);
  const info = brokerInfo(options, server, token.secret, psk);
  const records = [...applied, token.record];
  reportWritten(run, records);
  if (!policies) warnAboutPolicies(run);
  await saveBrokerInfo(run, info, psk);
  await printResult(run, { broker: server, namespace: options.namespace, file: BROKER_INFO_FILE }, records);
}

function warnAboutScope({ reporter }: CommandRun, options: DeployBrokerOptions, server: string): void {
  if (brokerComponents(options).includes('service-discovery')) {
    reporter.warn('service-discovery is announced to the clusters, but this version does not deploy it');
  }
  if (options.globalnet) reporter.warn('globalnet is announced to the clusters, but this version does not deploy it');
  const host = new URL(server).hostname;
  if (/^(?:localhost|127\..*|\[::1\])$/.test(host)) {
    reporter.warn(
      `other clusters cannot reach the broker at ${host}: give an address they can reach with --broker-url`,
    );
  }
}

function warnAboutPolicies({ reporter }: CommandRun): void {
  reporter.info(
    '   this API server has no admission policies (Kubernetes 1.30 or newer has them): members cannot change what others have published, but could publish objects in the name of others',
  );
}

/** Objects there before; none when the namespace is missing. */
async function existingMaps(client: KubeClient, namespace: string): Promise<readonly ConfigMap[]> {
  const names = ['submariner-globalnet-info', 'submariner-clustersetip-info'];
  const found = await Promise.all(
    names.map(async (name) => client.find<ConfigMap>(RESOURCES.configMaps, name, { namespace })),
  );
  return found.filter((map) => map !== undefined);
}

async function findPsk(
  run: CommandRun,
  options: DeployBrokerOptions,
  client: KubeClient,
  server: string,
): Promise<ChosenPsk> {
  const { cwd, clock } = run.context;
  const file = path.resolve(cwd, BROKER_INFO_FILE);
  const from = options.ipsecPskFrom === undefined ? undefined : path.resolve(cwd, options.ipsecPskFrom);
  const [given, existing, joined, broker, root] = await Promise.all([
    from === undefined ? undefined : readBrokerInfoFile(from, clock.now()),
    findBrokerInfoFile(file, clock.now()),
    joinedClusters(client, options.namespace),
    client.find<Broker>(RESOURCES.brokers, BROKER_NAME, { namespace: options.namespace }),
    client.find<ConfigMap>(RESOURCES.configMaps, 'kube-root-ca.crt', { namespace: 'default' }).catch(() => undefined),
  ]);
  return choosePsk({
    given: given === undefined || from === undefined ? undefined : { file: from, info: given },
    existing: existing === undefined ? undefined : { file, info: existing },
    broker: { server, namespace: options.namespace, ca: root?.data?.['ca.crt'] },
    joined,
    recorded: broker?.metadata.annotations?.[PSK_FINGERPRINT_ANNOTATION],
    allowNew: options.newIpsecPsk,
  });
}

async function joinedClusters(client: KubeClient, namespace: string): Promise<readonly string[]> {
  try {
    const { items } = await client.list<Cluster>(RESOURCES.clusters, { namespace });
    return items.map(({ spec }) => spec.cluster_id);
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

async function adminToken(
  run: CommandRun,
  client: KubeClient,
  namespace: string,
  deadline: Deadline,
): Promise<{ readonly secret: Secret; readonly record: Written }> {
  return run.reporter.step(`Waiting for the token of ${BROKER_ADMIN}`, async (step) => {
    const at = { namespace, account: BROKER_ADMIN };
    const { secret, outcome } = await ensureTokenSecret(client, at, deadline, step.update);
    return { secret, record: written({ ...secret, kind: 'Secret' }, 'broker', outcome) };
  });
}

function brokerInfo(options: DeployBrokerOptions, server: string, token: Secret, { psk }: ChosenPsk): BrokerInfo {
  const { managedFields: _, ...metadata } = token.metadata;
  const clientToken: InfoSecret = { metadata: { ...metadata }, data: token.data ?? {}, type: token.type ?? '' };
  const components = brokerComponents(options);
  return {
    brokerUrl: server,
    clientToken,
    ipsecPsk: pskSecret(psk),
    serviceDiscovery: components.includes('service-discovery'),
    components,
    customDomains: options.customDomains ?? [],
  };
}

async function saveBrokerInfo(run: CommandRun, info: BrokerInfo, psk: ChosenPsk): Promise<void> {
  const { reporter, context } = run;
  const file = path.resolve(context.cwd, BROKER_INFO_FILE);
  const { changed, kept } = await writeBrokerInfoFile(file, renderBrokerInfo(info), context.clock.now());
  if (kept !== undefined) reporter.info(`   the earlier file is kept as ${path.basename(kept)}`);
  const key = psk.from === 'new' ? 'a new pre-shared key' : `the pre-shared key of ${path.basename(psk.from)}`;
  reporter.done(changed ? `Wrote ${BROKER_INFO_FILE} with ${key}` : `${BROKER_INFO_FILE} is up to date`);
  reporter.info(`   Keep it secret. Next: subctl join ${BROKER_INFO_FILE} --context CLUSTER`);
}
