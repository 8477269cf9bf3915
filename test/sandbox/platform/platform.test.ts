import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { KubeObject, OwnerReference, ResourceType } from '../../../src/kube/client.ts';
import type { ConfigMap, CustomResourceDefinition, Pod, Secret, ServiceAccount } from '../../../src/kube/objects.ts';
import { RESOURCES, apiVersionOf } from '../../../src/kube/resources.ts';
import { createLogger } from '../../../src/runtime/logger.ts';
import { planGarbage, type Found, type GarbageStep } from '../../../src/sandbox/platform/garbage-plan.ts';
import { runPlatformControllers } from '../../../src/sandbox/platform/run.ts';
import { planToken } from '../../../src/sandbox/platform/tokens.ts';
import { FakeClock, settle } from '../../fakes/clock.ts';
import { FakeKube } from '../../fakes/kube.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const KEY = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const account: ServiceAccount = { metadata: { name: 'admin', namespace: 'broker', uid: 'uid-1' } };

function tokenSecret(change: Partial<Secret> & { readonly uid?: string } = {}): Secret {
  const annotations = {
    'kubernetes.io/service-account.name': 'admin',
    ...(change.uid === undefined ? {} : { 'kubernetes.io/service-account.uid': change.uid }),
  };
  return {
    metadata: { name: 'admin-token', namespace: 'broker', annotations },
    type: 'kubernetes.io/service-account-token',
    ...change,
  };
}

describe('token Secrets', () => {
  test('get a token of their account that the public key verifies', () => {
    const step = planToken(tokenSecret(), [account], 'CA', KEY);
    if (step?.kind !== 'fill') throw new Error('nothing to fill');
    const { data, metadata } = step.patch as { readonly data: Record<string, string>; readonly metadata: object };
    expect(metadata).toEqual({ annotations: { 'kubernetes.io/service-account.uid': 'uid-1' } });
    const decode = (text = ''): string => Buffer.from(text, 'base64').toString();
    expect([decode(data['ca.crt']), decode(data['namespace'])]).toEqual(['CA', 'broker']);
    const [header = '', claims = '', signature = ''] = decode(data['token']).split('.');
    const key = { key: createPublicKey(KEY), dsaEncoding: 'ieee-p1363' } as const;
    expect(verify('sha256', Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, 'base64url'))).toBe(true);
    expect(JSON.parse(decode(claims))).toMatchObject({
      sub: 'system:serviceaccount:broker:admin',
      'kubernetes.io/serviceaccount/secret.name': 'admin-token',
    });
  });

  test('are left alone once filled, and when they are of another type', () => {
    expect(planToken(tokenSecret({ uid: 'uid-1', data: { token: 'x' } }), [account], 'CA', KEY)).toBeUndefined();
    expect(planToken(tokenSecret({ type: 'Opaque' }), [], 'CA', KEY)).toBeUndefined();
  });

  test('go with their account, also when another has taken its name', () => {
    expect(planToken(tokenSecret(), [], 'CA', KEY)?.kind).toBe('remove');
    expect(planToken(tokenSecret({ uid: 'uid-0', data: { token: 'x' } }), [account], 'CA', KEY)?.kind).toBe('remove');
  });
});

interface Shape {
  readonly owners?: readonly string[];
  readonly finalizers?: readonly string[];
  readonly going?: boolean;
}

function found(name: string, { owners = [], finalizers = [], going = false }: Shape = {}): Found {
  const ownerReferences = owners.map((uid): OwnerReference => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    name: uid,
    uid,
    blockOwnerDeletion: true,
  }));
  const metadata = {
    name,
    uid: name,
    ownerReferences,
    finalizers,
    ...(going ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
  };
  return { type: RESOURCES.configMaps, object: { metadata } };
}

function described(steps: readonly GarbageStep[]): readonly string[] {
  return steps.map((step) => {
    const detail =
      step.kind === 'owners' ? step.owners.map(({ uid }) => uid) : step.kind === 'finalizers' ? step.finalizers : [];
    return [step.kind, step.found.object.metadata.name, ...detail].join(' ');
  });
}

describe('garbage', () => {
  test('may be what has an owner that is not known', () => {
    const all = [
      found('a'),
      found('kept', { owners: ['a', 'gone'] }),
      found('lost', { owners: ['gone'] }),
      found('free'),
    ];
    expect(described(planGarbage(all))).toEqual(['dangling kept', 'dangling lost']);
  });

  test('foreground: dependents first, then the owner', () => {
    const owner = found('owner', { going: true, finalizers: ['foregroundDeletion', 'x'] });
    expect(described(planGarbage([owner, found('child', { owners: ['owner'] })]))).toEqual(['delete child']);
    expect(described(planGarbage([owner, found('child', { owners: ['owner'], going: true })]))).toEqual([]);
    expect(described(planGarbage([owner]))).toEqual(['finalizers owner x']);
  });

  test('orphan: dependents are set free, then the owner goes', () => {
    const owner = found('owner', { going: true, finalizers: ['orphan'] });
    expect(described(planGarbage([owner, found('child', { owners: ['owner', 'b'] }), found('b')]))).toEqual([
      'owners child b',
    ]);
    expect(described(planGarbage([owner]))).toEqual(['finalizers owner']);
  });
});

