import { describe, expect, test } from '@jest/globals';
import type { KubeObject } from '../../../src/kube/client.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { FakeKube } from '../../fakes/kube.ts';
import { Harness, node, type RunOutcome } from '../harness.ts';

const NAMESPACE = 'submariner-operator';

interface Shape {
  readonly id: string;
  readonly uid?: string;
  readonly knows?: readonly string[];
  readonly joined?: boolean;
  readonly daemons?: boolean;
  /** Rights that are not granted, as `verb resource`. */
  readonly lacking?: readonly string[];
}

interface ReviewBody {
  readonly spec: { readonly resourceAttributes: Readonly<Record<string, string | undefined>> };
}

/** A cluster of a set, as far as verify and benchmark look at it before they make anything. */
function cluster({ id, uid = `uid-${id}`, knows = ['east', 'west'], lacking = [], ...more }: Shape): FakeKube {
  const kube = new FakeKube([], `https://${id}:6443`);
  const at = (name: string): KubeObject['metadata'] => ({ name, namespace: NAMESPACE });
  kube.seed(RESOURCES.namespaces, { metadata: { name: 'kube-system', uid } });
  kube.seed(RESOURCES.nodes, node(`${id}-1`, { 'submariner.io/gateway': 'true' }));
  kube.seed(RESOURCES.nodes, node(`${id}-2`));
  if (more.joined !== false) {
    const spec = { clusterID: id, clusterCIDR: '10.130.0.0/16', serviceCIDR: '100.66.0.0/16' };
    kube.seed(RESOURCES.submariners, { metadata: at('submariner'), spec } as KubeObject);
  }
  for (const one of knows)
    kube.seed(RESOURCES.clusters, { metadata: at(one), spec: { cluster_id: one } } as KubeObject);
  if (more.daemons !== false) {
    const spec = { template: { spec: { containers: [{ name: 'a', image: 'registry/agent:1' }] } } };
    kube.seed(RESOURCES.daemonSets, { metadata: at('submariner-routeagent'), spec } as KubeObject);
  }
  kube.onRequest = (_method, path, body) => {
    if (!path.endsWith('selfsubjectaccessreviews')) return undefined;
    const { verb, resource, subresource } = (body as ReviewBody).spec.resourceAttributes;
    const asked = `${verb} ${resource}${subresource === undefined ? '' : `/${subresource}`}`;
    return { status: { allowed: !lacking.includes(asked) } };
  };
  return kube;
}

const WAYS = [['verify'], ['benchmark', 'latency']] as const;
const BOTH = ['--context', 'east', '--tocontext', 'west'];

async function attempt(
  east: Partial<Shape>,
  west: Partial<Shape>,
  args: readonly string[],
): Promise<RunOutcome & { readonly writes: number }> {
  const clusters = { east: cluster({ id: 'east', ...east }), west: cluster({ id: 'west', ...west }) };
  const outcome = await new Harness(clusters).run(...args);
  return { ...outcome, writes: clusters.east.writes.length + clusters.west.writes.length };
}

describe.each(WAYS.map((words) => ({ words })))('$words refuses, before it makes anything,', ({ words }) => {
  test.each<readonly [string, Partial<Shape>, Partial<Shape>, string]>([
    ['two contexts of one cluster', {}, { uid: 'uid-east' }, 'contexts east and west are the same cluster'],
    ['a cluster that has not joined', {}, { joined: false }, 'cluster west (context west) has not joined'],
    ['clusters of different sets', { knows: ['east'] }, {}, 'cluster east does not know cluster west'],
    ['a cluster without route agents', {}, { daemons: false }, 'has no DaemonSet submariner-routeagent'],
    ['credentials without rights', {}, { lacking: ['create pods/exec'] }, 'west: create pods/exec'],
    [
      'credentials that may not even look',
      {},
      { lacking: ['list nodes', 'create services'] },
      'list nodes (cluster-wide)',
    ],
    ['credentials that may make no namespace', { lacking: ['create namespaces'] }, {}, 'east: create namespaces'],
  ])('%s', async (_, east, west, message) => {
    const { exitCode, stderr, stdout, writes } = await attempt(east, west, [...words, ...BOTH]);
    expect({ exitCode, stdout, writes }).toEqual({ exitCode: 1, stdout: '', writes: 0 });
    expect(stderr).toContain(message);
    expect(stderr).toContain('Hint: ');
  });

  test('a namespace in which nothing may be made', async () => {
    const east = { lacking: ['create pods'] };
    const outcome = await attempt(east, {}, [...words, ...BOTH, '--namespace', 'mine']);
    expect(outcome).toMatchObject({
      exitCode: 1,
      writes: 0,
      stderr: expect.stringContaining('east: create pods in namespace mine'),
    });
  });

  test('a context that is not there', async () => {
    const { exitCode, stderr } = await attempt({}, {}, [...words, '--context', 'east', '--tocontext', 'north']);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('it has east, west') });
  });
});

