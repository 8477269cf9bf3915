import { afterEach, describe, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KubeClient, KubeObject, WatchEvent } from '../../src/kube/client.ts';
import {
  KubeApiError,
  KubeConnectionError,
  isAlreadyExists,
  isConflict,
  isExpired,
  isForbidden,
  isNotFound,
} from '../../src/kube/errors.ts';
import { createHttpsClient, type HttpsClientOptions } from '../../src/kube/httpsclient.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { withAbort } from '../../src/runtime/abort.ts';
import { json, startServer, status, until, type SeenRequest, type TestServer } from './server.ts';
import type { ServerResponse } from 'node:http';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(
  answer: (request: SeenRequest, response: ServerResponse) => void,
  options: Partial<HttpsClientOptions> = {},
): Promise<{ server: TestServer; client: KubeClient }> {
  const server = await startServer(answer, options.socketPath);
  const client = createHttpsClient({ server: server.url, token: 'secret', ...options });
  cleanups.push(
    () => server.close(),
    () => client.close(),
  );
  return { server, client };
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => {
      throw new Error('did not fail');
    },
    (error: unknown) => error as Error,
  );
}

function temporaryDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'kube-'));
  cleanups.push(() => rmSync(dir, { recursive: true }));
  return dir;
}

async function collect<T>(events: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const event of events) all.push(event);
  return all;
}

const pod = (name: string): KubeObject => ({ metadata: { name, namespace: 'ns' } });

