import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import type { KubeClient, KubeObject, ResourceType } from '../kube/client.ts';
import { isAlreadyExists } from '../kube/errors.ts';
import { endpointSliceType } from '../kube/endpointslices.ts';
import { createHttpsClient } from '../kube/httpsclient.ts';
import type { ConfigMap, EndpointSlice } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { logAuthorizations } from './authorizations.ts';
import { startApiServer } from './apiserver/server.ts';
import { startBinaries } from './binaries.ts';
import type { ControlPlaneConfig } from './controlplane-config.ts';
import { API_PORT, planSandbox } from './plan.ts';
import { runPlatformControllers } from './platform/run.ts';
import { createServiceAccountKey } from './jwt.ts';
import { createPodProxy } from './podproxy.ts';
import { runControllers } from './controllers/run.ts';

/** In the directory of the control plane: what service accounts were allowed or denied, lines of JSON. */
export const AUTHORIZATIONS_FILE = 'authorizations.jsonl';

async function createMissing(client: KubeClient, type: ResourceType, object: KubeObject): Promise<void> {
  try {
    await client.create(type, object);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}

/** What installers leave in a cluster: its networks as kubeadm writes them down. */
function kubeadmConfig(config: ControlPlaneConfig): ConfigMap {
  const networking = `networking:\n  dnsDomain: cluster.local\n  podSubnet: ${config.podCidr}\n  serviceSubnet: ${config.serviceCidr}\n`;
  const text = `apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nclusterName: ${config.cluster}\n${networking}`;
  return { metadata: { name: 'kubeadm-config', namespace: 'kube-system' }, data: { ClusterConfiguration: text } };
}

/** Where Service `kubernetes` leads: to the API server's address on the LAN. */
function apiServerSlice(config: ControlPlaneConfig): EndpointSlice {
  return {
    metadata: { name: 'kubernetes', namespace: 'default', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [config.lanAddress], conditions: { ready: true } }],
    ports: [{ name: 'https', protocol: 'TCP', port: API_PORT }],
  };
}

interface RunningServer {
  /** PEM of the key that signs service account tokens. */
  readonly serviceAccountKey: string;
  close(): Promise<void>;
}

async function startEmbedded(config: ControlPlaneConfig, client: KubeClient): Promise<RunningServer> {
  const serviceAccountKey = createServiceAccountKey();
  logAuthorizations(path.join(config.dataDir, AUTHORIZATIONS_FILE));
  rmSync(config.socketPath, { force: true });
  const server = await startApiServer({
    listen: [...config.listen, { socketPath: config.socketPath }],
    tls: { cert: readFileSync(config.certFile, 'utf8'), key: readFileSync(config.keyFile, 'utf8') },
    adminToken: config.adminToken,
    serviceCidr: config.serviceCidr,
    serviceAccountKey,
    onPodProxy: createPodProxy({
      plan: planSandbox(config.sandbox),
      cluster: config.cluster,
      nodeDir: (node) => path.join(config.nodesDir, node),
      client,
    }),
  });
  return { serviceAccountKey, close: () => server.close() };
}

/** Runs the control plane of one cluster until the signal is aborted. */
export async function runControlPlane(config: ControlPlaneConfig, signal: AbortSignal, logger: Logger): Promise<void> {
  const ca = readFileSync(config.caFile, 'utf8');
  const { socketPath, adminToken: token } = config;
  const client = createHttpsClient({ server: config.server, socketPath, tlsServerName: 'localhost', ca, token });
  const embedded = config.controlPlane === 'embedded';
  const server = await (embedded ? startEmbedded(config, client) : startBinaries(config, client, systemClock));
  const { serviceAccountKey } = server;
  try {
    const sliceType = await endpointSliceType(client);
    await createMissing(client, sliceType, apiServerSlice(config));
    // The last one: it tells the start of the sandbox that this control plane is ready.
    await createMissing(client, RESOURCES.configMaps, kubeadmConfig(config));
    logger.info('API server ready', { cluster: config.cluster, server: config.server });
    await Promise.all([
      runControllers({ client, logger, clock: systemClock, nodeGraceMs: config.nodeGraceMs, sliceType }, signal),
      runPlatformControllers({ client, logger, clock: systemClock, ca, serviceAccountKey }, signal),
    ]);
  } finally {
    client.close();
    await server.close();
  }
}
