import { expect, test } from '@jest/globals';
import type { Submariner } from '../../src/api/types.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import type { DaemonSet } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { ExpectedError } from '../../src/runtime/errors.ts';
import type { FakeKube } from '../fakes/kube.ts';
import { Harness } from './harness.ts';
import { good, world } from './upgrade/daemons.ts';

const NAMESPACE = 'submariner-operator';
const UPGRADE = ['upgrade', '--context', 'west', '--yes'];

const IMAGES = 'localhost/subctl';
const pods = (gateway: string, agent = gateway): readonly string[] => [
  ...['west-1', 'west-2'].map((name) => `submariner-gateway on ${name}: ${IMAGES}/submariner-gateway:${gateway}`),
  ...['west-1', 'west-2', 'west-3'].map(
    (name) => `submariner-routeagent on ${name}: ${IMAGES}/submariner-route-agent:${agent}`,
  ),
];
const recorded = (kube: FakeKube): readonly unknown[] => {
  const [found] = kube.all<Submariner & KubeObject>(RESOURCES.submariners);
  return [found?.spec.version, found?.status?.version];
};
const strategies = (kube: FakeKube): readonly unknown[] =>
  kube.all<DaemonSet>(RESOURCES.daemonSets).map(({ spec }) => spec.updateStrategy?.type);
const saved = (kube: FakeKube): number => kube.all(RESOURCES.configMaps, NAMESPACE).length;

test('one route agent shows that it works, the others follow, then the standby gateway, the active one last and after it has handed over', async () => {
  const { harness, west, daemons } = await world();
  const { stderr } = good(await harness.run(...UPGRADE));
  expect(daemons.replaced).toEqual([
    'submariner-routeagent on west-3',
    'submariner-routeagent on west-2',
    'submariner-routeagent on west-1',
    'submariner-gateway on west-2',
    'submariner-gateway on west-1',
  ]);
  expect(daemons.active).toBe('west-2');
  expect(daemons.running).toEqual(pods('9.8.7'));
  expect([recorded(west), strategies(west), saved(west)]).toEqual([
    ['9.8.7', '9.8.7'],
    ['RollingUpdate', 'RollingUpdate'],
    0,
  ]);
  expect(stderr).toContain('new pods of gateways, in this order: west-2, west-1');
  expect(stderr).toMatch(/Cluster west has version 9\.8\.7/);
});

test('a second run has nothing to do, and diff finds nothing', async () => {
  const { harness, west } = await world();
  good(await harness.run(...UPGRADE));
  // Applied is only on trial; the status of DaemonSets is written by their controller; the lease is given back.
  const writes = (): number =>
    west.writes.filter(({ verb, resource }) => !['apply', 'patch'].includes(verb) && resource !== 'leases').length;
  const before = writes();
  expect(good(await harness.run(...UPGRADE)).stderr).toContain('has version 9.8.7 already, nothing to do');
  expect(writes()).toBe(before);
  good(await harness.run('diff', '--context', 'west'));
});

test('a dry run prints the plan and changes nothing', async () => {
  const { harness, west, daemons } = await world();
  const { stdout, stderr } = good(await harness.run('upgrade', '--context', 'west', '--dry-run'));
  expect(stdout).toContain('Cluster west from version 9.8.6 to 9.8.7\n');
  expect(stdout).toContain(
    `image of submariner-gateway: ${IMAGES}/submariner-gateway:9.8.6 -> ${IMAGES}/submariner-gateway:9.8.7`,
  );
  expect(stdout).toContain('setting version: 9.8.6 -> 9.8.7');
  expect(stderr).toContain('the broker east:6443 is not included');
  expect([daemons.replaced, daemons.running, saved(west)]).toEqual([[], pods('9.8.6'), 0]);
});

