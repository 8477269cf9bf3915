import { afterEach, describe, expect, test } from '@jest/globals';
import { createServer, type Socket } from 'node:net';
import type { ServerResponse } from 'node:http';
import { KubeConnectionError } from '../../src/kube/errors.ts';
import { createHttpsClient } from '../../src/kube/httpsclient.ts';
import { Liveness } from '../../src/kube/liveness.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { createStore } from '../../src/kube/store.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { json, startServer, until } from './server.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A clock that stands still but for its sleeps, which end when the test says so. */
class SteppedClock implements Clock {
  #nowMs = 0;
  #sleeps: { readonly atMs: number; readonly wake: () => void }[] = [];

  now(): number {
    return this.#nowMs;
  }

  monotonic(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((wake) => {
      this.#sleeps.push({ atMs: this.#nowMs + ms, wake });
      signal?.addEventListener('abort', () => wake());
    });
  }

  get sleeping(): number {
    return this.#sleeps.length;
  }

  async pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    const due = this.#sleeps.filter(({ atMs }) => atMs <= this.#nowMs);
    this.#sleeps = this.#sleeps.filter(({ atMs }) => atMs > this.#nowMs);
    for (const { wake } of due) wake();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

class FakeStream {
  error: Error | undefined;

  destroy(error?: Error): void {
    this.error = error;
  }
}

describe('liveness', () => {
  interface World {
    readonly clock: SteppedClock;
    readonly liveness: Liveness;
    readonly asked: () => number;
    readonly deaths: () => number;
  }

  function world(alive: () => boolean): World {
    const clock = new SteppedClock();
    let asked = 0;
    let deaths = 0;
    const liveness = new Liveness({
      silenceMs: 100,
      clock,
      ask: async () => {
        asked += 1;
        if (!alive()) throw new Error('silent');
      },
      onDead: () => (deaths += 1),
    });
    return { clock, liveness, asked: () => asked, deaths: () => deaths };
  }

  test('a server that is heard is not asked, a silent one once in a while', async () => {
    const { clock, liveness, asked } = world(() => true);
    const stream = new FakeStream();
    const end = liveness.guard(stream);
    for (let step = 0; step < 10; step += 1) {
      await clock.pass(60);
      liveness.heard();
    }
    expect(asked()).toBe(0);
    for (let step = 0; step < 5; step += 1) await clock.pass(100);
    expect(asked()).toBeGreaterThan(3);
    expect(stream.error).toBeUndefined();
    end();
  });

  test('all streams break when no answer comes', async () => {
    let alive = true;
    const { clock, liveness, deaths } = world(() => alive);
    const streams = [new FakeStream(), new FakeStream()];
    const ends = streams.map((stream) => liveness.guard(stream));
    await clock.pass(100);
    expect(deaths()).toBe(0);
    alive = false;
    await clock.pass(100);
    expect(streams.map(({ error }) => error?.message)).toEqual(['silent', 'silent']);
    expect(deaths()).toBe(1);
    for (const end of ends) end();
  });

  test('nobody is asked when no stream is open', async () => {
    const { clock, liveness, asked } = world(() => true);
    liveness.guard(new FakeStream())();
    for (let step = 0; step < 5; step += 1) await clock.pass(200);
    expect(asked()).toBe(0);
    expect(clock.sleeping).toBe(0);
  });
});

test('a watched server that goes on accepting and says nothing more is noticed, and found again', async () => {
  let mute = false;
  const held: ServerResponse[] = [];
  const server = await startServer(({ query, path }, response) => {
    if (mute) held.push(response);
    else if (query.get('watch') === 'true') response.writeHead(200).flushHeaders();
    else if (path === '/version') json(response, 200, { gitVersion: 'v1' });
    else json(response, 200, { metadata: { resourceVersion: '1' }, items: [] });
  });
  const client = createHttpsClient({ server: server.url, livenessMs: 100, requestTimeoutMs: 500 });
  const stop = new AbortController();
  const store = createStore(client, RESOURCES.pods, { logger: silentLogger, backoff: { initialMs: 50, maxMs: 100 } });
  const running = store.run(stop.signal);
  cleanups.push(
    () => server.close(),
    () => client.close(),
    () => running,
    () => stop.abort(),
  );
  await until(() => store.synced && store.problem === undefined);
  mute = true;
  await until(() => store.problem !== undefined, 'the silence to be noticed', 15_000);
  expect(store.problem).toMatch(/no answer in time/);
  expect(store.synced).toBe(true);
  mute = false;
  await until(() => store.problem === undefined, 'the server to be found again', 15_000);
}, 30_000);

test('a server that accepts and never says anything is a problem of the first list', async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const client = createHttpsClient({ server: `http://127.0.0.1:${port}`, livenessMs: 100, requestTimeoutMs: 300 });
  cleanups.push(
    () => client.close(),
    () => sockets.forEach((socket) => socket.destroy()),
    () => server.close(),
  );
  await expect(client.list(RESOURCES.pods)).rejects.toThrow(KubeConnectionError);
});
