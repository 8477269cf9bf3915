import { afterEach, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { KubeObject } from '../../src/kube/client.ts';
import { createHttpsClient } from '../../src/kube/httpsclient.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { createStore, type Store, type StoreOptions } from '../../src/kube/store.ts';
import { createLogger, silentLogger } from '../../src/runtime/logger.ts';
import { FakeClock, settle } from '../fakes/clock.ts';
import { FakeKube } from '../fakes/kube.ts';
import { json, startServer, status, until } from './server.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const type = RESOURCES.configMaps;
const object = (name: string, value = ''): KubeObject & { data: Record<string, string> } => ({
  metadata: { name, namespace: 'ns' },
  data: { value },
});

function setUp(kube = new FakeKube(), options: Partial<StoreOptions> = {}) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const store = createStore<KubeObject & { data?: Record<string, string> }>(kube, type, {
    namespace: 'ns',
    logger: silentLogger,
    clock,
    ...options,
  });
  let changes = 0;
  store.onChange(() => (changes += 1));
  const done = store.run(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await done;
  };
  cleanups.push(end);
  return { kube, clock, store, end, changes: () => changes };
}

const content = (store: Store<KubeObject & { data?: Record<string, string> }>): string[] =>
  store
    .list()
    .map((one) => `${one.metadata.name}=${one.data?.['value']}`)
    .sort();

