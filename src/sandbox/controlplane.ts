import { readFileSync, rmSync } from 'node:fs';
import type { KubeClient, KubeObject, ResourceType } from '../kube/client.ts';
import { isAlreadyExists } from '../kube/errors.ts';
import { createHttpsClient } from '../kube/httpsclient.ts';
import type { ConfigMap, EndpointSlice } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { startApiServer } from './apiserver/server.ts';
import { API_PORT } from './plan.ts';
import { runControllers } from './controllers/run.ts';

/** Configuration of the control plane of one cluster. */
export interface ControlPlaneConfig {
  readonly cluster: string;
  /** The URL clients use, e.g. https://198.18.0.11:6443. */
  readonly server: string;
  readonly listen: readonly { readonly host: string; readonly port: number }[];
  /** The API server listens here too, for the host. */
  readonly socketPath: string;
  /** Address of the API server on the cluster's LAN: the endpoint of Service `kubernetes`. */
  readonly lanAddress: string;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  readonly adminToken: string;
  readonly serviceCidr: string;
  readonly podCidr: string;
  /** `embedded`, or a directory with kube-apiserver and etcd. */
  readonly controlPlane: string;
  /** Directory for the files of the control plane. */
  readonly dataDir: string;
  /** Silence after which a node counts as lost. */
  readonly nodeGraceMs: number;
}

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

/** Runs the control plane of one cluster until the signal is aborted. */
export async function runControlPlane(config: ControlPlaneConfig, signal: AbortSignal, logger: Logger): Promise<void> {
  const read = (file: string): string => readFileSync(file, 'utf8');
  const ca = read(config.caFile);
  rmSync(config.socketPath, { force: true });
  const server = await startApiServer({
    listen: [...config.listen, { socketPath: config.socketPath }],
    tls: { cert: read(config.certFile), key: read(config.keyFile), ca },
    adminToken: config.adminToken,
    serviceCidr: config.serviceCidr,
  });
  const { socketPath, adminToken: token } = config;
  const client = createHttpsClient({ server: config.server, socketPath, tlsServerName: 'localhost', ca, token });
  try {
    await createMissing(client, RESOURCES.configMaps, kubeadmConfig(config));
    await createMissing(client, RESOURCES.endpointSlices, apiServerSlice(config));
    logger.info('API server ready', { cluster: config.cluster, server: config.server });
    await runControllers({ client, logger, clock: systemClock, nodeGraceMs: config.nodeGraceMs }, signal);
  } finally {
    client.close();
    await server.close();
  }
}
