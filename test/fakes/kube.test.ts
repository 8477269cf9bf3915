import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import type { KubeClient, KubeObject } from '../../src/kube/client.ts';
import { KubeApiError } from '../../src/kube/errors.ts';
import { createHttpsClient } from '../../src/kube/httpsclient.ts';
import type { ConfigMap } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { startApiServer, type ApiServer } from '../../src/sandbox/apiserver/server.ts';
import { FakeKube } from './kube.ts';

/** The fake answers as the API server of the sandbox does, which is itself checked against recordings of the real one. */
let api: ApiServer;
let real: KubeClient;
// jest's structuredClone makes objects of another realm, which node:util then calls unequal to the same JSON
const { structuredClone: original } = globalThis;
beforeAll(async () => {
  globalThis.structuredClone = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
  api = await startApiServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    tls: undefined,
    adminToken: 'admin',
    serviceCidr: '100.66.0.0/16',
  });
  const address = api.addresses[0] as { readonly port: number };
  real = createHttpsClient({ server: `http://127.0.0.1:${address.port}`, token: 'admin' });
});
afterAll(async () => {
  globalThis.structuredClone = original;
  real.close();
  await api.close();
});

const type = RESOURCES.configMaps;
let runs = 0;

interface Step {
  readonly do:
    | 'create'
    | 'replace'
    | 'stale replace'
    | 'apply'
    | 'force'
    | 'merge'
    | 'json'
    | 'delete'
    | 'wrong uid'
    | 'list'
    | 'dry run';
  readonly name: string;
  readonly key: string;
  readonly value: string;
  readonly manager: string;
  readonly finalizer: boolean;
}

/** What can be compared of an answer. */
function normalised(object: KubeObject): unknown {
  const { name, labels, annotations, finalizers, deletionTimestamp, generation: _generation } = object.metadata;
  const { data } = object as ConfigMap;
  return {
    name,
    labels,
    annotations,
    finalizers: finalizers ?? [],
    deleting: deletionTimestamp !== undefined,
    data: data ?? {},
  };
}

async function carryOut(client: KubeClient, namespace: string, step: Step): Promise<unknown> {
  const metadata = { name: step.name, namespace, labels: { [step.key]: step.value } };
  const wanted: ConfigMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: step.finalizer ? { ...metadata, finalizers: ['test.example/hold'] } : metadata,
    data: { [step.key]: step.value },
  };
  const applied: ConfigMap = { ...wanted, metadata };
  const at = { namespace, fieldManager: step.manager };
  const current = await client.find<ConfigMap>(type, step.name, { namespace });
  const version = current?.metadata.resourceVersion ?? '1';
  const replacing = (resourceVersion: string): ConfigMap => ({
    ...wanted,
    metadata: { ...wanted.metadata, resourceVersion },
  });
  const actions: Record<Step['do'], () => Promise<unknown>> = {
    create: () => client.create(type, wanted, at),
    'dry run': () => client.create(type, wanted, { ...at, dryRun: true }),
    replace: () => client.replace(type, replacing(version), at),
    'stale replace': () => client.replace(type, replacing('1'), at),
    apply: () => client.apply(type, applied, at),
    force: () => client.apply(type, applied, { ...at, force: true }),
    merge: () =>
      client.patch(type, step.name, { data: { [step.key]: step.value, other: null } }, { ...at, patchType: 'merge' }),
    json: () =>
      client.patch(type, step.name, [{ op: 'add', path: '/data/json', value: step.value }], {
        ...at,
        patchType: 'json',
      }),
    delete: () => client.delete(type, step.name, { namespace }),
    'wrong uid': () => client.delete(type, step.name, { namespace, uid: 'not-this' }),
    list: async () => {
      const selectors = [
        `${step.key}=${step.value}`,
        `${step.key}!=${step.value}`,
        `${step.key} in (1,2)`,
        `!${step.key}`,
        step.key,
      ];
      const lists = await Promise.all(
        selectors.map((labelSelector) => client.list(type, { namespace, labelSelector })),
      );
      const own = lists.map(({ items }) =>
        items.map(normalised).filter((one) => (one as { name: string }).name.length === 1),
      );
      const field = await client.list(type, { namespace, fieldSelector: `metadata.name=${step.name}` });
      return [own, field.items.map(normalised)];
    },
  };
  try {
    const answer = await actions[step.do]();
    const after = await client.find<ConfigMap>(type, step.name, { namespace });
    const untouched = after?.metadata.resourceVersion === current?.metadata.resourceVersion;
    const shown =
      typeof answer === 'object' && answer !== null && 'metadata' in answer ? normalised(answer as KubeObject) : answer;
    return { shown, untouched, after: after === undefined ? undefined : normalised(after) };
  } catch (error) {
    if (!(error instanceof KubeApiError)) throw error;
    const managers = error.status.details?.causes
      ?.map(({ message, field }) => `${/"([^"]*)"/.exec(message ?? '')?.[1]} ${field}`)
      .sort();
    return {
      code: error.code,
      reason: error.reason,
      managers: error.reason === 'Conflict' ? (managers ?? []) : undefined,
    };
  }
}

describe('FakeKube', () => {
  test('gives the same answers as the API server, whatever is done', async () => {
    const step: fc.Arbitrary<Step> = fc.record({
      do: fc.constantFrom(
        'create',
        'replace',
        'stale replace',
        'apply',
        'force',
        'merge',
        'json',
        'delete',
        'wrong uid',
        'list',
        'dry run',
      ),
      name: fc.constantFrom('a', 'b'),
      key: fc.constantFrom('x', 'y'),
      value: fc.constantFrom('1', '2'),
      manager: fc.constantFrom('one', 'two'),
      finalizer: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (script) => {
        runs += 1;
        const namespace = `run-${runs}`;
        await real.create(RESOURCES.namespaces, { metadata: { name: namespace } });
        const fake = new FakeKube();
        for (const [index, one] of script.entries()) {
          const expected = await carryOut(real, namespace, one);
          expect({ index, step: one, answer: await carryOut(fake, namespace, one) }).toEqual({
            index,
            step: one,
            answer: expected,
          });
        }
      }),
      { numRuns: 120 },
    );
  }, 60_000);
});
