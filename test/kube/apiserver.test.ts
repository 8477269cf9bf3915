import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { fileURLToPath } from 'node:url';
import { applyObjects } from '../../src/kube/apply.ts';
import type { KubeClient, KubeObject } from '../../src/kube/client.ts';
import { isAlreadyExists, isConflict, isForbidden, isNotFound, isUnauthorized } from '../../src/kube/errors.ts';
import { createHttpsClient } from '../../src/kube/httpsclient.ts';
import { createLeaseElector } from '../../src/kube/lease.ts';
import { createMirror } from '../../src/kube/mirror.ts';
import type { ConfigMap, Lease } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { createStore } from '../../src/kube/store.ts';
import { renderTemplates } from '../../src/kube/templates.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { startApiServer } from '../../src/sandbox/apiserver/server.ts';
import { assetsOf, startRealServer } from '../apiserver.ts';
import { until } from './server.ts';

/** Our client against the API server of the sandbox, or the kube-apiserver of KUBEBUILDER_ASSETS, over real connections. */
const assets = assetsOf();
/** A real server takes its time to start and to end. */
if (assets !== undefined) jest.setTimeout(900_000);
const PATIENCE_MS = assets === undefined ? 5000 : 60_000;

let cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.toReversed()) await cleanup();
  cleanups = [];
});

interface Running {
  /** Makes the server forget history; a real one does it by itself. */
  readonly compact: () => void;
  readonly client: KubeClient;
  /** A client with another token, or none. */
  readonly as: (token?: string) => KubeClient;
}

async function startReal(dir: string): Promise<Running> {
  const started = await startRealServer(dir, { serviceCidr: '100.66.0.0/16' });
  const { url: server, ca, adminToken } = started;
  const close = (): ReturnType<typeof started.close> => started.close();
  const as = (token?: string): KubeClient =>
    createHttpsClient({ server, ca, ...(token === undefined ? {} : { token }) });
  const client = as(adminToken);
  cleanups.push(close, () => client.close());
  return { compact: () => undefined, client, as };
}

async function start(): Promise<Running> {
  return assets === undefined ? startEmbedded() : startReal(assets);
}

async function startEmbedded(): Promise<Running> {
  const api = await startApiServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    tls: undefined,
    adminToken: 'admin-token',
    serviceCidr: '100.66.0.0/16',
  });
  const address = api.addresses[0] as { readonly port: number };
  const server = `http://127.0.0.1:${address.port}`;
  const as = (token?: string): KubeClient => createHttpsClient({ server, ...(token === undefined ? {} : { token }) });
  const client = as('admin-token');
  cleanups.push(
    () => api.close(),
    () => client.close(),
  );
  return { compact: () => api.compact(), client, as };
}

async function inBackground(run: (signal: AbortSignal) => Promise<void>): Promise<() => Promise<void>> {
  const stop = new AbortController();
  const done = run(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await done;
  };
  cleanups.push(end);
  return end;
}

const configMap = (name: string, value: string): ConfigMap => ({
  metadata: { name, namespace: 'default' },
  data: { value },
});
const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'did not fail',
    (error: unknown) => error,
  );

let running: Running;
beforeEach(async () => {
  running = await start();
});