test('nobody agreed: nothing is changed', async () => {
  const { harness, daemons } = await world();
  const silent = await harness.run('upgrade', '--context', 'west');
  expect(silent).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('nobody agreed to the upgrade') });
  const asked = await world({ interactive: true, prompter: { confirm: async () => Promise.resolve(false) } });
  expect((await asked.harness.run('upgrade', '--context', 'west')).stderr).toContain('Error: not upgraded');
  expect([daemons.replaced, asked.daemons.replaced]).toEqual([[], []]);
});

test('a gateway that does not start: everything goes back, the active gateway was never touched', async () => {
  const { harness, west, daemons } = await world();
  daemons.misbehaviour = { trouble: (image) => (image.endsWith('gateway:9.8.7') ? 'ErrImagePull' : undefined) };
  const { exitCode, stdout, stderr } = await harness.run(...UPGRADE, '-o', 'json');
  expect(exitCode).toBe(1);
  expect(stderr).toContain('the new submariner-gateway on west-2 does not work: submariner-gateway ErrImagePull');
  expect(stderr).toContain('Everything is as before, version 9.8.6');
  expect(daemons.replaced).not.toContain('submariner-gateway on west-1');
  expect(daemons.running).toEqual(pods('9.8.6'));
  expect([recorded(west), strategies(west), saved(west), daemons.active]).toEqual([
    ['9.8.6', '9.8.6'],
    ['RollingUpdate', 'RollingUpdate'],
    0,
    'west-1',
  ]);
  expect(JSON.parse(stdout)).toMatchObject({ outcome: 'rolled back', reason: expect.stringContaining('ErrImagePull') });
  good(await harness.run('diff', '--context', 'west'));
});

test('the first route agent that does not start is the only one that is replaced', async () => {
  const { harness, daemons } = await world();
  daemons.misbehaviour = { trouble: (image) => (image.endsWith('agent:9.8.7') ? 'CrashLoopBackOff' : undefined) };
  expect((await harness.run(...UPGRADE)).exitCode).toBe(1);
  expect(daemons.replaced).toEqual(['submariner-routeagent on west-3', 'submariner-routeagent on west-3']);
  expect(daemons.running).toEqual(pods('9.8.6'));
});

test('interrupted it stops, and a second run goes on where it was', async () => {
  const controller = new AbortController();
  const { harness, west, daemons } = await world({ interrupted: controller.signal });
  daemons.misbehaviour = {
    onCall: ({ verb, resource }) => {
      if (verb === 'delete' && resource === 'pods' && daemons.replaced.length === 4) controller.abort();
      return undefined;
    },
  };
  const { exitCode, stderr } = await harness.run(...UPGRADE);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('the upgrade of cluster west was interrupted');
  expect(stderr).toContain(
    'Go on: subctl upgrade --context west; or go back: subctl upgrade --context west --rollback',
  );
  expect([recorded(west), saved(west)]).toEqual([['9.8.6', '9.8.6'], 1]);

  const again = new Harness({ west });
  const before = daemons.replaced.length;
  const outcome = good(await again.run(...UPGRADE));
  expect(outcome.stderr).toContain('an upgrade to 9.8.7 was interrupted');
  expect(daemons.replaced.slice(before)).toEqual(['submariner-gateway on west-1']);
  expect([daemons.running, recorded(west), saved(west)]).toEqual([pods('9.8.7'), ['9.8.7', '9.8.7'], 0]);
});

test('interrupted, it can be taken back as well', async () => {
  const controller = new AbortController();
  const { harness, west, daemons } = await world({ interrupted: controller.signal });
  daemons.misbehaviour = {
    onCall: ({ verb, resource }) => {
      if (verb === 'delete' && resource === 'pods' && daemons.replaced.length === 5) controller.abort();
      return undefined;
    },
  };
  await harness.run(...UPGRADE);
  const again = new Harness({ west });
  const { stderr } = good(await again.run(...UPGRADE, '--rollback'));
  expect(stderr).toContain('Cluster west has version 9.8.6 again');
  expect([daemons.running, recorded(west), saved(west)]).toEqual([pods('9.8.6'), ['9.8.6', '9.8.6'], 0]);
  const nothing = await again.run(...UPGRADE, '--rollback');
  expect(nothing).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('has no upgrade that was interrupted'),
  });
});

