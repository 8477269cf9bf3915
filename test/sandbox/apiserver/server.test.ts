import { type PeerCertificate, checkServerIdentity, connect } from 'node:tls';
import http from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { startApiServer } from '../../../src/sandbox/apiserver/server.ts';
import { startTestServer } from './server.ts';

/** A request over a unix socket; resolves with status and body. */
function ask(
  socketPath: string,
  method: string,
  url: string,
  body?: unknown,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: 'Bearer t', 'content-type': 'application/json' };
    const request = http.request({ socketPath, method, path: url, headers }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
    });
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const pod = {
  metadata: { name: 'p' },
  spec: { containers: [{ name: 'c', image: 'i' }] },
};

test('listens on a unix socket and hands pod streams to onPodProxy', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'apiserver-'));
  const socketPath = path.join(dir, 's.sock');
  const server = await startApiServer({
    listen: [{ socketPath }, { host: '127.0.0.1', port: 0 }],
    tls: undefined,
    adminToken: 't',
    serviceCidr: '10.1.0.0/24',
    onPodProxy: ({ name, subresource, query, response }) =>
      response?.end(`${name} ${subresource} ${query.get('container')}`),
  });
  try {
    expect(server.addresses).toEqual([{ socketPath }, { host: '127.0.0.1', port: expect.any(Number) }]);
    const pods = '/api/v1/namespaces/default/pods';
    const log = `${pods}/p/log?container=c`;
    expect((await ask(socketPath, 'GET', log)).status).toBe(404);
    const accounts = '/api/v1/namespaces/default/serviceaccounts';
    expect((await ask(socketPath, 'POST', accounts, { metadata: { name: 'default' } })).status).toBe(201);
    const made = await ask(socketPath, 'POST', pods, pod);
    expect(made.status).toBe(201);
    expect(made.body).toContain('"serviceAccountToken"');
    expect(await ask(socketPath, 'GET', log)).toEqual({ status: 200, body: 'p log c' });
    expect((await ask(socketPath, 'GET', `${pods}/p/proxy`)).status).toBe(405);
  } finally {
    await server.close();
    rmSync(dir, { recursive: true, force: true });
  }
});

test('rejects when an address is taken, and frees what it had', async () => {
  const first = await startTestServer();
  const port = Number(new URL(first.url).port);
  try {
    await expect(
      startTestServer({
        listen: [
          { host: '127.0.0.1', port: 0 },
          { host: '127.0.0.1', port },
        ],
      }),
    ).rejects.toThrow(/EADDRINUSE/);
  } finally {
    await first.close();
  }
});

test('its certificate is verified by the authority for names and addresses', async () => {
  const server = await startTestServer();
  const port = Number(new URL(server.url).port);
  try {
    for (const name of ['127.0.0.1', 'localhost']) {
      const check = (_: string, certificate: PeerCertificate): Error | undefined =>
        checkServerIdentity(name, certificate);
      const socket = connect({ host: '127.0.0.1', port, ca: server.ca, checkServerIdentity: check });
      const authorized = await new Promise<boolean>((resolve, reject) => {
        socket.once('secureConnect', () => resolve(socket.authorized));
        socket.once('error', reject);
      });
      socket.destroy();
      expect(authorized).toBe(true);
    }
  } finally {
    await server.close();
  }
});