describe('client', () => {
  test('creates, reads, lists in pages, replaces, patches and deletes', async () => {
    const { client } = running;
    for (const name of ['a', 'b', 'c', 'd', 'e']) await client.create(RESOURCES.configMaps, configMap(name, '1'));
    const { items } = await client.list<ConfigMap>(RESOURCES.configMaps, { namespace: 'default', limit: 2 });
    expect(
      items.map(({ metadata, kind }) => `${kind} ${metadata.name}`).filter((one) => !one.includes('kube-')),
    ).toEqual(['a', 'b', 'c', 'd', 'e'].map((name) => `ConfigMap ${name}`));
    const a = await client.get<ConfigMap>(RESOURCES.configMaps, 'a');
    const replaced = await client.replace(RESOURCES.configMaps, { ...a, data: { value: '2' } });
    expect(replaced.data).toEqual({ value: '2' });
    expect(isConflict(await failure(client.replace(RESOURCES.configMaps, { ...a, data: {} })))).toBe(true);
    expect(isAlreadyExists(await failure(client.create(RESOURCES.configMaps, configMap('a', ''))))).toBe(true);
    await client.patch(RESOURCES.configMaps, 'a', { data: { more: 'x' } }, { patchType: 'merge' });
    await client.patch(RESOURCES.configMaps, 'a', [{ op: 'remove', path: '/data/value' }], { patchType: 'json' });
    expect((await client.get<ConfigMap>(RESOURCES.configMaps, 'a')).data).toEqual({ more: 'x' });
    expect(await client.delete(RESOURCES.configMaps, 'a')).toBe(true);
    expect(await client.delete(RESOURCES.configMaps, 'a')).toBe(false);
    expect(isNotFound(await failure(client.get(RESOURCES.configMaps, 'a')))).toBe(true);
    expect(await client.request('GET', '/version')).toHaveProperty('gitVersion');
  });

  test('a wrong token is unauthorized, nobody is forbidden', async () => {
    const wrong = running.as('wrong');
    const nobody = running.as();
    cleanups.push(
      () => wrong.close(),
      () => nobody.close(),
    );
    expect(isUnauthorized(await failure(wrong.list(RESOURCES.pods)))).toBe(true);
    expect(isForbidden(await failure(nobody.list(RESOURCES.pods)))).toBe(true);
  });
});

describe('applyObjects', () => {
  test('our own manifests apply, twice without a change, and a foreign field manager is named', async () => {
    const { client } = running;
    const crds = renderTemplates(fileURLToPath(new URL('../../templates/crds', import.meta.url)), {});
    const namespace: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'operator' } };
    const daemonSet = (image: string): KubeObject & { spec: unknown } => ({
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'd', namespace: 'operator' },
      spec: {
        selector: { matchLabels: { app: 'd' } },
        template: { metadata: { labels: { app: 'd' } }, spec: { containers: [{ name: 'c', image }] } },
      },
    });
    const cluster = {
      apiVersion: 'submariner.io/v1',
      kind: 'Cluster',
      metadata: { name: 'east', namespace: 'operator' },
      spec: { cluster_id: 'east', service_cidr: [], cluster_cidr: [], global_cidr: [] },
    };
    const objects = [daemonSet('a'), cluster, namespace, ...crds];
    const apply = async (all: readonly KubeObject[], dryRun = false): Promise<string[]> => {
      const results = await applyObjects(client, all, { fieldManager: 'subctl', dryRun });
      return results.map(({ object, outcome }) => `${object.kind} ${outcome}`);
    };
    expect(new Set(await apply(objects, true))).toEqual(
      new Set(['Namespace created', 'CustomResourceDefinition created', 'Cluster created', 'DaemonSet created']),
    );
    expect(await client.find(RESOURCES.namespaces, 'operator')).toBeUndefined();
    expect(new Set((await apply(objects)).map((one) => one.split(' ')[1]))).toEqual(new Set(['created']));
    expect(new Set((await apply(objects)).map((one) => one.split(' ')[1]))).toEqual(new Set(['unchanged']));
    expect(await apply([daemonSet('b')])).toEqual(['DaemonSet configured']);
    await client.patch(
      RESOURCES.daemonSets,
      'd',
      { spec: { template: { spec: { containers: [{ name: 'c', image: 'edited' }] } } } },
      { patchType: 'strategic', namespace: 'operator', fieldManager: 'kubectl-edit' },
    );
    await expect(apply([daemonSet('c')])).rejects.toThrow(/image \(managed by kubectl-edit\)/);
  });
});