describe('requests', () => {
  test('get sends the token and names the path of a namespaced and a cluster-scoped object', async () => {
    const { server, client } = await serve((_request, response) => json(response, 200, pod('a')));
    expect(await client.get(RESOURCES.pods, 'a', { namespace: 'ns' })).toEqual(pod('a'));
    await client.get(RESOURCES.nodes, 'n/1', { namespace: 'ignored' });
    await client.get(RESOURCES.endpoints, 'e');
    expect(server.seen.map((one) => one.path)).toEqual([
      '/api/v1/namespaces/ns/pods/a',
      '/api/v1/nodes/n%2F1',
      '/apis/submariner.io/v1/namespaces/default/endpoints/e',
    ]);
    expect(server.seen[0]?.headers.authorization).toBe('Bearer secret');
  });

  test('hundred requests use one connection', async () => {
    const { server, client } = await serve((_request, response) => json(response, 200, pod('a')));
    for (let index = 0; index < 100; index += 1) await client.get(RESOURCES.pods, 'a');
    expect(server.connections()).toBe(1);
  });

  test('a signal that is aborted after the answer does not break the connection, even while the request is still sent', async () => {
    const body = 'x'.repeat(20_000_000);
    let received = 0;
    let broken = false;
    const server = createHttpServer((request, response) => {
      request.on('error', () => (broken = true)).on('data', (chunk: Buffer) => (received += chunk.length));
      request.pause();
      json(response, 200, pod('a'));
      response.on('finish', () => request.resume());
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const client = createHttpsClient({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
    cleanups.push(
      () => void server.close(),
      () => client.close(),
    );
    await withAbort(undefined, ({ signal }) => client.request('PUT', '/', body, signal));
    await until(() => broken || received >= body.length);
    expect(broken).toBe(false);
  });

  test('a list reads all pages and gives items their kind', async () => {
    const { server, client } = await serve((request, response) => {
      const from = Number(request.query.get('continue') ?? '0');
      const last = from + 2 >= 5;
      json(response, 200, {
        metadata: { resourceVersion: '77', ...(last ? {} : { continue: String(from + 2) }) },
        items: [0, 1].map((add) => pod(`p${from + add}`)).slice(0, 5 - from),
      });
    });
    const result = await client.list(RESOURCES.pods, { limit: 2, labelSelector: 'a=b' });
    expect(result.items.map((item) => item.metadata.name)).toEqual(['p0', 'p1', 'p2', 'p3', 'p4']);
    expect(result.items[0]).toMatchObject({ apiVersion: 'v1', kind: 'Pod' });
    expect(result.resourceVersion).toBe('77');
    expect(server.seen.map((one) => [one.path, one.query.get('limit'), one.query.get('labelSelector')])).toEqual(
      Array.from({ length: 3 }, () => ['/api/v1/pods', '2', 'a=b']),
    );
  });

  test('writes carry method, content type, field manager, dry run and body', async () => {
    const { server, client } = await serve((request, response) => json(response, 200, request.body ?? pod('a')));
    await client.create(RESOURCES.pods, pod('a'), { fieldManager: 'me', dryRun: true });
    await client.replace(RESOURCES.pods, pod('a'), { subresource: 'status' });
    await client.apply(
      RESOURCES.pods,
      { metadata: { ...pod('a').metadata, managedFields: [{}] } },
      { fieldManager: 'me', force: true },
    );
    await client.patch(RESOURCES.pods, 'a', { x: null }, { patchType: 'merge', namespace: 'ns' });
    await client.delete(RESOURCES.pods, 'a', { namespace: 'ns', uid: 'u', propagationPolicy: 'Foreground' });
    expect(
      server.seen.map(
        (one) => `${one.method} ${one.path}?${one.query.toString()} ${one.headers['content-type'] ?? ''}`,
      ),
    ).toEqual([
      'POST /api/v1/namespaces/ns/pods?fieldManager=me&dryRun=All application/json',
      'PUT /api/v1/namespaces/ns/pods/a/status? application/json',
      'PATCH /api/v1/namespaces/ns/pods/a?fieldManager=me&force=true application/apply-patch+yaml',
      'PATCH /api/v1/namespaces/ns/pods/a? application/merge-patch+json',
      'DELETE /api/v1/namespaces/ns/pods/a? application/json',
    ]);
    expect(server.seen[2]?.body).toEqual({ ...pod('a'), apiVersion: 'v1', kind: 'Pod' });
    expect(server.seen[4]?.body).toMatchObject({ preconditions: { uid: 'u' }, propagationPolicy: 'Foreground' });
  });

  test('find gives undefined and delete gives false for what is not there', async () => {
    const { client } = await serve((_request, response) => json(response, 404, status(404, 'NotFound')));
    expect(await client.find(RESOURCES.pods, 'a')).toBeUndefined();
    expect(await client.delete(RESOURCES.pods, 'a')).toBe(false);
    expect(isNotFound(await failure(client.get(RESOURCES.pods, 'a')))).toBe(true);
  });

  test('a unix socket and a base path work', async () => {
    const socketPath = join(temporaryDir(), 's');
    const { server } = await serve((_request, response) => json(response, 200, { gitVersion: 'v1' }), { socketPath });
    const client = createHttpsClient({ server: 'http://api.test/prefix/', socketPath });
    cleanups.push(() => client.close());
    expect(await client.request('GET', '/version')).toEqual({ gitVersion: 'v1' });
    expect(server.seen[0]).toMatchObject({ path: '/prefix/version', headers: { host: 'api.test' } });
  });

  test('text answers and logs come as text', async () => {
    const { server, client } = await serve((_request, response) => response.end('line 1\nline 2\n'));
    expect(await client.logs('ns', 'p', { tailLines: 5, container: 'c' })).toBe('line 1\nline 2\n');
    expect(await client.request('GET', '/readyz')).toBe('line 1\nline 2\n');
    expect(server.seen[0]?.query.toString()).toBe('container=c&tailLines=5');
  });

  test('impersonation and basic authentication become headers', async () => {
    const { server, client } = await serve((_request, response) => json(response, 200, {}), {
      token: undefined,
      basic: { username: 'u', password: 'p' },
      impersonate: { user: 'jane', groups: ['a', 'b'] },
    });
    await client.request('GET', '/');
    expect(server.seen[0]?.headers).toMatchObject({
      authorization: `Basic ${Buffer.from('u:p').toString('base64')}`,
      'impersonate-user': 'jane',
      'impersonate-group': 'a, b',
    });
  });
});

describe('token files', () => {
  test('a rotated token is read again after a 401 and the request repeated once', async () => {
    const tokenFile = join(temporaryDir(), 'token');
    writeFileSync(tokenFile, 'old\n');
    let valid = 'old';
    const { server, client } = await serve(
      (request, response) =>
        request.headers.authorization === `Bearer ${valid}`
          ? json(response, 200, {})
          : json(response, 401, status(401, 'Unauthorized')),
      { token: undefined, tokenFile },
    );
    await client.request('GET', '/');
    valid = 'new';
    expect((await failure(client.request('GET', '/'))).message).toContain('does not accept the credentials');
    expect(server.seen).toHaveLength(2);
    writeFileSync(tokenFile, 'new\n');
    await client.request('GET', '/');
    expect(server.seen).toHaveLength(4);
  });

  test('a missing token file is an error that names it', async () => {
    const { client } = await serve((_request, response) => json(response, 200, {}), {
      token: undefined,
      tokenFile: '/nowhere/token',
    });
    expect((await failure(client.request('GET', '/'))).message).toContain('/nowhere/token');
  });
});

describe('errors', () => {
  test.each([
    [403, 'Forbidden', isForbidden],
    [404, 'NotFound', isNotFound],
    [409, 'Conflict', isConflict],
    [409, 'AlreadyExists', isAlreadyExists],
    [410, 'Expired', isExpired],
  ])('%i %s is recognised and says what was tried where', async (code, reason, is) => {
    const { server, client } = await serve(
      (_request, response) => json(response, code, status(code, reason, 'said so')),
      {
        source: 'context east',
      },
    );
    const error = await failure(client.get(RESOURCES.pods, 'a'));
    expect(is(error)).toBe(true);
    expect([isForbidden, isNotFound, isConflict, isAlreadyExists, isExpired].filter((one) => one(error))).toEqual([is]);
    expect(error.message).toBe(
      `the API server ${server.url} (context east) refused GET /api/v1/namespaces/default/pods/a: said so (${code})`,
    );
  });

  test('an answer that is no Status becomes the message', async () => {
    const { client } = await serve((_request, response) => response.writeHead(502).end('<html>Bad Gateway</html>'));
    const error = (await failure(client.request('GET', '/'))) as KubeApiError;
    expect(error).toBeInstanceOf(KubeApiError);
    expect(error.message).toContain('Bad Gateway');
    expect(error.hint).toContain('/readyz');
  });

  test('429 with Retry-After is repeated, without it is not', async () => {
    let answers = 0;
    const { client } = await serve((request, response) => {
      answers += 1;
      if (answers === 2) json(response, 200, { ok: true });
      else json(response, 429, status(429, 'TooManyRequests'), request.path === '/wait' ? { 'retry-after': '0' } : {});
    });
    expect(await client.request('GET', '/wait')).toEqual({ ok: true });
    expect(answers).toBe(2);
    expect(await failure(client.request('GET', '/now'))).toMatchObject({ code: 429 });
    expect(answers).toBe(3);
  });

  test('a refused connection, an unknown host and a non-HTTP server are explained', async () => {
    const { server, client } = await serve(() => undefined);
    await server.close();
    const refused = (await failure(client.request('GET', '/version'))) as KubeConnectionError;
    expect(refused.message).toBe(`cannot reach the API server ${server.url}: connection refused (tried GET /version)`);
    expect(refused).toMatchObject({ code: 'ECONNREFUSED', name: 'KubeConnectionError' });
    expect(refused.hint).not.toBe('');

    const unknown = createHttpsClient({ server: 'https://no-such-host.invalid' });
    expect((await failure(unknown.request('GET', '/'))).message).toMatch(/does not resolve|DNS/);

    const junk = createServer((socket) => socket.end('SSH-2.0-x\r\n\r\n'));
    await new Promise<void>((resolve) => void junk.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => junk.close());
    const port = (junk.address() as { port: number }).port;
    const plain = createHttpsClient({ server: `http://127.0.0.1:${port}` });
    const tls = createHttpsClient({ server: `https://127.0.0.1:${port}` });
    expect((await failure(plain.request('GET', '/'))).message).toContain('does not speak HTTP');
    expect((await failure(tls.request('GET', '/'))).message).toContain('does not speak TLS');
  });

  test('a silent server is given up after the time limit', async () => {
    const { client } = await serve(() => undefined, { requestTimeoutMs: 50 });
    expect((await failure(client.request('GET', '/'))).message).toContain('no answer in time');
  });

  test('an aborted request rejects with the reason', async () => {
    const stop = new AbortController();
    const reason = new Error('enough');
    const { client } = await serve(() => stop.abort(reason));
    expect(await failure(client.request('GET', '/', undefined, stop.signal))).toBe(reason);
    expect(await failure(client.request('GET', '/', undefined, stop.signal))).toBe(reason);
  });

  test('a request on a connection the server closed meanwhile is repeated unless it is a POST', async () => {
    let kill = false;
    const { server, client } = await serve((_request, response) => {
      if (kill) {
        kill = false;
        response.socket?.resetAndDestroy();
      } else json(response, 200, {});
    });
    await client.request('GET', '/');
    kill = true;
    await client.request('GET', '/again');
    expect(server.seen.map((one) => one.path)).toEqual(['/', '/again', '/again']);
    kill = true;
    expect(await failure(client.request('POST', '/', {}))).toBeInstanceOf(KubeConnectionError);
  });
});

describe('watch', () => {
  const event = (name: string): WatchEvent<KubeObject> => ({ type: 'ADDED', object: pod(name) });

  test('events arrive as they are sent, also split inside a character, and the end ends the iteration', async () => {
    const { server, client } = await serve((_request, response) => {
      const bytes = Buffer.from(`${JSON.stringify(event('ä'))}\n${JSON.stringify(event('b'))}\n`);
      const cut = bytes.indexOf(Buffer.from('ä')) + 1;
      response.write(bytes.subarray(0, cut));
      setImmediate(() => response.end(bytes.subarray(cut)));
    });
    const events = await collect(
      client.watch(RESOURCES.pods, { namespace: 'ns', resourceVersion: '5', timeoutSeconds: 9 }),
    );
    expect(events).toEqual([event('ä'), event('b')]);
    expect(Object.fromEntries(server.seen[0]?.query ?? [])).toEqual({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: '5',
      timeoutSeconds: '9',
    });
  });

  test('aborting ends the iteration quietly and closes the connection', async () => {
    const stop = new AbortController();
    const { server, client } = await serve(
      (_request, response) => void response.write(`${JSON.stringify(event('a'))}\n`),
      {
        requestTimeoutMs: 100,
      },
    );
    const seen: unknown[] = [];
    for await (const one of client.watch(RESOURCES.pods, { signal: stop.signal })) {
      seen.push(one);
      stop.abort();
    }
    expect(seen).toHaveLength(1);
    const open = (): Promise<number> =>
      new Promise((resolve) => server.server.getConnections((_error, count) => resolve(count)));
    let count = await open();
    await until(() => {
      void open().then((now) => (count = now));
      return count === 0;
    }, 'connection closed');
  });

  test.each([
    ['a reset', (response: ServerResponse) => response.socket?.resetAndDestroy()],
    ['half a line', (response: ServerResponse) => response.end('{"type":"ADD')],
    ['no watch event', (response: ServerResponse) => response.end('"hello"\n')],
  ])('%s is a connection error', async (_what, end) => {
    const { server, client } = await serve((_request, response) => {
      response.write(`${JSON.stringify(event('a'))}\n`, () => setImmediate(() => end(response)));
    });
    const error = await failure(collect(client.watch(RESOURCES.pods, {})));
    expect(error).toBeInstanceOf(KubeConnectionError);
    expect(error.message).toContain(server.url);
  });

  test('a server behind a proxy that accepts and says nothing is given up after the request timeout', async () => {
    const sockets: Duplex[] = [];
    const proxy = createHttpServer().on('connect', (_request, socket) => {
      sockets.push(socket);
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    const client = createHttpsClient({
      server: 'https://192.0.2.1:6443',
      proxyUrl: `http://127.0.0.1:${port}`,
      requestTimeoutMs: 50,
    });
    try {
      const error = await failure(client.list(RESOURCES.pods));
      expect(error).toMatchObject({ code: 'ETIMEDOUT' });
      expect(error.message).toContain('no answer in time');
      expect(sockets).toHaveLength(1);
    } finally {
      client.close();
      for (const socket of sockets) socket.destroy();
      proxy.close();
    }
  });

  test('a refused watch is an API error', async () => {
    const { client } = await serve((_request, response) => json(response, 410, status(410, 'Expired')));
    expect(isExpired(await failure(collect(client.watch(RESOURCES.pods, {}))))).toBe(true);
  });
});