describe('store', () => {
  test('lists, then follows; changes are announced once each', async () => {
    const { kube, store, changes } = setUp(new FakeKube([{ type, object: object('a', '1') }]));
    expect([store.synced, store.problem, store.list()]).toEqual([false, 'not listed yet', []]);
    await settle();
    expect([store.synced, store.problem, content(store), changes()]).toEqual([true, undefined, ['a=1'], 1]);
    kube.seed(type, object('b', '2'));
    await kube.replace(type, object('a', '3'));
    await settle();
    expect([content(store), changes()]).toEqual([['a=3', 'b=2'], 3]);
    expect(store.get('a')?.data).toEqual({ value: '3' });
    expect(store.get('a', 'other')).toBeUndefined();
    kube.drop(type, 'a', 'ns');
    await settle();
    expect([content(store), changes()]).toEqual([['b=2'], 4]);
  });

  test('an empty list makes it synced and says so', async () => {
    const { store, changes } = setUp();
    await settle();
    expect([store.synced, changes()]).toEqual([true, 1]);
  });

  test('while the server is away everything stays, then it catches up without a list', async () => {
    const { kube, clock, store } = setUp(new FakeKube([{ type, object: object('a', '1') }]));
    await settle();
    kube.down = true;
    await clock.advance(60_000);
    expect([store.synced, content(store)]).toEqual([true, ['a=1']]);
    expect(store.problem).toContain('connection refused');
    kube.drop(type, 'a', 'ns');
    kube.seed(type, object('a', '2'));
    kube.seed(type, object('b', '1'));
    kube.down = false;
    await clock.advance(30_000);
    expect([store.problem, content(store)]).toEqual([undefined, ['a=2', 'b=1']]);
    expect(kube.calls.filter(({ verb }) => verb === 'list')).toHaveLength(1);
  });

  test.each(['expired event', 'refused watch'])('410 as %s leads to a list', async (how) => {
    const { kube, clock, store } = setUp(new FakeKube([{ type, object: object('a', '1') }]));
    await settle();
    kube.down = true;
    await settle();
    kube.drop(type, 'a', 'ns');
    kube.seed(type, object('b'));
    if (how === 'refused watch') kube.compact();
    kube.down = false;
    if (how === 'expired event') {
      await clock.advance(30_000);
      kube.breakWatches('expired');
    }
    await clock.advance(60_000);
    expect([store.problem, content(store)]).toEqual([undefined, ['b=']]);
    expect(kube.calls.filter(({ verb }) => verb === 'list').length).toBeGreaterThan(1);
  });

  test('a watch the server ends in time is opened again at once, one that ends at once is not hammered', async () => {
    const { kube, clock } = setUp();
    await clock.advance(310_000);
    const watches = (): number => kube.calls.filter(({ verb }) => verb === 'watch').length;
    const before = watches();
    kube.breakWatches('ended');
    await settle();
    expect(watches()).toBe(before + 1);
    for (let index = 0; index < 20; index += 1) {
      kube.breakWatches('ended');
      await settle();
    }
    expect(watches()).toBeLessThanOrEqual(before + 3);
  });

  test('a silent watch is opened anew from where it was', async () => {
    const { kube, clock, store } = setUp(undefined, { silenceMs: 10_000 });
    await clock.advance(45_000);
    expect(kube.calls.filter(({ verb }) => verb === 'watch').length).toBe(5);
    expect(kube.calls.filter(({ verb }) => verb === 'list').length).toBe(1);
    expect(store.problem).toBeUndefined();
  });

  test('an object deleted and made again while the watch was broken is the new one', async () => {
    const { kube, clock, store } = setUp(new FakeKube([{ type, object: object('a') }]));
    await settle();
    const old = store.get('a')?.metadata.uid;
    kube.breakWatches();
    kube.drop(type, 'a', 'ns');
    const fresh = kube.seed(type, object('a')).metadata.uid;
    await clock.advance(30_000);
    expect(old).not.toBe(fresh);
    expect(store.get('a')?.metadata.uid).toBe(fresh);
  });

  test('selectors follow objects in and out', async () => {
    const { kube, store } = setUp(undefined, { labelSelector: 'in=yes' });
    await settle();
    kube.seed(type, { ...object('a'), metadata: { name: 'a', namespace: 'ns', labels: { in: 'no' } } });
    await settle();
    expect(content(store)).toEqual([]);
    await kube.patch(type, 'a', { metadata: { labels: { in: 'yes' } } }, { patchType: 'merge', namespace: 'ns' });
    await settle();
    expect(content(store)).toEqual(['a=']);
    await kube.patch(type, 'a', { metadata: { labels: { in: 'no' } } }, { patchType: 'merge', namespace: 'ns' });
    await settle();
    expect(content(store)).toEqual([]);
  });

  test('a listener that throws stops neither the others nor the store', async () => {
    const lines: string[] = [];
    const { kube, store, changes } = setUp(undefined, { logger: createLogger({ write: (line) => lines.push(line) }) });
    store.onChange(() => {
      throw new Error('bad listener');
    });
    let second = 0;
    const off = store.onChange(() => (second += 1));
    await settle();
    kube.seed(type, object('a'));
    await settle();
    off();
    kube.seed(type, object('b'));
    await settle();
    expect([content(store), changes(), second]).toEqual([['a=', 'b='], 3, 2]);
    expect(lines.join('')).toContain('bad listener');
  });

  test('one warning says that the server is away and one line that it is back', async () => {
    const lines: string[] = [];
    const { kube, clock } = setUp(undefined, { logger: createLogger({ write: (line) => lines.push(line) }) });
    await settle();
    kube.down = true;
    await clock.advance(20_000);
    kube.down = false;
    await clock.advance(30_000);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/WARN {2}cannot watch, trying again resource=configmaps/);
    expect(lines[1]).toMatch(/INFO {2}watching again/);
  });

  test('managed fields are not kept', async () => {
    const { store } = setUp(
      new FakeKube([
        { type, object: { ...object('a'), metadata: { name: 'a', namespace: 'ns', managedFields: [{}] } } },
      ]),
    );
    await settle();
    expect(store.list()[0]?.metadata).not.toHaveProperty('managedFields');
  });

  test('whatever happens to server and connection, the store ends up with what the server has', async () => {
    const name = fc.constantFrom('a', 'b', 'c');
    const step = fc.oneof(
      fc.record({ do: fc.constant('write'), name, value: fc.string({ maxLength: 3 }) }),
      fc.record({ do: fc.constant('drop'), name }),
      fc.record({
        do: fc.constantFrom('reset', 'expired', 'ended', 'compact', 'down', 'up', 'fail', 'advance', 'settle'),
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (script) => {
        const { kube, clock, store, end } = setUp();
        let failures = 0;
        kube.onCall = () => (failures-- > 0 ? new Error('injected') : undefined);
        let synced = false;
        for (const one of script) {
          const target = 'name' in one ? (one.name as string) : '';
          if (one.do === 'write') {
            kube.drop(type, target, 'ns');
            kube.seed(type, object(target, (one as { value: string }).value));
          } else if (one.do === 'drop') kube.drop(type, target, 'ns');
          else if (one.do === 'compact') kube.compact();
          else if (one.do === 'down' || one.do === 'up') kube.down = one.do === 'down';
          else if (one.do === 'fail') failures = 2;
          else if (one.do === 'advance') await clock.advance(3000);
          else if (one.do === 'settle') await settle();
          else kube.breakWatches(one.do);
          expect(store.synced || !synced).toBe(true);
          synced = store.synced;
        }
        kube.down = false;
        failures = 0;
        await clock.advance(200_000);
        expect(store.problem).toBeUndefined();
        const identity = (one: KubeObject): string =>
          `${one.metadata.name} ${one.metadata.uid} ${one.metadata.resourceVersion}`;
        expect(new Set(store.list().map(identity))).toEqual(new Set(kube.all(type, 'ns').map(identity)));
        expect(kube.watching).toBe(1);
        await end();
        expect(kube.watching).toBe(0);
      }),
      { numRuns: 80 },
    );
  }, 30_000);

  test('over http: a reset in the middle of a line and a 410 status heal', async () => {
    let phase = 0;
    const item = (name: string, resourceVersion: string): KubeObject => ({
      metadata: { name, namespace: 'ns', uid: name, resourceVersion },
    });
    const server = await startServer((request, response) => {
      if (request.query.get('watch') === null) {
        const items = phase < 2 ? [item('a', '1')] : [item('b', '9')];
        json(response, 200, { metadata: { resourceVersion: phase < 2 ? '1' : '9' }, items });
        return;
      }
      phase += 1;
      if (phase === 1) {
        response.write(`${JSON.stringify({ type: 'ADDED', object: item('c', '2') })}\n{"type":"ADD`, () =>
          setTimeout(() => response.socket?.resetAndDestroy(), 5),
        );
      } else if (phase === 2) json(response, 410, status(410, 'Expired'));
      else response.write(`${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '12' } } })}\n`);
    });
    const client = createHttpsClient({ server: server.url });
    const stop = new AbortController();
    const store = createStore<KubeObject>(client, type, {
      namespace: 'ns',
      logger: silentLogger,
      backoff: { initialMs: 2, maxMs: 4 },
    });
    const names = (): string =>
      store
        .list()
        .map((one) => one.metadata.name)
        .join();
    const states: string[] = [];
    store.onChange(() => states.push(names()));
    const done = store.run(stop.signal);
    cleanups.push(
      () => server.close(),
      () => client.close(),
      () => done,
      () => stop.abort(),
    );
    await until(() => phase >= 3 && names() === 'b', 'relisted');
    // listed, event, contact lost, listed again
    expect(states).toEqual(['a', 'a,c', 'a,c', 'b']);
    const starts = server.seen
      .filter((one) => one.query.get('watch') !== null)
      .map((one) => one.query.get('resourceVersion'));
    expect(starts.slice(0, 3)).toEqual(['1', '2', '9']);
  });
});
