import { expect, test } from '@jest/globals';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { KubeObject } from '../../src/kube/client.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { parseBrokerInfo, renderBrokerInfo } from '../../src/api/brokerinfo.ts';
import { FakeKube } from '../fakes/kube.ts';
import { Harness, node, withControllers } from './harness.ts';

const EAST = ['--context', 'east', '--clustercidr', '10.130.0.0/16', '--servicecidr', '100.66.0.0/16'];
const WEST = ['--context', 'west', '--clustercidr', '10.131.0.0/16', '--servicecidr', '100.67.0.0/16'];

/** East is the broker and has joined; west has three workers and has not. */
async function joinedEast(): Promise<Harness> {
  const east = withControllers(new FakeKube([], 'https://east:6443'), 'uid-east');
  const west = withControllers(new FakeKube([], 'https://west:6443'), 'uid-west');
  east.seed(RESOURCES.nodes, node('east-1'));
  for (const name of ['west-1', 'west-2', 'west-3']) west.seed(RESOURCES.nodes, node(name));
  const harness = new Harness({ east, west });
  for (const args of [
    ['deploy-broker', '--context', 'east'],
    ['join', 'broker-info.subm', ...EAST],
  ]) {
    expect(await harness.run(...args)).toMatchObject({ exitCode: 0 });
  }
  return harness;
}

interface Refusal {
  readonly what: string;
  readonly args: readonly string[];
  readonly exitCode: number;
  readonly says: readonly string[];
  readonly before?: (harness: Harness) => void;
}

const info = (harness: Harness): string => harness.file('broker-info.subm');
const put = (harness: Harness, name: string, text: string): void =>
  writeFileSync(path.join(harness.directory, name), text);

