import { afterEach, describe, expect, test } from '@jest/globals';
import type { IncomingMessage } from 'node:http';
import { WebSocketServer, type WebSocket } from 'ws';
import { KubeApiError, KubeConnectionError } from '../../src/kube/errors.ts';
import { createHttpsClient } from '../../src/kube/httpsclient.ts';
import { json, startServer, status } from './server.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A server whose pods run what the test says. */
async function podServer(run: (socket: WebSocket, request: IncomingMessage) => void) {
  const server = await startServer((_request, response) =>
    json(response, 404, status(404, 'NotFound', 'pods "p" not found')),
  );
  const sockets = new WebSocketServer({ noServer: true });
  server.server.on('upgrade', (request, socket, head) => {
    if (request.url?.includes('/pods/p/')) sockets.handleUpgrade(request, socket, head, (ws) => run(ws, request));
    else {
      const body = JSON.stringify(status(403, 'Forbidden', 'no exec for you'));
      socket.end(`HTTP/1.1 403 Forbidden\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
    }
  });
  const client = createHttpsClient({ server: server.url, token: 'secret' });
  cleanups.push(
    () => server.close(),
    () => client.close(),
    () => sockets.clients.forEach((one) => one.terminate()),
  );
  return { server, client };
}

const frame = (channel: number, text: string): Buffer => Buffer.concat([Buffer.from([channel]), Buffer.from(text)]);
const done = (outcome: object): Buffer => frame(3, JSON.stringify(outcome));
const SUCCESS = { metadata: {}, status: 'Success' };

describe('exec', () => {
  test('collects output and the exit code of success', async () => {
    let seen: IncomingMessage | undefined;
    const { client } = await podServer((socket, request) => {
      seen = request;
      for (const part of [frame(1, 'hel'), frame(2, 'oops'), frame(1, 'lo\n'), done(SUCCESS)]) socket.send(part);
      socket.close();
    });
    expect(await client.exec('ns', 'p', ['sh', '-c', 'echo a & b'], { container: 'c' })).toEqual({
      exitCode: 0,
      stdout: 'hello\n',
      stderr: 'oops',
    });
    const url = new URL(seen?.url ?? '', 'http://x');
    expect([url.pathname, url.searchParams.getAll('command'), url.searchParams.get('container')]).toEqual([
      '/api/v1/namespaces/ns/pods/p/exec',
      ['sh', '-c', 'echo a & b'],
      'c',
    ]);
    expect(seen?.headers).toMatchObject({
      authorization: 'Bearer secret',
      'sec-websocket-protocol': 'v5.channel.k8s.io,v4.channel.k8s.io',
    });
  });

  test('gives the exit code of a failure', async () => {
    const { client } = await podServer((socket) => {
      socket.send(
        done({
          status: 'Failure',
          reason: 'NonZeroExitCode',
          message: 'command terminated with exit code 7',
          details: { causes: [{ reason: 'ExitCode', message: '7' }] },
        }),
      );
      socket.close();
    });
    expect(await client.exec('ns', 'p', ['false'])).toMatchObject({ exitCode: 7 });
  });

  test('a command that cannot be started, a refusal, a cut connection and a silent one are errors', async () => {
    let behave: (socket: WebSocket) => void = () => undefined;
    const { client } = await podServer((socket) => behave(socket));
    behave = (socket) => {
      socket.send(done({ status: 'Failure', reason: 'InternalError', message: 'executable not found' }));
      socket.close();
    };
    await expect(client.exec('ns', 'p', ['nope'])).rejects.toThrow('executable not found');
    await expect(client.exec('ns', 'other', ['x'])).rejects.toThrow('no exec for you');
    await expect(client.exec('ns', 'other', ['x'])).rejects.toBeInstanceOf(KubeApiError);
    behave = (socket) => {
      socket.send(frame(1, 'half'));
      socket.terminate();
    };
    await expect(client.exec('ns', 'p', ['x'])).rejects.toBeInstanceOf(KubeConnectionError);
    behave = () => undefined;
    await expect(client.exec('ns', 'p', ['sleep', '9'], { timeoutMs: 50 })).rejects.toThrow(
      '"sleep 9" did not end within 0.05 s',
    );
  });

  test('tells output as it comes, and gives the program its input and the end of it', async () => {
    const { client } = await podServer((socket, request) => {
      expect(new URL(request.url ?? '', 'http://x').searchParams.get('stdin')).toBe('true');
      socket.send(frame(1, 'ready\n'));
      socket.on('message', (data: Buffer) => {
        if (data[0] === 0) socket.send(frame(1, `got ${data.subarray(1).toString()}\n`));
        if (data[0] !== 255 || data[1] !== 0) return;
        socket.send(done(SUCCESS));
        socket.close();
      });
    });
    let say: (text: string) => void = () => undefined;
    const stdin = new Promise<string>((resolve) => (say = resolve));
    const onStdout = (text: string): void => {
      if (text === 'ready\n') say('stop');
    };
    expect(await client.exec('ns', 'p', ['wait'], { stdin, onStdout })).toMatchObject({ stdout: 'ready\ngot stop\n' });
  });

  test('can be cancelled, before and during the run', async () => {
    const { client } = await podServer(() => undefined);
    const stop = new AbortController();
    const running = client.exec('ns', 'p', ['sleep', '9'], { signal: stop.signal });
    setImmediate(() => stop.abort());
    await expect(running).rejects.toThrow('cancelled');
    await expect(client.exec('ns', 'p', ['x'], { signal: stop.signal })).rejects.toThrow('cancelled');
  });
});