test('what was changed behind our back is put back', async () => {
  const { harness, west, daemons } = await world();
  good(await harness.run(...UPGRADE));
  west.drop(RESOURCES.clusterRoles, 'submariner-routeagent');
  const before = daemons.replaced.length;
  const { stderr } = good(await harness.run(...UPGRADE));
  expect(stderr).toContain('ClusterRole submariner-routeagent: missing');
  expect(west.all(RESOURCES.clusterRoles).map(({ metadata }) => metadata.name)).toContain('submariner-routeagent');
  expect(daemons.replaced).toHaveLength(before);
});

test.each([
  [['--to-version', '9.9.0'], '--to-version 9.9.0 is newer than this subctl (9.8.7)'],
  [['--to-version', '9.8.5'], 'runs version 9.8.6: 9.8.5 would be a step back'],
])('%j is refused', async (flags, message) => {
  const { harness, daemons } = await world();
  const { exitCode, stderr } = await harness.run(...UPGRADE, ...flags);
  expect([exitCode, daemons.replaced]).toEqual([1, []]);
  expect(stderr).toContain(message);
});

test('a cluster that is newer than this subctl is refused', async () => {
  const { harness, west, daemons } = await world();
  const status = { status: { version: '10.0.0' } };
  await west.patch(RESOURCES.submariners, 'submariner', status, {
    namespace: NAMESPACE,
    patchType: 'merge',
    subresource: 'status',
  });
  const { exitCode, stderr } = await harness.run(...UPGRADE);
  expect([exitCode, daemons.replaced]).toEqual([1, []]);
  expect(stderr).toContain('runs version 10.0.0, which is newer than this subctl (9.8.7)');
  expect(stderr).toContain('Hint: Use subctl 10.0.0 or newer.');
});

test('clusters that this program did not join are refused', async () => {
  const { harness, west } = await world();
  const east = await harness.run('upgrade', '--context', 'east', '--yes');
  expect(east).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('cluster east has not joined') });
  expect(east.stderr).toContain('It holds a broker only: subctl deploy-broker --context east');
  const annotations = { 'subctl.submariner.io/clustercidr-source': null };
  await west.patch(
    RESOURCES.submariners,
    'submariner',
    { metadata: { annotations } },
    { namespace: NAMESPACE, patchType: 'merge' },
  );
  const other = await harness.run(...UPGRADE);
  expect(other).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('joined by another program') });
});

test('without the Secrets new pods could not start: refused before anything', async () => {
  const { harness, west, daemons } = await world();
  west.drop(RESOURCES.secrets, 'submariner-ipsec-psk', NAMESPACE);
  const { exitCode, stderr } = await harness.run(...UPGRADE);
  expect([exitCode, daemons.replaced]).toEqual([1, []]);
  expect(stderr).toContain('Secrets submariner-ipsec-psk of namespace submariner-operator are missing');
});

test('a node that is not ready is left alone, and said', async () => {
  const { harness, west, daemons } = await world();
  west.drop(RESOURCES.nodes, 'west-3');
  west.seed(RESOURCES.nodes, {
    metadata: { name: 'west-3' },
    status: { conditions: [{ type: 'Ready', status: 'False' }] },
  } as KubeObject);
  const { stderr } = good(await harness.run(...UPGRADE));
  expect(stderr).toContain('not ready, so their pods follow when they are back: west-3');
  expect(daemons.replaced).not.toContain('submariner-routeagent on west-3');
});

const OLD: readonly KubeObject[] = [
  { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'submariner-old' } },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'submariner-old' },
  },
  {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'submariner-old', namespace: NAMESPACE, labels: { component: 'old' } },
  },
];

