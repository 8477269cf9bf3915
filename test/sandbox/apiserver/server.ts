import { type ApiServer, type ApiServerOptions, startApiServer } from '../../../src/sandbox/apiserver/server.ts';
import { createCertificateAuthority, issueCertificate } from '../../../src/sandbox/certificates.ts';

/** A server on a free loopback port with a certificate of its own authority. */
export interface TestServer extends ApiServer {
  readonly url: string;
  readonly ca: string;
  readonly adminToken: string;
}

/** Starts an API server for a test; close() it afterwards. */
export async function startTestServer(options: Partial<ApiServerOptions> = {}): Promise<TestServer> {
  const ca = createCertificateAuthority();
  const leaf = issueCertificate(ca, { commonName: 'kube-apiserver', dnsNames: ['localhost'], ips: ['127.0.0.1'] });
  const adminToken = 'secret-of-the-admin';
  const server = await startApiServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    tls: { cert: leaf.cert, key: leaf.key, ca: ca.cert },
    adminToken,
    serviceCidr: '10.96.0.0/16',
    ...options,
  });
  const [address] = server.addresses;
  const port = address !== undefined && 'port' in address ? address.port : 0;
  return { ...server, url: `https://127.0.0.1:${port}`, ca: ca.cert, adminToken };
}
