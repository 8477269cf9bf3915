import { expect, test } from '@jest/globals';
import type { KubeObject } from '../../src/kube/client.ts';
import { KubeConnectionError } from '../../src/kube/errors.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { FakeKube } from '../fakes/kube.ts';
import { Harness, type HarnessOptions, node, withControllers } from './harness.ts';

const NAMESPACE = 'submariner-operator';
const WEST = ['diff', '--context', 'west'];
const EDITOR = { namespace: NAMESPACE, patchType: 'merge', fieldManager: 'kubectl-edit' } as const;

interface Set {
  readonly harness: Harness;
  readonly east: FakeKube;
  readonly west: FakeKube;
}

/** East is the broker, west has joined it. */
async function joined(options: HarnessOptions = {}): Promise<Set> {
  const east = withControllers(new FakeKube([], 'https://east:6443'), 'uid-east');
  const west = withControllers(new FakeKube([], 'https://west:6443'), 'uid-west');
  west.seed(RESOURCES.nodes, node('west-1'));
  const harness = new Harness({ east, west }, options);
  expect((await harness.run('deploy-broker', '--context', 'east')).exitCode).toBe(0);
  const cidrs = ['--clustercidr', '10.131.0.0/16', '--servicecidr', '100.67.0.0/16'];
  const outcome = await harness.run('join', 'broker-info.subm', '--context', 'west', ...cidrs);
  expect(outcome.exitCode === 0 ? '' : outcome.stderr).toBe('');
  return { harness, east, west };
}

/** Changes made by the comparison itself. */
const writes = ({ east, west }: Set): number =>
  [...east.writes, ...west.writes].filter(({ verb }) => verb !== 'apply').length;

test('nothing differs after join: exit code 0, and nothing is changed', async () => {
  const set = await joined();
  const before = [writes(set), JSON.stringify(set.west.all(RESOURCES.daemonSets))];
  const { exitCode, stdout, stderr } = await set.harness.run(...WEST);
  expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' });
  expect(stderr).toMatch(/Cluster west: all \d+ objects are as join would apply them/);
  expect([writes(set), JSON.stringify(set.west.all(RESOURCES.daemonSets))]).toEqual(before);
});

test('a changed field of ours is drift, with who changed it; a field of others is none', async () => {
  const { harness, west } = await joined();
  await west.patch(
    RESOURCES.daemonSets,
    'submariner-gateway',
    { spec: { updateStrategy: { type: 'OnDelete' } } },
    EDITOR,
  );
  await west.patch(RESOURCES.daemonSets, 'submariner-routeagent', { metadata: { labels: { mine: 'x' } } }, EDITOR);
  const { exitCode, stdout, stderr } = await harness.run(...WEST);
  expect(exitCode).toBe(1);
  expect(stdout).toBe(
    'Cluster "west"\nDaemonSet submariner-operator/submariner-gateway: changed by kubectl-edit\n' +
      '- spec.updateStrategy.type: OnDelete\n+ spec.updateStrategy.type: RollingUpdate\n\n',
  );
  expect(stderr).toContain('Error: 1 object differs');
  expect((await harness.run(...WEST, '-o', 'name')).stdout).toBe('daemonset/submariner-gateway\n');
});

test('a removed field and a missing object are drift; so is a record that was changed', async () => {
  const { harness, west } = await joined();
  await west.patch(RESOURCES.daemonSets, 'submariner-routeagent', { metadata: { labels: { app: null } } }, EDITOR);
  west.drop(RESOURCES.clusterRoles, 'submariner-gateway');
  await west.patch(RESOURCES.submariners, 'submariner', { spec: { natEnabled: false } }, EDITOR);
  const { stdout } = await harness.run(...WEST);
  expect(stdout).toContain('ClusterRole submariner-gateway: missing\n');
  expect(stdout).toContain('+ metadata.labels.app: submariner-routeagent\n');
  expect(stdout).toContain(
    '- spec.template.spec.containers[0].env[SUBMARINER_NATENABLED].value: true\n'.replace(
      '[0]',
      '[submariner-gateway]',
    ),
  );
});

test('secrets are compared by their keys, and never shown', async () => {
  const { harness, west } = await joined();
  const secret = west.all<KubeObject & { readonly data: object }>(RESOURCES.secrets, NAMESPACE)[0]!;
  west.drop(RESOURCES.secrets, 'submariner-broker-secret', NAMESPACE);
  west.seed(RESOURCES.secrets, {
    ...secret,
    metadata: { name: 'submariner-broker-secret', namespace: NAMESPACE },
    data: { token: 'c2VjcmV0LXRva2Vu' },
  } as KubeObject);
  await west.patch(RESOURCES.submariners, 'submariner', { spec: { brokerK8sApiServerToken: 'very-secret' } }, EDITOR);
  const { stdout } = await harness.run(...WEST, '-o', 'wide');
  expect(stdout).toContain(
    'Secret submariner-operator/submariner-broker-secret: changed\n+ data.namespace: ##redacted##',
  );
  expect(stdout).not.toMatch(/secret-token|c2VjcmV0|very-secret/);
});

