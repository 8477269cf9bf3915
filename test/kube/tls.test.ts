import { afterEach, describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { KubeConnectionError } from '../../src/kube/errors.ts';
import { createBrokerClient } from '../../src/kube/brokerclient.ts';
import { createHttpsClient, type HttpsClientOptions } from '../../src/kube/httpsclient.ts';

const pem = (name: string): string => readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url), 'utf8');
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A TLS server that answers with the name in the client's certificate. */
async function tlsServer(): Promise<string> {
  const settings = {
    cert: pem('server.pem'),
    key: pem('server.key'),
    ca: pem('ca.pem'),
    requestCert: true,
    rejectUnauthorized: false,
  };
  const server: Server = createServer(settings, (request, response) => {
    const socket = request.socket as TLSSocket;
    response.end(JSON.stringify({ client: socket.authorized ? socket.getPeerCertificate().subject.CN : undefined }));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function ask(options: HttpsClientOptions): Promise<unknown> {
  const client = createHttpsClient(options);
  cleanups.push(() => client.close());
  return client.request('GET', '/version');
}

describe('TLS', () => {
  test('a server of the given CA is accepted, also when only insecure makes it so', async () => {
    const server = await tlsServer();
    expect(await ask({ server, ca: pem('ca.pem') })).toEqual({});
    expect(await ask({ server, insecure: true })).toEqual({});
  });

  test('a client certificate identifies us', async () => {
    const server = await tlsServer();
    const identity = { clientCert: pem('client.pem'), clientKey: pem('client.key') };
    expect(await ask({ server, ca: pem('ca.pem'), ...identity })).toEqual({ client: 'client' });
  });

  test('the system’s CAs are tried too when asked for, and only then', async () => {
    const server = await tlsServer();
    const before = getCACertificates('default');
    setDefaultCACertificates([...before, pem('ca.pem')]);
    cleanups.push(() => setDefaultCACertificates(before));
    expect(await ask({ server, ca: pem('other-ca.pem'), alsoSystemCas: true })).toEqual({});
    await expect(ask({ server, ca: pem('other-ca.pem') })).rejects.toThrow('not signed by a CA we trust');
    const broker = createBrokerClient({ server, ca: pem('other-ca.pem') });
    cleanups.push(() => broker.close());
    expect(await broker.request('GET', '/version')).toEqual({});
  });

  test('another CA, no CA and another name are refused with the reason', async () => {
    const server = await tlsServer();
    await expect(ask({ server, ca: pem('other-ca.pem') })).rejects.toThrow(
      'its certificate is not signed by a CA we trust',
    );
    await expect(ask({ server })).rejects.toThrow('its certificate is not signed by a CA we trust');
    await expect(ask({ server, ca: pem('ca.pem'), tlsServerName: 'other.example' })).rejects.toThrow(
      'its certificate is for another name',
    );
    expect(await ask({ server, ca: pem('ca.pem'), tlsServerName: 'localhost' })).toEqual({});
    await expect(ask({ server })).rejects.toBeInstanceOf(KubeConnectionError);
  });
});