/** What a former version applied, what others made of the same kinds, and what both applied. */
async function withFormer(west: FakeKube): Promise<void> {
  west.showManagedFields = true;
  const { clusterRoles, clusterRoleBindings, serviceAccounts } = RESOURCES;
  const rules = [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'submariner-old' };
  const [role, binding, account] = OLD;
  await west.apply(clusterRoles, { ...role, rules } as KubeObject, { fieldManager: 'subctl' });
  await west.apply(clusterRoleBindings, { ...binding, roleRef } as KubeObject, { fieldManager: 'subctl' });
  await west.apply(serviceAccounts, account!, { fieldManager: 'subctl', namespace: NAMESPACE });
  const foreign = { ...role, metadata: { name: 'foreign' }, rules } as KubeObject;
  await west.apply(clusterRoles, foreign, { fieldManager: 'argocd' });
  const shared = { ...role, metadata: { name: 'shared' }, rules } as KubeObject;
  for (const fieldManager of ['subctl', 'argocd'])
    await west.apply(clusterRoles, shared, { fieldManager, force: true });
  await west.create(clusterRoles, { ...role, metadata: { name: 'handmade' }, rules } as KubeObject, {
    fieldManager: 'subctl',
  });
}

const roleNames = (west: FakeKube): readonly string[] =>
  west.all(RESOURCES.clusterRoles).map(({ metadata }) => metadata.name ?? '');

test('what a former version applied is shown and removed, what is of others stays', async () => {
  const { harness, west } = await world();
  await withFormer(west);
  expect((await harness.run('diff', '--context', 'west')).stdout).toContain(
    'ClusterRole submariner-old: ought not to be there',
  );
  const { stderr, stdout } = good(await harness.run(...UPGRADE, '-o', 'json'));
  expect(stderr).toContain('removed at the end, as 9.8.7 does not have it: ClusterRole submariner-old');
  expect(JSON.parse(stdout)).toMatchObject({
    objects: expect.arrayContaining([expect.objectContaining({ name: 'submariner-old', state: 'extra' })]),
  });
  expect(roleNames(west)).not.toContain('submariner-old');
  expect(roleNames(west)).toEqual(expect.arrayContaining(['foreign', 'shared', 'handmade', 'submariner-routeagent']));
  const accounts = west.all(RESOURCES.serviceAccounts, NAMESPACE).map(({ metadata }) => metadata.name);
  expect(accounts).not.toContain('submariner-old');
  good(await harness.run('diff', '--context', 'west'));
});

test('a dry run removes nothing', async () => {
  const { harness, west } = await world();
  await withFormer(west);
  const { stdout } = good(await harness.run('upgrade', '--context', 'west', '--dry-run'));
  expect(stdout).toContain(`does not have it: ServiceAccount ${NAMESPACE}/submariner-old`);
  expect(roleNames(west)).toContain('submariner-old');
});

test('what was removed comes back when the upgrade is taken back', async () => {
  const { harness, west, daemons } = await world();
  await withFormer(west);
  const rulesOf = (): unknown =>
    west
      .all<KubeObject & { readonly rules?: unknown }>(RESOURCES.clusterRoles)
      .find(({ metadata }) => metadata.name === 'submariner-old')?.rules;
  const before = rulesOf();
  let removed = false;
  daemons.misbehaviour = {
    onCall: ({ verb, resource, name }) => {
      removed ||= verb === 'delete' && resource === 'clusterroles' && name === 'submariner-old';
      const isLast = removed && verb === 'apply' && resource === 'submariners';
      if (!isLast) return undefined;
      removed = false;
      return new ExpectedError('not now');
    },
  };
  const { exitCode, stderr } = await harness.run(...UPGRADE);
  expect({ exitCode, stderr }).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('Everything is as before'),
  });
  expect(rulesOf()).toEqual(before);
});