test('what gateways announce is compared on the broker; an Endpoint too many is found', async () => {
  const { harness, east } = await joined();
  const spec = { cluster_id: 'west', cable_name: 'old', hostname: 'gone', subnets: [], private_ip: '1.2.3.4' };
  const old = { ...spec, public_ip: '', nat_enabled: false, backend: 'vxlan' };
  east.seed(RESOURCES.endpoints, {
    metadata: { name: 'west-old', namespace: 'submariner-k8s-broker' },
    spec: old,
  } as KubeObject);
  east.drop(RESOURCES.brokers, 'submariner-broker', 'submariner-k8s-broker');
  const { stdout, stderr } = await harness.run(...WEST);
  expect(stdout).toContain('Broker submariner-k8s-broker/submariner-broker (on the broker): missing');
  expect(stdout).toContain('Endpoint submariner-k8s-broker/west-old (on the broker): ought not to be there');
  expect(stderr).toContain('not compared: account of the cluster on the broker east:6443');
  const only = await harness.run(...WEST, '--only-cluster');
  expect(only).toMatchObject({ exitCode: 0, stdout: '' });
});

test('an Endpoint is the same under the name that it has on the broker, and found when it is there twice', async () => {
  const { harness, east, west } = await joined();
  const spec = { cluster_id: 'west', cable_name: 'c', hostname: 'west-1', subnets: [], private_ip: '1.2.3.4' };
  const seed = (kube: typeof east, namespace: string, name: string): void =>
    void kube.seed(RESOURCES.endpoints, { metadata: { name, namespace }, spec } as KubeObject);
  seed(west, 'submariner-operator', 'west-c');
  seed(east, 'submariner-k8s-broker', 'west-gateway-0');
  expect((await harness.run(...WEST)).stdout).not.toContain('Endpoint');
  seed(east, 'submariner-k8s-broker', 'west-gateway-1');
  const { stdout } = await harness.run(...WEST);
  expect(stdout).toContain('Endpoint submariner-k8s-broker/west-gateway-1 (on the broker): ought not to be there');
  expect(stdout).not.toContain('west-gateway-0');
});

test("a member's role on the broker is compared, with the Endpoints that it may keep", async () => {
  const { harness, east } = await joined();
  const at = { ...EDITOR, namespace: 'submariner-k8s-broker' };
  const args = ['diff', 'broker-info.subm', '--context', 'west'];
  expect((await harness.run(...args)).stdout).toBe('');
  await east.patch(RESOURCES.roles, 'cluster-west', { rules: [] }, at);
  expect((await harness.run(...args)).stdout).toContain(
    'Role submariner-k8s-broker/cluster-west (on the broker): changed',
  );
});

test('with the file of the broker the account is compared as well', async () => {
  const { harness, east } = await joined();
  await east.patch(
    RESOURCES.serviceAccounts,
    'cluster-west',
    { metadata: { annotations: { 'subctl.submariner.io/cidrs': '10.9.0.0/16' } } },
    { ...EDITOR, namespace: 'submariner-k8s-broker' },
  );
  const { stdout, stderr } = await harness.run('diff', 'broker-info.subm', '--context', 'west');
  expect(stdout).toContain('ServiceAccount submariner-k8s-broker/cluster-west (on the broker): changed\n');
  expect(stdout).toContain('+ metadata.annotations.subctl.submariner.io/cidrs: 10.131.0.0/16,100.67.0.0/16\n');
  expect(stderr).not.toContain('not compared');
});

test('a broker that is away is said, and is no drift', async () => {
  const { harness, east } = await joined();
  east.down = true;
  const { exitCode, stderr } = await harness.run(...WEST);
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(/not compared: broker east:6443: /);
});

test('a cluster that has not joined: refused when chosen, said when not', async () => {
  const { harness } = await joined();
  const chosen = await harness.run('diff', '--context', 'east');
  expect(chosen.exitCode).toBe(1);
  expect(chosen.stderr).toContain('context east: cluster east has not joined');
  const all = await harness.run('diff');
  expect(all.exitCode).toBe(0);
  expect(all.stderr).toContain('⚠ cluster east has not joined');
});

test('a cluster that nobody answers for is a problem of its own', async () => {
  const { harness, west } = await joined();
  west.onCall = () =>
    new KubeConnectionError(new Error('gone'), { server: 'https://west:6443', method: 'GET', path: '/' });
  const { exitCode, stdout } = await harness.run('diff', '-o', 'json');
  expect(exitCode).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({ problems: [{ cluster: 'west', context: 'west' }] });
});

test('colours on a terminal only', async () => {
  const { harness, west } = await joined({ tty: true, env: { FORCE_COLOR: '1' } });
  await west.patch(
    RESOURCES.daemonSets,
    'submariner-gateway',
    { spec: { updateStrategy: { type: 'OnDelete' } } },
    EDITOR,
  );
  expect((await harness.run(...WEST)).stdout).toContain('\u001B[31m- spec.updateStrategy.type: OnDelete\u001B[39m');
});
