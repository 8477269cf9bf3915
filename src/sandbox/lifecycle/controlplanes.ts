import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { firstAddress } from '../../net/cidr.ts';
import { BINARIES_READY_MS } from '../binaries.ts';
import { createCertificateAuthority, issueCertificate, type Subject } from '../certificates.ts';
import type { ControlPlaneConfig } from '../controlplane-config.ts';
import { API_PORT, type ClusterPlan, type SandboxPlan } from '../plan.ts';
import type { ProcessIdentity } from '../processes.ts';
import type { RelayConfig } from '../relay.ts';
import { writeFileAtomically, type SandboxOptions } from './state.ts';
import { clusterClient, serverUrl, startProgram, waitFor, type SandboxTools } from './tools.ts';

/** Silence after which a node of a sandbox counts as lost; a real cluster waits 40 s or more. */
const NODE_GRACE_MS = 12_000;
const READY_MS = 30_000;
/** Written by the control plane when its API server is ready. */
const LAST_OBJECT = '/api/v1/namespaces/kube-system/configmaps/kubeadm-config';

/** Names and addresses under which an API server is reached. */
function serverSubject(cluster: ClusterPlan): Subject {
  const { wanAddress, lanAddress } = cluster.controlPlane;
  return {
    commonName: 'kube-apiserver',
    dnsNames: [
      'localhost',
      'kubernetes',
      'kubernetes.default',
      'kubernetes.default.svc',
      'kubernetes.default.svc.cluster.local',
    ],
    ips: ['127.0.0.1', wanAddress, lanAddress, firstAddress(cluster.serviceCidr) ?? '127.0.0.1'],
  };
}

/** Writes CA, certificate, credentials and configuration of a control plane. */
function writeControlPlane(tools: SandboxTools, cluster: ClusterPlan, options: SandboxOptions): void {
  const { files } = tools;
  const dir = files.clusterDir(cluster.name);
  const authority = createCertificateAuthority(`sandbox ${cluster.name}`);
  const leaf = issueCertificate(authority, serverSubject(cluster));
  const adminToken = randomBytes(24).toString('base64url');
  const write = (name: string, content: string): string => {
    const file = path.join(dir, name);
    writeFileAtomically(file, content);
    return file;
  };
  writeFileAtomically(files.secrets(cluster.name), JSON.stringify({ adminToken, ca: authority.cert }));
  const { wanAddress, lanAddress } = cluster.controlPlane;
  const config: ControlPlaneConfig = {
    cluster: cluster.name,
    server: serverUrl(cluster),
    listen: [lanAddress, wanAddress].map((host) => ({ host, port: API_PORT })),
    socketPath: files.socket(cluster.name),
    lanAddress,
    caFile: write('ca.crt', authority.cert),
    certFile: write('apiserver.crt', leaf.cert),
    keyFile: write('apiserver.key', leaf.key),
    adminToken,
    serviceCidr: cluster.serviceCidr,
    podCidr: cluster.podCidr,
    controlPlane: options.controlPlane,
    dataDir: dir,
    nodeGraceMs: NODE_GRACE_MS,
    sandbox: options,
    nodesDir: path.dirname(files.nodeDir('any')),
  };
  writeFileAtomically(files.config(`controlplane/${cluster.name}`), JSON.stringify(config, undefined, 2));
}

/** Starts the control plane of a cluster and waits until its API server answers. */
export async function startControlPlane(
  tools: SandboxTools,
  cluster: ClusterPlan,
  options: SandboxOptions,
  started: (role: string, identity: ProcessIdentity) => void,
): Promise<void> {
  const role = `controlplane/${cluster.name}`;
  writeControlPlane(tools, cluster, options);
  const identity = await startProgram(tools, 'controlplane', role, cluster.controlPlane.namespace);
  started(role, identity);
  const client = clusterClient(tools.files, cluster);
  try {
    await waitFor(
      tools,
      {
        what: `the API server of ${cluster.name}`,
        timeoutMs: options.controlPlane === 'embedded' ? READY_MS : BINARIES_READY_MS,
        process: { identity, log: tools.files.log(role) },
      },
      () => client.request<object>('GET', LAST_OBJECT),
    );
  } finally {
    client.close();
  }
}

/** Starts the loopback proxy to the API servers; resolves with its port. */
export async function startProxy(
  tools: SandboxTools,
  plan: SandboxPlan,
  started: (role: string, identity: ProcessIdentity) => void,
): Promise<number> {
  const { files } = tools;
  const targets = Object.fromEntries(
    plan.clusters.map((cluster) => [`${cluster.controlPlane.wanAddress}:${API_PORT}`, files.socket(cluster.name)]),
  );
  const config: RelayConfig = { port: 0, targets, portFile: files.portFile };
  writeFileAtomically(files.config('relay'), JSON.stringify(config, undefined, 2));
  const identity = await startProgram(tools, 'relay', 'relay');
  started('relay', identity);
  const wait = {
    what: 'the proxy to the API servers',
    timeoutMs: READY_MS,
    process: { identity, log: files.log('relay') },
  };
  return waitFor(tools, wait, async () => Number(readFileSync(files.portFile, 'utf8')) || undefined);
}