describe('verify', () => {
  test('rights in a namespace that is there are enough', async () => {
    const lacking = ['create namespaces'];
    const { stderr } = await attempt({ lacking }, { lacking }, ['verify', ...BOTH, '-n', 'mine', '--timeout', '1s']);
    expect(stderr).not.toContain('the credentials lack');
  });

  test('without --tocontext it takes the only other cluster, and asks when there are several', async () => {
    const clusters = { east: cluster({ id: 'east' }), west: cluster({ id: 'west', joined: false }) };
    const two = await new Harness(clusters).run('verify', '--context', 'east');
    expect(two.stderr).toContain('cluster west (context west) has not joined');
    const three = await new Harness({ ...clusters, north: cluster({ id: 'north' }) }).run(
      'verify',
      '--context',
      'east',
    );
    expect(three).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('The kubeconfig has west, north') });
    const one = await new Harness({ east: clusters.east }).run('verify');
    expect(one).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('one cluster only') });
  });

  test('the same cluster a third time', async () => {
    const extra = ['--extracontext', 'east'];
    const { exitCode, stderr } = await attempt({}, {}, ['verify', ...BOTH, ...extra]);
    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('context east is given twice'),
    });
  });

  test('words of --only that are unknown, or for which there is nothing to be tested', async () => {
    const unknown = await attempt({}, {}, ['verify', ...BOTH, '--only', 'tcp,dns']);
    expect(unknown).toMatchObject({ exitCode: 2, writes: 0, stderr: expect.stringContaining('--only: dns') });
    const absent = await attempt({}, {}, ['verify', ...BOTH, '--only', 'service-discovery,compliance']);
    expect(absent).toMatchObject({ exitCode: 1, writes: 0 });
    expect(absent.stderr).toContain('there is no service discovery in this version');
    expect(absent.stderr).toContain('nothing left to be tested');
  });

  test('taking gateways away is agreed to first', async () => {
    const alone = await attempt({}, {}, ['verify', ...BOTH, '--only', 'gateway-failover']);
    expect(alone).toMatchObject({
      exitCode: 1,
      writes: 0,
      stderr: expect.stringContaining('run it with --disruptive'),
    });
    const asked: string[] = [];
    const clusters = { east: cluster({ id: 'east' }), west: cluster({ id: 'west' }) };
    const prompter = { confirm: async (question: string) => asked.push(question) < 0 };
    await new Harness(clusters, { interactive: true, prompter }).run('verify', ...BOTH, '--only', 'gateway-failover');
    expect(asked).toEqual([expect.stringContaining('interrupts the traffic')]);
    const lacking = ['patch nodes'];
    const forbidden = await attempt({ lacking }, {}, ['verify', ...BOTH, '--disruptive']);
    expect(forbidden).toMatchObject({ exitCode: 1, writes: 0, stderr: expect.stringContaining('east: patch nodes') });
  });
});

test('benchmark: within one cluster and between two exclude each other', async () => {
  const { exitCode, stderr } = await attempt({}, {}, ['benchmark', 'throughput', ...BOTH, '--intra-cluster']);
  expect({ exitCode, stderr }).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('exclude each other') });
});