describe('store', () => {
  test('follows what happens, also when the history is forgotten', async () => {
    const { client, compact } = running;
    const store = createStore<ConfigMap>(client, RESOURCES.configMaps, {
      namespace: 'default',
      labelSelector: 'mine',
      logger: silentLogger,
      backoff: { initialMs: 5, maxMs: 50 },
    });
    await inBackground((signal) => store.run(signal));
    const mine = (name: string, value: string): ConfigMap => ({
      ...configMap(name, value),
      metadata: { name, namespace: 'default', labels: { mine: '' } },
    });
    const values = (): string =>
      store
        .list()
        .map(({ metadata, data }) => `${metadata.name}${data?.['value']}`)
        .sort()
        .join();
    await client.create(RESOURCES.configMaps, mine('a', '1'));
    await client.create(RESOURCES.configMaps, configMap('not-mine', '1'));
    await until(() => values() === 'a1', 'created', PATIENCE_MS);
    await client.patch(RESOURCES.configMaps, 'a', { data: { value: '2' } }, { patchType: 'merge' });
    await client.create(RESOURCES.configMaps, mine('b', '1'));
    await until(() => values() === 'a2,b1', 'changed', PATIENCE_MS);
    compact();
    await client.delete(RESOURCES.configMaps, 'a');
    await until(() => values() === 'b1', 'deleted', PATIENCE_MS);
    expect(store.problem).toBeUndefined();
  });
});

describe('elector', () => {
  test('of two candidates one leads; when it stops the other follows at once', async () => {
    const { client } = running;
    const candidates = await Promise.all(
      ['a', 'b'].map(async (identity) => {
        const store = createStore<Lease>(client, RESOURCES.leases, { namespace: 'default', logger: silentLogger });
        const elector = createLeaseElector({
          client,
          namespace: 'default',
          name: 'lock',
          identity,
          logger: silentLogger,
          store,
        });
        await inBackground((signal) => store.run(signal));
        return { elector, stop: await inBackground((signal) => elector.run(signal)) };
      }),
    );
    await until(() => candidates.some(({ elector }) => elector.leader), 'a leader', PATIENCE_MS);
    await until(() => candidates.every(({ elector }) => elector.holder !== undefined), 'both see it', PATIENCE_MS);
    expect(candidates.filter(({ elector }) => elector.leader)).toHaveLength(1);
    const first = candidates.find(({ elector }) => elector.leader)!;
    const second = candidates.find((one) => one !== first)!;
    await first.stop();
    await until(() => second.elector.leader, 'the other leads', assets === undefined ? 1000 : PATIENCE_MS);
    const lease = await client.get<Lease>(RESOURCES.leases, 'lock');
    expect(lease.spec).toMatchObject({ leaseTransitions: 1, leaseDurationSeconds: 5 });
    expect(lease.spec?.renewTime).toMatch(/\.\d{6}Z$/);
  });
});

describe('mirror', () => {
  test('Endpoints travel between three API servers through the broker', async () => {
    const broker = running;
    const members = [await start(), await start()];
    const crds = renderTemplates(fileURLToPath(new URL('../../templates/crds', import.meta.url)), {});
    for (const { client } of [broker, ...members]) await applyObjects(client, crds, { fieldManager: 'subctl' });
    const ids = ['east', 'west'];
    for (const [index, { client }] of members.entries()) {
      const mirror = createMirror({
        clusterId: ids[index]!,
        local: { client, namespace: 'default' },
        broker: { client: broker.client, namespace: 'default' },
        logger: silentLogger,
      });
      await inBackground((signal) => mirror.run(signal));
      await client.create(RESOURCES.endpoints, {
        metadata: { name: `${ids[index]}-e`, namespace: 'default' },
        spec: {
          cluster_id: ids[index],
          cable_name: 'c',
          hostname: 'h',
          subnets: ['10.0.0.0/16'],
          private_ip: '10.0.0.1',
          public_ip: '',
          nat_enabled: false,
          backend: 'vxlan',
        },
      } as KubeObject);
    }
    const seen = async (client: KubeClient): Promise<string> => {
      const { items } = await client.list(RESOURCES.endpoints, { namespace: 'default' });
      return items
        .map(({ metadata }) => `${metadata.name}:${metadata.labels?.['submariner-io/clusterID'] ?? '-'}`)
        .join();
    };
    const states = ['', '', ''];
    await until(
      () => {
        [broker, ...members].forEach(
          ({ client }, index) =>
            void seen(client).then(
              (state) => (states[index] = state),
              () => undefined,
            ),
        );
        return (
          states.join(' | ') ===
          'east-gateway-0:east,west-gateway-0:west | east-e:-,west-gateway-0:west | east-gateway-0:east,west-e:-'
        );
      },
      'all alike',
      PATIENCE_MS,
    );
  });
});
