import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { readConfig } from '../../src/runtime/config.ts';
import { askEndpoint } from '../../src/runtime/debugstate.ts';
import { readEndpointsAddress, serveEndpoints, type Telemetry } from '../../src/runtime/endpoints.ts';
import { createLogger, silentLogger } from '../../src/runtime/logger.ts';
import { FakeClock } from '../fakes/clock.ts';

interface Told {
  unready: readonly string[];
  stuck: readonly string[];
  looks: number;
  finish: Promise<void>;
  failure: Error | undefined;
}

function fakeTelemetry(told: Told): Telemetry {
  return {
    unready: () => told.unready,
    stuck: () => told.stuck,
    metrics: async () => [{ name: 'm', type: 'gauge', help: 'h', samples: [{ value: 7 }] }],
    state: async () => {
      told.looks += 1;
      await told.finish;
      if (told.failure !== undefined) throw told.failure;
      return { daemon: 'engine' };
    },
  };
}

async function fetchPage(port: number, page: string, method = 'GET'): Promise<{ code: number; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port, path: page, method, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ code: response.statusCode ?? 0, body }));
    });
    call.on('error', reject);
    call.end();
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('serveEndpoints', () => {
  const stop = { now: new AbortController() };
  let told: Told;
  let served: Promise<void>;
  let port: number;

  const start = async (host = '127.0.0.1'): Promise<void> => {
    port = await new Promise((resolve) => {
      const options = { address: { host, port: 0 }, logger: silentLogger, onListening: resolve };
      served = serveEndpoints(fakeTelemetry(told), options, stop.now.signal);
    });
  };

  beforeEach(() => {
    stop.now = new AbortController();
    told = { unready: [], stuck: [], looks: 0, finish: Promise.resolve(), failure: undefined };
    served = Promise.resolve();
  });

  afterEach(async () => {
    stop.now.abort();
    await served;
  });

  test('health, readiness, metrics and state', async () => {
    await start();
    expect(await fetchPage(port, '/healthz')).toEqual({ code: 200, body: 'ok\n' });
    expect(await fetchPage(port, '/readyz?verbose')).toEqual({ code: 200, body: 'ok\n' });
    expect(await fetchPage(port, '/metrics')).toEqual({ code: 200, body: '# HELP m h\n# TYPE m gauge\nm 7\n' });
    expect(await fetchPage(port, '/debug/state')).toEqual({ code: 200, body: '{"daemon":"engine"}\n' });
    expect(await fetchPage(port, '/debug/state', 'HEAD')).toEqual({ code: 200, body: '' });
  });

  test('says why it is not ready or not healthy, each alone', async () => {
    told.unready = ['no cache', 'no driver'];
    await start();
    expect(await fetchPage(port, '/readyz')).toEqual({ code: 503, body: 'no cache\nno driver\n' });
    expect((await fetchPage(port, '/healthz')).code).toBe(200);
    told.stuck = ['the loop hangs'];
    expect(await fetchPage(port, '/healthz')).toEqual({ code: 503, body: 'the loop hangs\n' });
  });

  test.each([
    ['/nowhere', 'GET', 404],
    ['/debug', 'GET', 404],
    ['/metrics', 'POST', 405],
    ['/__proto__', 'GET', 404],
  ])('refuses %s with %s', async (page, method, code) => {
    await start();
    expect((await fetchPage(port, page, method)).code).toBe(code);
  });

  test('callers that come together share one look; the next one gets a new one', async () => {
    const finish = Promise.withResolvers<void>();
    told.finish = finish.promise;
    await start();
    const calls = [1, 2, 3].map(async () => fetchPage(port, '/debug/state'));
    await until(() => told.looks > 0);
    await fetchPage(port, '/healthz');
    finish.resolve();
    expect((await Promise.all(calls)).map(({ code }) => code)).toEqual([200, 200, 200]);
    const looks = told.looks;
    expect(looks).toBeLessThanOrEqual(3);
    await fetchPage(port, '/debug/state');
    expect(told.looks).toBe(looks + 1);
  });

  test('a look that fails is told and does not end the server', async () => {
    told.failure = new Error('ip is not installed');
    await start();
    expect(await fetchPage(port, '/debug/state')).toEqual({ code: 500, body: 'ip is not installed\n' });
    expect((await fetchPage(port, '/healthz')).code).toBe(200);
  });

  test('on a wildcard address the state is still for this machine only', async () => {
    await start('0.0.0.0');
    const own = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    const address = own.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
    expect(await askEndpoint({ host: address, port }, '/debug/state')).toBe('{"daemon":"engine"}\n');
    expect(await askEndpoint({ host: '0.0.0.0', port }, '/debug/state')).toBe('{"daemon":"engine"}\n');
  });

  test('ends while a caller holds its connection and another waits for an answer', async () => {
    told.finish = new Promise(() => undefined);
    await start();
    const waiting = fetchPage(port, '/debug/state').catch((error: NodeJS.ErrnoException) => error.code);
    await until(() => told.looks > 0);
    stop.now.abort();
    await served;
    expect(await waiting).toBe('ECONNRESET');
    await expect(fetchPage(port, '/healthz')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  test('a port that is taken is warned of once and tried again', async () => {
    const other: Server = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const taken = (other.address() as AddressInfo).port;
    const clock = new FakeClock();
    let log = '';
    const logger = createLogger({ level: 'warn', write: (line) => void (log += line) });
    const listening = Promise.withResolvers<number>();
    const options = { address: { host: '127.0.0.1', port: taken }, logger, clock, onListening: listening.resolve };
    served = serveEndpoints(fakeTelemetry(told), options, stop.now.signal);
    await until(() => clock.sleeping === 1);
    await clock.advance(15_000);
    await until(() => clock.sleeping === 1);
    expect(log.match(/EADDRINUSE/g)).toHaveLength(1);
    await new Promise((resolve) => other.close(resolve));
    await clock.advance(15_000);
    await listening.promise;
    expect((await fetchPage(taken, '/healthz')).code).toBe(200);
  });

  test('without an address nothing is served', async () => {
    await serveEndpoints(fakeTelemetry(told), { address: undefined, logger: silentLogger }, stop.now.signal);
  });
});

describe('askEndpoint', () => {
  test('nobody there, and an answer that is none', async () => {
    const server = createServer((_, response) => response.writeHead(403).end('no\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const address = { host: '127.0.0.1', port };
    await expect(askEndpoint(address, '/x')).rejects.toThrow(`http://127.0.0.1:${port}/x: 403: no`);
    await new Promise((resolve) => server.close(resolve));
    await expect(askEndpoint(address, '/x')).rejects.toThrow(/ECONNREFUSED/);
  });
});

test.each([
  [{}, { host: '127.0.0.1', port: 32780 }],
  [
    { SUBMARINER_METRICSPORT: '9100', SUBMARINER_METRICSADDRESS: '0.0.0.0' },
    { host: '0.0.0.0', port: 9100 },
  ],
  [{ SUBMARINER_METRICSPORT: '0' }, undefined],
])('address of the endpoints from %j', (env, expected) => {
  expect(readConfig(env, (read) => readEndpointsAddress(read, 32780))).toEqual(expected);
});
