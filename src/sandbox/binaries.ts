import { createPublicKey } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import path from 'node:path';
import type { KubeClient } from '../kube/client.ts';
import type { Clock } from '../runtime/clock.ts';
import { ExpectedError, messageOf } from '../runtime/errors.ts';
import type { ControlPlaneConfig } from './controlplane-config.ts';
import { writeFileAtomically } from './lifecycle/state.ts';
import { API_PORT } from './plan.ts';
import { createServiceAccountKey } from './jwt.ts';
import { isAlive, signalProcess, startDaemon, type ProcessIdentity } from './processes.ts';

const ETCD = 'http://127.0.0.1:2379';
const ETCD_PEER = 'http://127.0.0.1:2380';
const READY_MS = 60_000;

/** kube-apiserver and etcd under way. */
export interface Binaries {
  /** PEM of the key that signs service account tokens. */
  readonly serviceAccountKey: string;
  close(): Promise<void>;
}

/** The two programs of a directory such as KUBEBUILDER_ASSETS names; rejects when one is not there. */
export function findBinaries(dir: string): { readonly etcd: string; readonly apiServer: string } {
  const find = (name: string): string => {
    const file = path.resolve(dir, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch (error) {
      throw new ExpectedError(`there is no program ${name} in ${path.resolve(dir)}`, {
        hint: 'Give a directory with kube-apiserver and etcd, for instance: --control-plane "$(setup-envtest use -p path)"',
        cause: error,
      });
    }
  };
  return { etcd: find('etcd'), apiServer: find('kube-apiserver') };
}

function etcdArguments(config: ControlPlaneConfig): readonly string[] {
  return [
    `--data-dir=${path.join(config.dataDir, 'etcd')}`,
    `--listen-client-urls=${ETCD}`,
    `--advertise-client-urls=${ETCD}`,
    `--listen-peer-urls=${ETCD_PEER}`,
    `--initial-advertise-peer-urls=${ETCD_PEER}`,
    `--initial-cluster=default=${ETCD_PEER}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

function apiServerArguments(config: ControlPlaneConfig, files: ServiceAccountFiles): readonly string[] {
  return [
    `--etcd-servers=${ETCD}`,
    '--bind-address=0.0.0.0',
    `--secure-port=${API_PORT}`,
    `--advertise-address=${config.lanAddress}`,
    `--tls-cert-file=${config.certFile}`,
    `--tls-private-key-file=${config.keyFile}`,
    `--cert-dir=${config.dataDir}`,
    `--token-auth-file=${files.tokens}`,
    `--service-cluster-ip-range=${config.serviceCidr}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${files.publicKey}`,
    `--service-account-signing-key-file=${files.key}`,
    '--authorization-mode=RBAC',
    '--allow-privileged=true',
    '--kubelet-preferred-address-types=InternalIP',
  ];
}

interface ServiceAccountFiles {
  readonly key: string;
  readonly publicKey: string;
  readonly tokens: string;
}

function writeFiles(config: ControlPlaneConfig): ServiceAccountFiles {
  const at = (name: string): string => path.join(config.dataDir, name);
  const files = { key: at('sa.key'), publicKey: at('sa.pub'), tokens: at('tokens.csv') };
  if (!existsSync(files.key)) writeFileAtomically(files.key, createServiceAccountKey());
  const publicKey = createPublicKey(readFileSync(files.key, 'utf8'));
  writeFileAtomically(files.publicKey, publicKey.export({ type: 'spki', format: 'pem' }).toString());
  writeFileAtomically(files.tokens, `${config.adminToken},admin,admin,system:masters\n`);
  return files;
}

/** Carries the connections of a unix socket to the API server, which only speaks TCP. */
function bridgeSocket(socketPath: string): Promise<Server> {
  rmSync(socketPath, { force: true });
  const server = createServer((near) => {
    const far = connect(API_PORT, '127.0.0.1');
    near.pipe(far).pipe(near);
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, () => resolve(server));
  });
}

async function untilReady(
  client: KubeClient,
  clock: Clock,
  processes: readonly ProcessIdentity[],
  log: string,
): Promise<void> {
  const endMs = clock.monotonic() + READY_MS;
  for (;;) {
    try {
      // Answers once the storage and the built-in objects are there.
      await client.request('GET', '/api/v1/namespaces/kube-system');
      return;
    } catch (error) {
      const ended = processes.some((one) => !isAlive(one));
      if (!ended && clock.monotonic() < endMs) {
        await clock.sleep(200);
        continue;
      }
      const why = ended ? 'ended' : `is not ready after ${READY_MS / 1000} s (${messageOf(error)})`;
      throw new ExpectedError(`the control plane ${why}`, {
        hint: `Look at ${log} and etcd.log beside it`,
        cause: error,
      });
    }
  }
}

/** Starts etcd and kube-apiserver in the caller's network namespace and waits until they answer. */
export async function startBinaries(config: ControlPlaneConfig, client: KubeClient, clock: Clock): Promise<Binaries> {
  const { etcd, apiServer } = findBinaries(config.controlPlane);
  mkdirSync(path.join(config.dataDir, 'etcd'), { recursive: true, mode: 0o700 });
  const files = writeFiles(config);
  const log = (name: string): string => path.join(config.dataDir, `${name}.log`);
  const processes = [
    await startDaemon({ file: etcd, args: etcdArguments(config), logFile: log('etcd'), env: {} }),
    await startDaemon({
      file: apiServer,
      args: apiServerArguments(config, files),
      logFile: log('kube-apiserver'),
      env: {},
    }),
  ];
  const socket = await bridgeSocket(config.socketPath);
  const close = async (): Promise<void> => {
    socket.close();
    for (const one of processes.toReversed()) signalProcess(one, 'SIGTERM');
  };
  try {
    await untilReady(client, clock, processes, log('kube-apiserver'));
  } catch (error) {
    await close();
    throw error;
  }
  return { serviceAccountKey: readFileSync(files.key, 'utf8'), close };
}
