import { expect, test } from '@jest/globals';
import type { KubeObject } from '../../../src/kube/client.ts';
import { KubeApiError } from '../../../src/kube/errors.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { FakeKube } from '../../fakes/kube.ts';
import { Harness, node, withControllers } from '../harness.ts';

function cluster(name: string, pods: string, nodes: readonly string[]): FakeKube {
  const kube = withControllers(new FakeKube([], `https://${name}:6443`), `uid-${name}`);
  for (const one of nodes) kube.seed(RESOURCES.nodes, node(one));
  const spec = { clusterCIDR: pods, serviceCIDR: name === 'east' ? '100.66.0.0/16' : '100.67.0.0/16', clusterID: name };
  const joined = { metadata: { name: 'submariner', namespace: 'submariner-operator' }, spec } as KubeObject;
  kube.seed(RESOURCES.submariners, joined);
  return kube;
}

interface Check {
  readonly cluster: string;
  readonly check: string;
  readonly status: string;
  readonly findings: readonly { readonly reason: string }[];
}

async function examine(clusters: Readonly<Record<string, FakeKube>>): Promise<readonly Check[]> {
  const { stdout } = await new Harness(clusters).run('diagnose', 'pre', '-o', 'json');
  return (JSON.parse(stdout) as { readonly checks: readonly Check[] }).checks;
}

const told = (checks: readonly Check[], name: string): readonly string[] =>
  checks
    .filter(({ check }) => check === name)
    .map(({ cluster: of, status, findings }) => [of, status, ...findings.map(({ reason }) => reason)].join(': '));

test('overlaps are found between any two clusters, and one gateway is a warning', async () => {
  const checks = await examine({
    east: cluster('east', '10.130.0.0/16', ['east-1', 'east-2']),
    west: cluster('west', '10.130.128.0/17', ['west-1']),
  });
  expect(told(checks, 'overlaps')).toEqual([
    'east: failed: pod CIDR 10.130.0.0/16 overlaps 10.130.128.0/17 of cluster west',
    'west: failed: pod CIDR 10.130.128.0/17 overlaps 10.130.0.0/16 of cluster east',
  ]);
  expect(told(checks, 'rights')).toEqual(['east: ok', 'west: ok']);
  expect(told(checks, 'gateways')).toEqual(['east: ok', expect.stringMatching(/^west: warning: /)]);
  expect(told(checks, 'version')).toEqual(['east: ok', 'west: ok']);
});

test('ranges that cannot be announced, missing rights and missing nodes are told', async () => {
  const east = cluster('east', '240.1.0.0/16', []);
  const plain = east.onRequest;
  east.onRequest = (method, path, body) =>
    path.endsWith('selfsubjectaccessreviews') ? { status: { allowed: false } } : plain(method, path, body);
  const checks = await examine({ east });
  expect(told(checks, 'networks')).toEqual([expect.stringContaining('failed: 240.1.0.0/16 cannot be announced')]);
  expect(told(checks, 'rights')).toEqual([expect.stringContaining('failed: the credentials lack rights:')]);
  expect(told(checks, 'gateways')).toEqual([expect.stringContaining('failed: ')]);
  expect(told(checks, 'overlaps')).toEqual(['east: skipped']);
});

test('--pre is another spelling, wherever it stands; what needs pods is skipped when none are wanted', async () => {
  const east = cluster('east', '10.130.0.0/16', ['east-1']);
  for (const line of [
    ['diagnose', '--pre', '--no-test-pods', '-o', 'json'],
    ['diagnose', '-o', 'json', '--no-test-pods', '--pre'],
  ]) {
    const { stdout } = await new Harness({ east }).run(...line);
    const { checks } = JSON.parse(stdout) as { readonly checks: readonly (Check & { readonly message: string })[] };
    for (const name of ['kernel', 'ports', 'udp', 'mtu']) {
      expect(checks.find(({ check }) => check === name)).toMatchObject({
        status: 'skipped',
        message: expect.stringContaining('--no-test-pods'),
      });
    }
  }
  const { exitCode, stderr } = await new Harness({ east }).run('diagnose', 'all', '--pre');
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--pre') });
});

test.each([
  [['--cable-driver', 'foo'], '--cable-driver: foo is unknown'],
  [['--gateway-nodes', 'east-9'], '--gateway-nodes: no cluster has a node east-9'],
  [['--nattport', '0'], '--nattport'],
])('%j is wrong usage', async (flags, says) => {
  const east = cluster('east', '10.130.0.0/16', ['east-1']);
  const outcome = await new Harness({ east }).run('diagnose', '--pre', ...flags);
  expect(outcome).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(says) });
});

test('credentials that may not even see whether the cluster has joined: what they lack is told', async () => {
  const east = cluster('east', '10.130.0.0/16', ['east-1']);
  const plain = east.onRequest;
  east.onRequest = (method, path, body) =>
    path.endsWith('selfsubjectaccessreviews') ? { status: { allowed: false } } : plain(method, path, body);
  east.onCall = ({ resource }) =>
    resource === 'submariners'
      ? new KubeApiError(403, { message: 'forbidden' }, { server: east.server, method: 'GET', path: '/x' })
      : undefined;
  const checks = await examine({ east });
  expect(told(checks, 'rights')).toEqual([expect.stringContaining('the credentials lack rights:')]);
  const { stderr } = await new Harness({ east }).run('diagnose', 'connections');
  expect(stderr).toContain('Error: 1 cluster could not be looked at');
});
