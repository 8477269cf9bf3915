import { spawnSync } from 'node:child_process';
import { hostname } from 'node:os';
import { readlinkSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { CHANGE_LEASE } from '../../src/commands/changelock.ts';
import type { Lease } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { FakeKube } from '../fakes/kube.ts';
import { good, world } from './upgrade/daemons.ts';

const NAMESPACE = 'submariner-operator';
const UPGRADE = ['upgrade', '--context', 'west', '--yes'];
/** The clock of the harness begins here, and jumps from wait to wait. */
const BEGIN = Date.UTC(2030, 0, 1);

function held(renewedMs: number, annotations: Readonly<Record<string, string>> = {}): Lease {
  const time = new Date(renewedMs).toISOString().replace('Z', '000Z');
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: CHANGE_LEASE, namespace: NAMESPACE, annotations },
    spec: {
      holderIdentity: 'carol on laptop (subctl upgrade, 123456)',
      leaseDurationSeconds: 60,
      acquireTime: '2029-12-31T23:50:00.000000Z',
      renewTime: time,
    },
  };
}

const leases = (kube: FakeKube): readonly string[] =>
  kube.all(RESOURCES.leases, NAMESPACE).map(({ metadata }) => metadata.name ?? '');

function processAnnotation(pid: number): Readonly<Record<string, string>> {
  return { 'subctl.submariner.io/process': JSON.stringify([hostname(), readlinkSync('/proc/self/ns/pid'), pid]) };
}

test('while somebody changes the cluster an upgrade is refused, with who, since when and what to do', async () => {
  const { harness, west, daemons } = await world();
  west.seed(RESOURCES.leases, held(BEGIN + 3_600_000));
  const { exitCode, stderr } = await harness.run(...UPGRADE);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(
    'cluster west is being changed by carol on laptop (subctl upgrade, 123456) since 2029-12-31T23:50:00Z',
  );
  expect(stderr).toContain('subctl upgrade --force');
  expect(daemons.replaced).toEqual([]);
  expect(leases(west)).toContain(CHANGE_LEASE);
  good(await harness.run('upgrade', '--context', 'west', '--dry-run'));
});

test('so is a join that would change it, and nothing is applied', async () => {
  const { harness, west, daemons } = await world();
  west.seed(RESOURCES.leases, held(BEGIN + 3_600_000));
  const join = ['join', 'broker-info.subm', '--context', 'west', '--yes', '--health-check-interval', '7'];
  const { exitCode, stderr } = await harness.run(...join);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('is being changed by') });
  expect(daemons.replaced).toEqual([]);
  west.drop(RESOURCES.leases, CHANGE_LEASE, NAMESPACE);
  good(await harness.run(...join));
  expect(leases(west)).not.toContain(CHANGE_LEASE);
});

test.each([
  ['has not renewed for its time', () => held(BEGIN - 61_000)],
  ['was given back', () => ({ ...held(BEGIN), spec: { holderIdentity: '' } })],
  [
    'is of a process of this machine that has ended',
    () => held(BEGIN + 3_600_000, processAnnotation(spawnSync('true').pid)),
  ],
])('a lease that %s is taken over, and given back at the end', async (_, lease) => {
  const { harness, west } = await world();
  west.seed(RESOURCES.leases, lease());
  good(await harness.run(...UPGRADE));
  expect(leases(west)).not.toContain(CHANGE_LEASE);
});

test('a process that runs, or of another machine, is not taken for dead', async () => {
  for (const annotations of [
    processAnnotation(1),
    { 'subctl.submariner.io/process': '["elsewhere","pid:[1]",4194304]' },
    { 'subctl.submariner.io/process': 'nonsense' },
  ]) {
    const { harness, west } = await world();
    west.seed(RESOURCES.leases, held(BEGIN + 3_600_000, annotations));
    expect((await harness.run(...UPGRADE)).stderr).toContain('is being changed by');
  }
});

test('--force takes over at once', async () => {
  const { harness, west } = await world();
  west.seed(RESOURCES.leases, held(BEGIN + 3_600_000));
  good(await harness.run(...UPGRADE, '--force'));
  expect(leases(west)).not.toContain(CHANGE_LEASE);
});

test('of two that begin at once one is refused', async () => {
  const { harness, west, daemons } = await world();
  let raced = false;
  daemons.misbehaviour = {
    onCall: ({ verb, resource, name }) => {
      if (verb !== 'create' || resource !== 'leases' || raced) return undefined;
      raced = true;
      west.seed(RESOURCES.leases, held(BEGIN + 3_600_000));
      expect(name ?? CHANGE_LEASE).toBe(CHANGE_LEASE);
      return undefined;
    },
  };
  const { exitCode, stderr } = await harness.run(...UPGRADE);
  expect(raced).toBe(true);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('carol on laptop') });
});

test('a lease that somebody took over meanwhile is left to them', async () => {
  const { harness, west, daemons } = await world();
  daemons.misbehaviour = {
    onCall: ({ verb, resource }) => {
      if (verb === 'delete' && resource === 'pods' && daemons.replaced.length === 2) {
        west.drop(RESOURCES.leases, CHANGE_LEASE, NAMESPACE);
        west.seed(RESOURCES.leases, held(BEGIN + 3_600_000));
      }
      return undefined;
    },
  };
  await harness.run(...UPGRADE);
  const [lease] = west.all<Lease>(RESOURCES.leases, NAMESPACE).filter(({ metadata }) => metadata.name === CHANGE_LEASE);
  expect(lease?.spec?.holderIdentity).toContain('carol');
});
