import { createHttpsClient } from '../../../src/kube/httpsclient.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { type ApiServer, type ApiServerOptions, startApiServer } from '../../../src/sandbox/apiserver/server.ts';
import { createCertificateAuthority, issueCertificate } from '../../../src/sandbox/certificates.ts';
import { runPlatformControllers } from '../../../src/sandbox/platform/run.ts';
import { createServiceAccountKey } from '../../../src/sandbox/jwt.ts';
import { assetsOf, startRealServer } from '../../apiserver.ts';

/** A server on a free loopback port with a certificate of its own authority. */
export interface TestServer extends ApiServer {
  readonly url: string;
  readonly ca: string;
  readonly adminToken: string;
}

/** A server for kubectl and its like: the embedded one, or the kube-apiserver of KUBEBUILDER_ASSETS; close() it afterwards. */
export async function startAnyServer(): Promise<Pick<TestServer, 'url' | 'ca' | 'adminToken' | 'close'>> {
  const assets = assetsOf();
  if (assets === undefined) return startTestServer();
  const server = await startRealServer(assets);
  const { url, ca, adminToken, serviceAccountKey } = server;
  const end = runControllers(url, { ca, adminToken, serviceAccountKey });
  const close = async (): Promise<void> => {
    await end();
    await server.close();
  };
  return { url, ca, adminToken, close };
}

interface Access {
  readonly ca: string;
  readonly adminToken: string;
  readonly serviceAccountKey: string;
}

/** Runs the controllers that belong to an API server; resolves once they have ended when called. */
function runControllers(server: string, { ca, adminToken, serviceAccountKey }: Access): () => Promise<void> {
  const client = createHttpsClient({ server, ca, token: adminToken });
  const stop = new AbortController();
  const options = { client, logger: silentLogger, clock: systemClock, ca, serviceAccountKey };
  const running = runPlatformControllers(options, stop.signal);
  return async () => {
    stop.abort();
    await running;
    client.close();
  };
}

/** Starts an API server and the controllers that belong to it for a test; close() it afterwards. */
export async function startTestServer(options: Partial<ApiServerOptions> = {}): Promise<TestServer> {
  const ca = createCertificateAuthority();
  const leaf = issueCertificate(ca, { commonName: 'kube-apiserver', dnsNames: ['localhost'], ips: ['127.0.0.1'] });
  const adminToken = 'secret-of-the-admin';
  const serviceAccountKey = createServiceAccountKey();
  const server = await startApiServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    tls: { cert: leaf.cert, key: leaf.key },
    adminToken,
    serviceCidr: '10.96.0.0/16',
    serviceAccountKey,
    ...options,
  });
  const [address] = server.addresses;
  const port = address !== undefined && 'port' in address ? address.port : 0;
  const url = `https://127.0.0.1:${port}`;
  const end = runControllers(url, { ca: ca.cert, adminToken, serviceAccountKey });
  const close = async (): Promise<void> => {
    await end();
    await server.close();
  };
  return { ...server, close, url, ca: ca.cert, adminToken };
}