const REFUSALS: readonly Refusal[] = [
  {
    what: 'a missing file',
    args: ['join', 'nowhere.subm', ...WEST],
    exitCode: 1,
    says: ['there is no file', 'nowhere.subm', 'subctl recover-broker-info'],
  },
  {
    what: 'a truncated file',
    args: ['join', 'cut.subm', ...WEST],
    exitCode: 1,
    says: ['cannot use', 'cut.subm', 'truncated'],
    before: (harness) => put(harness, 'cut.subm', info(harness).slice(0, 401)),
  },
  {
    what: 'a file that is a kubeconfig',
    args: ['join', 'config.subm', ...WEST],
    exitCode: 1,
    says: ['YAML'],
    before: (harness) => put(harness, 'config.subm', 'apiVersion: v1\nkind: Config\n'),
  },
  {
    what: 'a file without the pre-shared key',
    args: ['join', 'nopsk.subm', ...WEST],
    exitCode: 1,
    says: ['no pre-shared key', 'recover-broker-info'],
    before: (harness) => {
      const parsed = parseBrokerInfo(info(harness)).info!;
      put(harness, 'nopsk.subm', renderBrokerInfo({ ...parsed, ipsecPsk: undefined }));
    },
  },
  {
    what: 'an invalid cluster ID',
    args: ['join', 'broker-info.subm', ...WEST, '--clusterid', 'West Side'],
    exitCode: 2,
    says: ['--clusterid', 'west-side'],
  },
  {
    what: 'a taken cluster ID',
    args: ['join', 'broker-info.subm', ...WEST, '--clusterid', 'east', '--gateways', '1'],
    exitCode: 1,
    says: ['cluster ID east is taken by the cluster with kube-system uid uid-east', '--clusterid'],
  },
  {
    what: 'a pod CIDR that overlaps one of a joined cluster',
    args: [
      'join',
      'broker-info.subm',
      '--context',
      'west',
      '--clustercidr',
      '10.130.8.0/24',
      '--servicecidr',
      '100.67.0.0/16',
    ],
    exitCode: 1,
    says: ['pod CIDR 10.130.8.0/24 overlaps 10.130.0.0/16 of cluster east', 'Nothing was changed'],
  },
  {
    what: 'a service CIDR that overlaps one of a joined cluster',
    args: [
      'join',
      'broker-info.subm',
      '--context',
      'west',
      '--clustercidr',
      '10.131.0.0/16',
      '--servicecidr',
      '100.64.0.0/10',
    ],
    exitCode: 1,
    says: ['service CIDR 100.64.0.0/10 overlaps 100.66.0.0/16 of cluster east'],
  },
  {
    what: 'pod and service CIDRs that overlap each other',
    args: [
      'join',
      'broker-info.subm',
      '--context',
      'west',
      '--clustercidr',
      '10.131.0.0/16',
      '--servicecidr',
      '10.131.8.0/24',
    ],
    exitCode: 1,
    says: ['pod CIDR 10.131.0.0/16 overlaps service CIDR 10.131.8.0/24'],
  },
  {
    what: 'CIDRs that are none',
    args: [
      'join',
      'broker-info.subm',
      '--context',
      'west',
      '--clustercidr',
      '10.131.0.0/33,10.1.1.1/8',
      '--servicecidr',
      '1.0.0.0/8',
    ],
    exitCode: 2,
    says: ['10.131.0.0/33 is not a CIDR', '10.1.1.1/8 has host bits set; the network is 10.0.0.0/8'],
  },
  {
    what: 'CIDRs that cannot be discovered, without a terminal',
    args: ['join', 'broker-info.subm', '--context', 'west', '--gateways', '1'],
    exitCode: 1,
    says: ['the pod CIDRs of the cluster could not be discovered', '--clustercidr'],
  },
  {
    what: 'several candidates for the gateway, without a terminal',
    args: ['join', 'broker-info.subm', ...WEST],
    exitCode: 1,
    says: ['west-1, west-2, west-3', '--gateway-nodes', '--gateways 1'],
  },
  {
    what: 'an unknown gateway node',
    args: ['join', 'broker-info.subm', ...WEST, '--gateway-nodes', 'west-1,west-9'],
    exitCode: 2,
    says: ['no node west-9', 'west-1, west-2, west-3'],
  },
  {
    what: 'more gateways than nodes',
    args: ['join', 'broker-info.subm', ...WEST, '--gateways', '4'],
    exitCode: 2,
    says: ['only 3 nodes'],
  },
  {
    what: 'a cluster without workers',
    args: ['join', 'broker-info.subm', ...WEST],
    exitCode: 1,
    says: ['no node can be a gateway', '--gateway-nodes'],
    before: (harness) => {
      const west = harness.clusters.get('west')!;
      for (const name of ['west-1', 'west-2', 'west-3']) west.drop(RESOURCES.nodes, name);
      const taints = [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }];
      west.seed(RESOURCES.nodes, { ...node('west-0'), spec: { taints } } as KubeObject);
    },
  },
  {
    what: 'a Kubernetes that is too old',
    args: ['join', 'broker-info.subm', ...WEST, '--gateways', '1'],
    exitCode: 1,
    says: ['Kubernetes v1.18.3 is too old', '--ignore-requirements'],
    before: (harness) => {
      harness.clusters.get('west')!.onRequest = (_method, path_) =>
        path_ === '/version' ? { gitVersion: 'v1.18.3' } : { status: { allowed: true } };
    },
  },
  {
    what: 'missing rights, all of them at once',
    args: ['join', 'broker-info.subm', ...WEST, '--gateways', '1'],
    exitCode: 1,
    says: [
      'the credentials lack rights',
      'west: create, patch customresourcedefinitions.apiextensions.k8s.io (cluster-wide)',
      'west: patch nodes (cluster-wide)',
      'west: create, patch secrets in namespace submariner-operator',
      'Nothing was changed',
    ],
    before: (harness) => {
      const denied = new Set(['create customresourcedefinitions', 'patch customresourcedefinitions', 'patch nodes']);
      for (const verb of ['create', 'patch']) denied.add(`${verb} secrets`);
      harness.clusters.get('west')!.onRequest = (_method, path_, body) => {
        if (path_ === '/version') return { gitVersion: 'v1.32.0' };
        const { verb, resource } = (body as { spec: { resourceAttributes: { verb: string; resource: string } } }).spec
          .resourceAttributes;
        return { status: { allowed: !denied.has(`${verb} ${resource}`) } };
      };
    },
  },
  {
    what: 'an unreachable API server',
    args: ['join', 'broker-info.subm', ...WEST],
    exitCode: 1,
    says: ['https://west:6443'],
    before: (harness) => {
      harness.clusters.get('west')!.down = true;
    },
  },
  {
    what: 'an unknown context',
    args: ['join', 'broker-info.subm', '--context', 'north'],
    exitCode: 2,
    says: ['no context north', 'east, west'],
  },
  {
    what: 'an unknown cable driver',
    args: ['join', 'broker-info.subm', ...WEST, '--gateways', '1', '--cable-driver', 'gre'],
    exitCode: 2,
    says: ['--cable-driver: gre is unknown', 'wireguard'],
  },
  {
    what: 'a port that is none',
    args: ['join', 'broker-info.subm', '--nattport', '70000'],
    exitCode: 2,
    says: ['65535'],
  },
];

