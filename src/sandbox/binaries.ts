import { createPublicKey } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import path from 'node:path';
import { createRunner } from '../host/command.ts';
import type { KubeClient } from '../kube/client.ts';
import { RESOURCES } from '../kube/resources.ts';
import type { Clock } from '../runtime/clock.ts';
import { ExpectedError, messageOf } from '../runtime/errors.ts';
import { silentLogger } from '../runtime/logger.ts';
import type { ControlPlaneConfig } from './controlplane-config.ts';
import { writeFileAtomically } from './lifecycle/state.ts';
import { API_PORT } from './plan.ts';
import { createServiceAccountKey } from './jwt.ts';
import { isAlive, signalProcess, startDaemon, type ProcessIdentity } from './processes.ts';

const ETCD = 'http://127.0.0.1:2379';
const ETCD_PEER = 'http://127.0.0.1:2380';
/** Real programs on a busy machine. */
export const BINARIES_READY_MS = 300_000;
/** How long a program may take to end before it is killed. */
const END_MS = 5000;

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

/** The version that a kube-apiserver tells of itself, e.g. `1.36`; undefined when it says something else. */
async function minorVersion(apiServer: string): Promise<number | undefined> {
  const { stdout } = await createRunner({ logger: silentLogger }).run(apiServer, ['--version'], {
    timeoutMs: BINARIES_READY_MS,
  });
  const found = /v1\.(\d+)\./.exec(stdout)?.[1];
  return found === undefined ? undefined : Number(found);
}

/**
 * Servers before 1.21 give pods a token out of a Secret that a controller keeps for every account, newer ones a bound
 * token. The older ones can do the latter, too, when asked.
 */
function gates(minor: number | undefined): readonly string[] {
  return minor !== undefined && minor < 21 ? ['--feature-gates=BoundServiceAccountTokenVolume=true'] : [];
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
    `--kubelet-client-certificate=${config.certFile}`,
    `--kubelet-client-key=${config.keyFile}`,
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
  const endMs = clock.monotonic() + BINARIES_READY_MS;
  for (;;) {
    try {
      // Roles are there once it is ready; the Service is the last of the objects that every cluster starts with.
      await client.request('GET', '/readyz');
      await client.get(RESOURCES.services, 'kubernetes', { namespace: 'default' });
      return;
    } catch (error) {
      const ended = processes.some((one) => !isAlive(one));
      if (!ended && clock.monotonic() < endMs) {
        await clock.sleep(200);
        continue;
      }
      const why = ended ? 'ended' : `is not ready after ${BINARIES_READY_MS / 1000} s (${messageOf(error)})`;
      throw new ExpectedError(`the control plane ${why}`, {
        hint: `Look at ${log} and etcd.log beside it`,
        cause: error,
      });
    }
  }
}

async function endProcess(one: ProcessIdentity, clock: Clock): Promise<void> {
  signalProcess(one, 'SIGTERM');
  for (const endMs = clock.monotonic() + END_MS; isAlive(one);) {
    if (clock.monotonic() > endMs) signalProcess(one, 'SIGKILL');
    await clock.sleep(50);
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
      args: [...apiServerArguments(config, files), ...gates(await minorVersion(apiServer))],
      logFile: log('kube-apiserver'),
      env: {},
    }),
  ];
  const socket = await bridgeSocket(config.socketPath);
  const close = async (): Promise<void> => {
    socket.close();
    // etcd last: without it the API server cannot end in good order.
    for (const one of processes.toReversed()) await endProcess(one, clock);
  };
  try {
    await untilReady(client, clock, processes, log('kube-apiserver'));
  } catch (error) {
    await close();
    throw error;
  }
  return { serviceAccountKey: readFileSync(files.key, 'utf8'), close };
}