describe('platform controllers', () => {
  let stop: AbortController;
  let running: Promise<void> = Promise.resolve();
  let kube: FakeKube;

  beforeEach(() => {
    stop = new AbortController();
  });

  afterEach(async () => {
    stop.abort();
    kube.breakWatches('ended');
    await running;
  });

  const served: readonly ResourceType[] = [
    RESOURCES.namespaces,
    RESOURCES.pods,
    RESOURCES.configMaps,
    RESOURCES.secrets,
    RESOURCES.serviceAccounts,
  ];

  /** Discovery, and the end of a namespace. */
  function answer(method: string, path: string): unknown {
    if (path === '/apis')
      return {
        groups: [
          { name: 'apps', preferredVersion: { groupVersion: 'apps/v1' }, versions: [{ groupVersion: 'apps/v1' }] },
        ],
      };
    const listed = (types: readonly ResourceType[]) =>
      types.map(({ plural, kind, namespaced }) => ({ name: plural, kind, namespaced, verbs: ['list', 'delete'] }));
    if (path === '/api/v1')
      return {
        groupVersion: 'v1',
        resources: [...listed(served), { name: 'pods/status', kind: 'Pod', namespaced: true, verbs: ['get'] }],
      };
    if (path === '/apis/apps/v1') return { groupVersion: 'apps/v1', resources: listed([RESOURCES.replicaSets]) };
    if (method !== 'PUT' || !path.endsWith('/finalize')) return undefined;
    kube.drop(RESOURCES.namespaces, path.split('/')[4] ?? '');
    return {};
  }

  test('furnish namespaces, fill tokens, collect garbage and end namespaces', async () => {
    kube = new FakeKube();
    kube.onRequest = answer;
    const clock = new FakeClock();
    const terminating = { name: 'going', deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['kubernetes'] };
    kube.seed<KubeObject>(RESOURCES.namespaces, { metadata: { name: 'broker' } });
    kube.seed<KubeObject>(RESOURCES.namespaces, { metadata: terminating });
    kube.seed<ConfigMap>(RESOURCES.configMaps, { metadata: { name: 'inside', namespace: 'going' } });
    kube.seed(RESOURCES.serviceAccounts, account);
    kube.seed(RESOURCES.secrets, tokenSecret());
    const gone = {
      apiVersion: apiVersionOf(RESOURCES.replicaSets),
      kind: 'ReplicaSet',
      name: 'gone',
      uid: 'gone',
      controller: true,
    };
    kube.seed<Pod>(RESOURCES.pods, {
      metadata: { name: 'lost', namespace: 'broker', ownerReferences: [gone] },
      spec: { containers: [] },
    });
    const logger = createLogger({ level: 'error', write: () => undefined, now: () => 0 });
    running = runPlatformControllers({ client: kube, logger, clock, ca: 'CA', serviceAccountKey: KEY }, stop.signal);
    for (let round = 0; round < 40 && kube.all(RESOURCES.namespaces).length > 1; round += 1) {
      await settle();
      await clock.advance(500);
    }
    expect(kube.all(RESOURCES.namespaces).map(({ metadata }) => metadata.name)).toEqual(['broker']);
    expect(kube.all(RESOURCES.configMaps, 'going')).toEqual([]);
    expect(kube.all(RESOURCES.pods)).toEqual([]);
    expect(kube.all(RESOURCES.serviceAccounts, 'broker').map(({ metadata }) => metadata.name)).toEqual([
      'admin',
      'default',
    ]);
    expect(kube.all<ConfigMap>(RESOURCES.configMaps, 'broker')).toMatchObject([
      { metadata: { name: 'kube-root-ca.crt' }, data: { 'ca.crt': 'CA' } },
    ]);
    expect(kube.all<Secret>(RESOURCES.secrets)[0]?.data?.['token']).toBeDefined();
  });

  test('no namespace ends before the kind of an established CRD is listed', async () => {
    kube = new FakeKube();
    const clock = new FakeClock();
    const ideas: ResourceType = { group: 'x.io', version: 'v1', plural: 'ideas', kind: 'Idea', namespaced: true };
    let listed = false;
    kube.onRequest = (method, path) => {
      const version = { groupVersion: 'x.io/v1' };
      if (path === '/apis' && listed)
        return { groups: [{ name: 'x.io', preferredVersion: version, versions: [version] }] };
      if (path === '/apis/x.io/v1')
        return {
          ...version,
          resources: [{ name: 'ideas', kind: 'Idea', namespaced: true, verbs: ['list', 'delete'] }],
        };
      return answer(method, path);
    };
    kube.seed<CustomResourceDefinition>(RESOURCES.crds, {
      metadata: { name: 'ideas.x.io' },
      spec: { group: 'x.io', names: { plural: 'ideas', kind: 'Idea' }, scope: 'Namespaced', versions: [] },
      status: { conditions: [{ type: 'Established', status: 'True' }] },
    });
    const terminating = { name: 'going', deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['kubernetes'] };
    kube.seed<KubeObject>(RESOURCES.namespaces, { metadata: terminating });
    kube.seed<KubeObject>(ideas, { metadata: { name: 'one', namespace: 'going' } });
    const logger = createLogger({ level: 'error', write: () => undefined, now: () => 0 });
    running = runPlatformControllers({ client: kube, logger, clock, ca: '', serviceAccountKey: KEY }, stop.signal);
    const rounds = async (count: number): Promise<void> => {
      for (let round = 0; round < count; round += 1) {
        await settle();
        await clock.advance(500);
      }
    };
    await rounds(20);
    expect(kube.all(RESOURCES.namespaces)).toHaveLength(1);
    listed = true;
    for (let round = 0; round < 400 && kube.all(RESOURCES.namespaces).length > 0; round += 1) await rounds(1);
    expect(kube.all(RESOURCES.namespaces)).toEqual([]);
    expect(kube.all(ideas)).toEqual([]);
  });
});