test.each(REFUSALS)('join refuses $what and changes nothing', async ({ args, exitCode, says, before }) => {
  const harness = await joinedEast();
  before?.(harness);
  const clusters = [...harness.clusters.values()];
  const writes = clusters.map((kube) => kube.writes.length);
  const outcome = await harness.run(...args);
  for (const text of says) expect(outcome.stderr).toContain(text);
  expect(outcome.exitCode).toBe(exitCode);
  // Discovery asks the server with dry runs; nothing else may be written.
  const since = clusters.flatMap((kube, index) => kube.writes.slice(writes[index]));
  expect(since.filter(({ resource }) => resource !== 'services')).toEqual([]);
});

test('a broker token that is no longer accepted is named as such', async () => {
  const harness = await joinedEast();
  const { KubeApiError } = await import('../../src/kube/errors.ts');
  const west = harness.clusters.get('west')!;
  const east = harness.clusters.get('east')!;
  const attempt = { server: east.server, method: 'GET', path: '/' };
  east.onCall = () => new KubeApiError(401, { message: 'Unauthorized' }, attempt);
  const outcome = await harness.run('join', 'broker-info.subm', ...WEST);
  expect(outcome.stderr).toContain('does not accept the token of broker-info.subm');
  expect(outcome.stderr).toContain('recover-broker-info');
  expect(outcome.exitCode).toBe(1);
  expect(west.writes).toEqual([]);
});

test('deploy-broker refuses a new key when clusters have joined with one it does not know', async () => {
  const harness = await joinedEast();
  harness.clusters.get('east')!.seed(RESOURCES.clusters, {
    metadata: { name: 'east', namespace: 'submariner-k8s-broker' },
    spec: { cluster_id: 'east', cluster_cidr: ['10.130.0.0/16'], service_cidr: ['100.66.0.0/16'], global_cidr: [] },
  } as KubeObject);
  const file = info(harness);
  mkdirSync(path.join(harness.directory, 'old'));
  put(harness, 'old/broker-info.subm', file);
  put(harness, 'broker-info.subm', '');
  expect((await harness.run('deploy-broker', '--context', 'east')).stderr).toContain('it is empty');
  const { rmSync } = await import('node:fs');
  rmSync(path.join(harness.directory, 'broker-info.subm'));

  const refused = await harness.run('deploy-broker', '--context', 'east');
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain('(east)');
  expect(refused.stderr).toContain('--ipsec-psk-from');

  const kept = await harness.run('deploy-broker', '--context', 'east', '--ipsec-psk-from', 'old/broker-info.subm');
  expect(kept.exitCode).toBe(0);
  expect(info(harness)).toBe(file);
});
