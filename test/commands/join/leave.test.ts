import { expect, test } from '@jest/globals';
import { expelFromBroker } from '../../../src/commands/join/leave.ts';
import { memberManifests } from '../../../src/commands/join/member.ts';
import type { KubeObject, ResourceType } from '../../../src/kube/client.ts';
import { KubeApiError } from '../../../src/kube/errors.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { FakeKube } from '../../fakes/kube.ts';

const MEMBER = { namespace: 'broker', clusterId: 'west' };
const ACCOUNT = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'cluster-west', namespace: 'broker' } };
const PUBLISHED = [RESOURCES.clusters, RESOURCES.endpoints] as const;

function publish(kube: FakeKube, type: ResourceType, cluster: string): void {
  const spec = { cluster_id: cluster };
  kube.seed(type, { metadata: { name: cluster, namespace: 'broker' }, spec } as KubeObject);
}

/** A broker with west and east. West publishes anew what it misses there; its rights end `lagMs` after what gives them. */
function broker(lagMs: number, ends: 'rolebindings' | 'serviceaccounts') {
  const clock = new FakeClock();
  const kube = new FakeKube([{ type: RESOURCES.serviceAccounts, object: ACCOUNT }]);
  const [role, binding] = memberManifests(MEMBER);
  kube.seed(RESOURCES.roles, role!);
  kube.seed(RESOURCES.roleBindings, binding!);
  for (const type of PUBLISHED) for (const cluster of ['west', 'east']) publish(kube, type, cluster);
  const denied = new Set<string>();
  let endedMs = Number.POSITIVE_INFINITY;
  kube.onCall = ({ verb, resource, name }) => {
    if (verb !== 'delete') return undefined;
    if (denied.has(resource)) {
      const attempt = { server: 'https://broker', method: 'DELETE', path: `/${resource}/${name ?? ''}` };
      return new KubeApiError(403, { reason: 'Forbidden', message: 'not allowed' }, attempt);
    }
    if (name === 'cluster-west' && resource === ends) endedMs = clock.monotonic() + lagMs;
    return undefined;
  };
  const stop = new AbortController();
  const work = async (): Promise<void> => {
    while (!stop.signal.aborted && clock.monotonic() < endedMs) {
      for (const type of PUBLISHED) {
        if (!kube.all(type).some(({ metadata }) => metadata.name === 'west')) publish(kube, type, 'west');
      }
      await clock.sleep(20, stop.signal);
    }
  };
  const member = work();
  const expel = async () => {
    const expelled = expelFromBroker(kube, clock, MEMBER);
    const ended = expelled.catch(() => undefined);
    await clock.advance(60_000);
    await ended;
    await clock.advance(60_000);
    stop.abort();
    await member;
    return expelled;
  };
  const left = (): readonly string[] =>
    [...PUBLISHED, RESOURCES.serviceAccounts, RESOURCES.roles, RESOURCES.roleBindings].flatMap((type) =>
      kube.all(type).map(({ metadata }) => `${type.plural}/${metadata.name ?? ''}`),
    );
  return { clock, denied, expel, left };
}

const OF_EAST = ['clusters/east', 'endpoints/east'];

test.each([0, 10, 300, 900])(
  'a cluster at work does not come back, with rights that end after %d ms',
  async (lagMs) => {
    const { expel, left } = broker(lagMs, 'rolebindings');
    const { removed, claimKept } = await expel();
    expect(left()).toEqual(OF_EAST);
    expect(claimKept).toBe(false);
    const names = removed.map(({ kind, name }) => `${kind}/${name}`).toSorted();
    expect(names).toEqual([
      'Cluster/west',
      'Endpoint/west',
      'Role/cluster-west',
      'RoleBinding/cluster-west',
      'ServiceAccount/cluster-west',
    ]);
  },
);

test('nor one whose rights may not be deleted, when its token is forgotten at last', async () => {
  const { expel, left, denied } = broker(10_000, 'serviceaccounts');
  denied.add('rolebindings');
  denied.add('roles');
  expect((await expel()).claimKept).toBe(false);
  expect(left()).toEqual([...OF_EAST, 'roles/cluster-west', 'rolebindings/cluster-west']);
});

test('what another account writes comes back, and that is said', async () => {
  const { expel } = broker(120_000, 'serviceaccounts');
  await expect(expel()).rejects.toThrow('Endpoint west, Cluster west of cluster west came back on the broker for 30 s');
});

test('who may take neither its rights nor its account leaves what it published', async () => {
  const { expel, left, denied } = broker(0, 'serviceaccounts');
  for (const resource of ['rolebindings', 'roles', 'serviceaccounts']) denied.add(resource);
  const before = left();
  expect((await expel()).claimKept).toBe(true);
  expect(left()).toEqual(before);
});
