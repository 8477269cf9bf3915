import { spawn, type ChildProcess } from 'node:child_process';
import { createPublicKey, randomBytes } from 'node:crypto';
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createHttpsClient } from '../src/kube/httpsclient.ts';
import { RESOURCES } from '../src/kube/resources.ts';
import { createServiceAccountKey } from '../src/sandbox/jwt.ts';
import { createCertificateAuthority, issueCertificate } from '../src/sandbox/certificates.ts';

/** A kube-apiserver with its etcd, for one test file. */
export interface RealServer {
  readonly url: string;
  readonly ca: string;
  readonly adminToken: string;
  /** PEM of the key that signs service account tokens. */
  readonly serviceAccountKey: string;
  close(): Promise<void>;
}

/** The directory with kube-apiserver and etcd, as npm run test:kube hands it on; undefined: the embedded server is tested. */
export function assetsOf(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const dir = env['KUBEBUILDER_ASSETS'];
  return dir === undefined || dir === '' ? undefined : dir;
}

const READY_MS = 300_000;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function start(dir: string, file: string, args: readonly string[]): ChildProcess {
  const log = openSync(path.join(dir, `${path.basename(file)}.log`), 'a');
  const child = spawn(file, args, { cwd: dir, stdio: ['ignore', log, log], env: {} });
  closeSync(log);
  return child;
}

/** Ends it in good order, or after a while in any case. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await ended;
  clearTimeout(timer);
}

function writeFiles(dir: string, adminToken: string): { readonly ca: string; readonly serviceAccountKey: string } {
  const ca = createCertificateAuthority();
  const leaf = issueCertificate(ca, { commonName: 'kube-apiserver', dnsNames: ['localhost'], ips: ['127.0.0.1'] });
  const serviceAccountKey = createServiceAccountKey();
  const publicKey = createPublicKey(serviceAccountKey).export({ type: 'spki', format: 'pem' }).toString();
  const files = {
    'server.crt': leaf.cert,
    'server.key': leaf.key,
    'sa.key': serviceAccountKey,
    'sa.pub': publicKey,
    'tokens.csv': `${adminToken},admin,admin,system:masters\n`,
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(path.join(dir, name), content, { mode: 0o600 });
  return { ca: ca.cert, serviceAccountKey };
}

async function untilReady(server: Omit<RealServer, 'close'>, dir: string, programs: readonly ChildProcess[]) {
  const client = createHttpsClient({ server: server.url, ca: server.ca, token: server.adminToken });
  try {
    for (const endMs = Date.now() + READY_MS; ;) {
      try {
        await client.request('GET', '/readyz');
        await client.get(RESOURCES.services, 'kubernetes', { namespace: 'default' });
        return;
      } catch (error) {
        const ended = programs.some(({ exitCode }) => exitCode !== null);
        if (ended || Date.now() > endMs) {
          const log = readFileSync(path.join(dir, 'kube-apiserver.log'), 'utf8').split('\n').slice(-10).join('\n');
          throw new Error(`kube-apiserver ${ended ? 'ended' : 'is not ready'}\n${log}`, { cause: error });
        }
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    }
  } finally {
    client.close();
  }
}

interface RealServerOptions {
  readonly adminToken?: string;
  readonly serviceCidr?: string;
}

/** Starts the kube-apiserver and the etcd of a directory on free loopback ports; close() ends both and removes their files. */
export async function startRealServer(assets: string, options: RealServerOptions = {}): Promise<RealServer> {
  // A port that was free may be somebody's a moment later.
  for (let triesLeft = 3; ; triesLeft -= 1) {
    try {
      return await tryRealServer(assets, options);
    } catch (error) {
      if (triesLeft === 0 || !(error instanceof Error) || !error.message.includes('address already in use'))
        throw error;
    }
  }
}

async function tryRealServer(
  assets: string,
  { adminToken = randomBytes(12).toString('hex'), serviceCidr = '10.96.0.0/16' }: RealServerOptions,
): Promise<RealServer> {
  const dir = mkdtempSync(path.join(tmpdir(), 'kube-apiserver-'));
  const programs: ChildProcess[] = [];
  const close = async (): Promise<void> => {
    for (const one of programs.toReversed()) await end(one);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const { ca, serviceAccountKey } = writeFiles(dir, adminToken);
    const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
    const [etcd, peer] = [`http://127.0.0.1:${etcdPort}`, `http://127.0.0.1:${peerPort}`];
    const storage = ['--data-dir=etcd', `--listen-client-urls=${etcd}`, `--advertise-client-urls=${etcd}`];
    const alone = [`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`];
    programs.push(
      start(dir, path.resolve(assets, 'etcd'), [
        ...storage,
        ...alone,
        `--initial-cluster=default=${peer}`,
        '--unsafe-no-fsync',
        '--log-level=error',
      ]),
    );
    const issuer = 'https://kubernetes.default.svc';
    programs.push(
      start(dir, path.resolve(assets, 'kube-apiserver'), [
        `--etcd-servers=${etcd}`,
        '--bind-address=127.0.0.1',
        `--secure-port=${port}`,
        '--cert-dir=.',
        '--tls-cert-file=server.crt',
        '--tls-private-key-file=server.key',
        '--token-auth-file=tokens.csv',
        `--service-cluster-ip-range=${serviceCidr}`,
        '--advertise-address=192.0.2.1',
        `--service-account-issuer=${issuer}`,
        '--service-account-key-file=sa.pub',
        '--service-account-signing-key-file=sa.key',
        '--authorization-mode=RBAC',
        '--allow-privileged=true',
      ]),
    );
    const server = { url: `https://127.0.0.1:${port}`, ca, adminToken, serviceAccountKey };
    await untilReady(server, dir, programs);
    return { ...server, close };
  } catch (error) {
    await close();
    throw error;
  }
}
