import { createHttpsClient } from '../../../src/kube/httpsclient.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { type ApiServer, type ApiServerOptions, startApiServer } from '../../../src/sandbox/apiserver/server.ts';
import { createCertificateAuthority, issueCertificate } from '../../../src/sandbox/certificates.ts';
import { runPlatformControllers } from '../../../src/sandbox/platform/run.ts';
import { createServiceAccountKey } from '../../../src/sandbox/jwt.ts';

/** A server on a free loopback port with a certificate of its own authority. */
export interface TestServer extends ApiServer {
  readonly url: string;
  readonly ca: string;
  readonly adminToken: string;
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
  const client = createHttpsClient({ server: url, ca: ca.cert, token: adminToken });
  const stop = new AbortController();
  const running = runPlatformControllers(
    { client, logger: silentLogger, clock: systemClock, ca: ca.cert, serviceAccountKey },
    stop.signal,
  );
  const close = async (): Promise<void> => {
    stop.abort();
    await running;
    client.close();
    await server.close();
  };
  return { ...server, close, url, ca: ca.cert, adminToken };
}
