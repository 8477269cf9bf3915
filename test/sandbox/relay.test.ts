import { createServer, connect, type Server, type Socket } from 'node:net';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createLogger } from '../../src/runtime/logger.ts';
import { runRelay, startRelay, type Relay } from '../../src/sandbox/relay.ts';

const logger = createLogger({ level: 'error', write: () => undefined, now: () => 0 });
let dir: string;
let upstream: Server;
let relay: Relay;

beforeEach(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'sbx-relay-'));
  upstream = createServer((socket) => socket.pipe(socket));
  const socketPath = path.join(dir, 'east.sock');
  await new Promise<void>((resolve) => upstream.listen(socketPath, resolve));
  relay = await startRelay(
    { port: 0, targets: { '198.18.0.11:6443': socketPath, '198.18.0.12:6443': path.join(dir, 'gone.sock') } },
    logger,
  );
});

afterEach(async () => {
  await relay.close();
  upstream.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Opens a connection to the relay and sends `text`; resolves with all that came back once `enough` holds or it is closed. */
function talk(text: string, enough: (answer: string) => boolean): Promise<{ answer: string; socket: Socket }> {
  return new Promise((resolve, reject) => {
    const socket = connect(relay.port, '127.0.0.1');
    let answer = '';
    const finish = (): void => resolve({ answer, socket });
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString();
      if (enough(answer)) finish();
    });
    socket.on('close', finish);
    socket.on('error', reject);
    socket.write(text);
  });
}

const tunnel = (target: string): string => `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`;

test('carries bytes in both directions, also those sent together with the request', async () => {
  const { answer, socket } = await talk(`${tunnel('198.18.0.11:6443')}early`, (text) => text.endsWith('early'));
  expect(answer).toMatch(/^HTTP\/1\.1 200 .*\r\n\r\nearly$/s);
  const echoed = new Promise<string>((resolve) => socket.once('data', (chunk: Buffer) => resolve(chunk.toString())));
  socket.write('later');
  expect(await echoed).toBe('later');
  socket.destroy();
});

test('refuses every other address and says which it knows', async () => {
  const { answer } = await talk(tunnel('example.com:443'), () => false);
  expect(answer).toMatch(/^HTTP\/1\.1 403 /);
  expect(answer).toContain('198.18.0.11:6443, 198.18.0.12:6443');
});

test('says that an API server is away', async () => {
  const { answer } = await talk(tunnel('198.18.0.12:6443'), () => false);
  expect(answer).toMatch(/^HTTP\/1\.1 502 /);
});

test('is no ordinary proxy or web server', async () => {
  const { answer, socket } = await talk('GET http://198.18.0.11:6443/ HTTP/1.1\r\nHost: x\r\n\r\n', (text) =>
    text.includes('Only CONNECT'),
  );
  expect(answer).toMatch(/^HTTP\/1\.1 405 /);
  socket.destroy();
});

test('writes its port and ends, connections too, when it is told to', async () => {
  const stop = new AbortController();
  const portFile = path.join(dir, 'port');
  const targets = { '198.18.0.11:6443': path.join(dir, 'east.sock') };
  const running = runRelay({ port: 0, targets, portFile }, stop.signal, logger);
  let port = '';
  for (
    const end = Date.now() + 5000;
    port === '' && Date.now() < end;
    await new Promise((resolve) => setImmediate(resolve))
  ) {
    try {
      port = readFileSync(portFile, 'utf8');
    } catch {
      continue;
    }
  }
  const socket = connect(Number(port), '127.0.0.1');
  await new Promise((resolve) => socket.once('connect', resolve));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined);
  stop.abort();
  await running;
  await closed;
});
