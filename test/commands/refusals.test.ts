import { expect, test } from '@jest/globals';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { KubeObject } from '../../src/kube/client.ts';
import { KubeApiError, KubeConnectionError } from '../../src/kube/errors.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { type BrokerInfo, parseBrokerInfo, renderBrokerInfo } from '../../src/api/brokerinfo.ts';
import { FakeKube } from '../fakes/kube.ts';
import { endpointSpec, Harness, node, withControllers } from './harness.ts';

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
const parsedInfo = (harness: Harness): BrokerInfo => parseBrokerInfo(info(harness)).info!;
const EXPIRED_CA = readFileSync(new URL('../fixtures/tls/expired-ca.pem', import.meta.url), 'utf8');

/** Writes the file again with other data of its token. */
function edit(harness: Harness, name: string, data: Readonly<Record<string, string>>): void {
  const whole = parsedInfo(harness);
  const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')] as const);
  const clientToken = { ...whole.clientToken, data: { ...whole.clientToken.data, ...Object.fromEntries(encoded) } };
  put(harness, name, renderBrokerInfo({ ...whole, clientToken }));
}

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
    what: 'a file whose token cannot be a header',
    args: ['join', 'token.subm', ...WEST],
    exitCode: 1,
    says: ['missing or wrong: ClientToken.data.token'],
    before: (harness) => edit(harness, 'token.subm', { token: 'hello\nworld' }),
  },
  {
    what: 'a file whose token has expired',
    args: ['join', 'expired.subm', ...WEST],
    exitCode: 1,
    says: ['its token has expired (2020-09-13T12:26:40.000Z)', 'recover-broker-info'],
    before: (harness) => {
      const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      edit(harness, 'expired.subm', { token: `${part({ alg: 'RS256' })}.${part({ exp: 1_600_000_000 })}.AAAA` });
    },
  },
  {
    what: 'a file whose CA has expired',
    args: ['join', 'oldca.subm', ...WEST],
    exitCode: 1,
    says: ['its CA certificate has expired (2001-01-02T00:00:00.000Z)', 'recover-broker-info'],
    before: (harness) => edit(harness, 'oldca.subm', { 'ca.crt': EXPIRED_CA }),
  },
  {
    what: 'a file that would send the token in clear',
    args: ['join', 'http.subm', ...WEST],
    exitCode: 1,
    says: ['missing or wrong: brokerURL'],
    before: (harness) =>
      put(harness, 'http.subm', renderBrokerInfo({ ...parsedInfo(harness), brokerUrl: 'http://east:6443' })),
  },
  {
    what: 'a file with another pre-shared key',
    args: ['join', 'psk.subm', ...WEST, '--gateways', '1'],
    exitCode: 1,
    says: ['the pre-shared key in psk.subm is not the one of the broker https://east:6443', 'recover-broker-info'],
    before: (harness) => {
      const ipsecPsk = { metadata: {}, data: { psk: Buffer.alloc(48, 'x').toString('base64') } };
      put(harness, 'psk.subm', renderBrokerInfo({ ...parsedInfo(harness), ipsecPsk }));
    },
  },
  {
    what: 'a file for another broker: a server with another CA',
    args: ['join', 'broker-info.subm', ...WEST, '--gateways', '1'],
    exitCode: 1,
    says: [
      'https://east:6443 is not the broker of broker-info.subm: its certificate is not signed by the CA',
      '--broker-url',
    ],
    before: (harness) => {
      const cause = Object.assign(new Error('untrusted'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
      const attempt = { server: 'https://east:6443', method: 'GET', path: '/' };
      harness.clusters.get('east')!.onCall = () => new KubeConnectionError(cause, attempt);
    },
  },
  {
    what: 'a file for another broker: a server without broker resources',
    args: ['join', 'broker-info.subm', ...WEST, '--gateways', '1'],
    exitCode: 1,
    says: ['https://east:6443 is not the broker of broker-info.subm: it does not know the resources of a broker'],
    before: (harness) => {
      const attempt = { server: 'https://east:6443', method: 'GET', path: '/' };
      harness.clusters.get('east')!.onCall = ({ resource }) =>
        resource === 'clusters' ? new KubeApiError(404, { message: 'not found' }, attempt) : undefined;
    },
  },
  {
    what: 'a file for another broker: no Broker object in the namespace',
    args: ['join', 'broker-info.subm', ...WEST, '--gateways', '1'],
    exitCode: 1,
    says: ['there is no broker in namespace submariner-k8s-broker of https://east:6443', 'subctl deploy-broker'],
    before: (harness) =>
      harness.clusters.get('east')!.drop(RESOURCES.brokers, 'submariner-broker', 'submariner-k8s-broker'),
  },
  {
    what: 'a file for another broker: a token without any right there',
    args: ['join', 'broker-info.subm', ...WEST, '--gateways', '1'],
    exitCode: 1,
    says: ['the token of the file may do nothing in namespace submariner-k8s-broker of https://east:6443'],
    before: (harness) => {
      harness.clusters.get('east')!.onRequest = () => ({ status: { allowed: false } });
    },
  },
  {
    what: 'a global CIDR that overlaps one of a joined cluster',
    args: ['join', 'broker-info.subm', ...WEST, '--gateways', '1', '--globalnet-cidr', '100.66.7.0/24'],
    exitCode: 1,
    says: ['global CIDR 100.66.7.0/24 overlaps 100.66.0.0/16 of cluster east', 'Nothing was changed'],
  },
  {
    what: 'a pod CIDR that overlaps the global CIDR of a joined cluster',
    args: [
      'join',
      'broker-info.subm',
      '--context',
      'west',
      '--clustercidr',
      '242.0.1.0/24',
      '--servicecidr',
      '100.67.0.0/16',
    ],
    exitCode: 1,
    says: ['pod CIDR 242.0.1.0/24 overlaps 242.0.0.0/16 of cluster north'],
    before: (harness) =>
      harness.clusters.get('east')!.seed(RESOURCES.clusters, {
        metadata: { name: 'north', namespace: 'submariner-k8s-broker' },
        spec: { cluster_id: 'north', cluster_cidr: ['10.9.0.0/16'], service_cidr: [], global_cidr: ['242.0.0.0/16'] },
      } as KubeObject),
  },
  {
    what: 'service CIDRs that cannot be discovered, without a terminal',
    args: ['join', 'broker-info.subm', '--context', 'west', '--gateways', '1', '--clustercidr', '10.131.0.0/16'],
    exitCode: 1,
    says: ['the service CIDRs of the cluster could not be discovered', '--servicecidr'],
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

test('wrong flags are all named before anything is asked for', async () => {
  const harness = await joinedEast();
  for (const kube of harness.clusters.values()) kube.down = true;
  const wrong = [
    ['--cable-driver', 'gre', '--cable-driver: gre is unknown'],
    ['--clusterid', 'West', '--clusterid: the cluster ID "West"'],
    ['--clustercidr', '10.0.0.1/8', '--clustercidr: 10.0.0.1/8 has host bits set'],
    ['--servicecidr', '10.0.0.0/40', '--servicecidr: 10.0.0.0/40 is not a CIDR'],
    ['--globalnet-cidr', 'x', '--globalnet-cidr: x is not a CIDR'],
    ['--public-ip', 'me', '--public-ip: me is neither'],
    ['--interface', 'a/b', '--interface: a/b is not the name'],
    ['--image-override', 'x', '--image-override: x'],
    ['--broker-url', 'foo bar', '--broker-url: foo bar is not the address'],
  ] as const;
  const outcome = await harness.run('join', 'nowhere.subm', ...wrong.flatMap(([flag, value]) => [flag, value]));
  for (const [, , text] of wrong) expect(outcome.stderr).toContain(text);
  expect(outcome.exitCode).toBe(2);
  expect(await harness.run('deploy-broker', '--broker-url', 'foo bar')).toMatchObject({ exitCode: 2 });
});

test('missing rights of both sides are listed together, before the clusters are read', async () => {
  const harness = await joinedEast();
  const review = (allowed: (verb: string) => boolean) => (_method: string, _path: string, body: unknown) => {
    if (body === undefined) return undefined;
    const { verb } = (body as { spec: { resourceAttributes: { verb: string } } }).spec.resourceAttributes;
    return { status: { allowed: allowed(verb) } };
  };
  const { east, west } = Object.fromEntries(harness.clusters);
  west!.onRequest = review(() => false);
  east!.onRequest = review((verb) => verb !== 'delete');
  west!.onCall = ({ verb, resource }) =>
    verb === 'request' || resource === 'submariners' ? undefined : new Error('read before the check');
  const outcome = await harness.run('join', 'broker-info.subm', ...WEST);
  expect(outcome.stderr).toContain('west: create, patch, get namespaces (cluster-wide)');
  expect(outcome.stderr).toContain('west: list, patch nodes (cluster-wide)');
  expect(outcome.stderr).toContain(
    'broker (broker-info.subm): delete serviceaccounts in namespace submariner-k8s-broker',
  );
  expect(outcome.exitCode).toBe(1);
  const broker = await harness.run('deploy-broker', '--context', 'west');
  expect(broker.stderr).toContain('west: create, get, list secrets in namespace submariner-k8s-broker');
  expect(broker.exitCode).toBe(1);
});

test('a dry run needs no more than the right to read', async () => {
  const harness = await joinedEast();
  harness.clusters.get('west')!.onRequest = (_method, path_, body) => {
    if (path_ === '/version') return { gitVersion: 'v1.32.0' };
    const { verb } = (body as { spec: { resourceAttributes: { verb: string } } }).spec.resourceAttributes;
    return { status: { allowed: verb === 'get' || verb === 'list' } };
  };
  const args = ['join', 'broker-info.subm', ...WEST, '--gateways', '1'];
  expect((await harness.run(...args)).stderr).toContain('the credentials lack rights');
  expect(await harness.run(...args, '--dry-run')).toMatchObject({ exitCode: 0 });
});

test('an edited key is noticed by deploy-broker and recover-broker-info too', async () => {
  const harness = await joinedEast();
  const good = info(harness);
  const other = { metadata: {}, data: { psk: Buffer.alloc(48, 'x').toString('base64') } };
  put(harness, 'broker-info.subm', renderBrokerInfo({ ...parsedInfo(harness), ipsecPsk: other }));
  const refused = await harness.run('deploy-broker', '--context', 'east');
  expect(refused.stderr).toContain('is not the one of this broker');
  expect(refused.exitCode).toBe(1);
  expect((await harness.run('recover-broker-info', '--context', 'east')).exitCode).toBe(0);
  expect(info(harness)).toBe(good);

  put(harness, 'other.subm', renderBrokerInfo({ ...parsedInfo(harness), ipsecPsk: other }));
  const changed = ['deploy-broker', '--context', 'east', '--new-ipsec-psk', '--ipsec-psk-from', 'other.subm'];
  expect((await harness.run(...changed)).exitCode).toBe(0);
  const recovered = await harness.run('recover-broker-info', '--context', 'east');
  expect(recovered.stderr).toContain('holds another pre-shared key than the broker handed out last');
  expect(recovered.exitCode).toBe(1);
});

test('a broker without a recorded key, as upstream makes it, is joined without the check', async () => {
  const harness = await joinedEast();
  const east = harness.clusters.get('east')!;
  const { metadata, ...rest } = east.all(RESOURCES.brokers)[0]!;
  const { annotations: _, ...bare } = metadata;
  east.drop(RESOURCES.brokers, 'submariner-broker', 'submariner-k8s-broker');
  east.seed(RESOURCES.brokers, { ...rest, metadata: bare });
  expect(await harness.run('join', 'broker-info.subm', ...WEST, '--gateways', '1')).toMatchObject({ exitCode: 0 });
});

test('join warns of another cable driver than other clusters have, and of settings other than last time', async () => {
  const harness = await joinedEast();
  harness.clusters.get('east')!.seed(RESOURCES.endpoints, {
    metadata: { name: 'east-cable', namespace: 'submariner-k8s-broker' },
    spec: endpointSpec('east', '10.0.0.1'),
  } as KubeObject);
  const args = ['join', 'broker-info.subm', ...WEST, '--gateways', '1'];
  expect((await harness.run(...args)).stderr).not.toContain('⚠');
  const again = await harness.run(...args, '--cable-driver', 'vxlan', '--dry-run');
  expect(again.stderr).toContain('no tunnels between cable driver vxlan of this cluster and libreswan of east');
  expect(again.stderr).toContain('this changes what cluster west has now:\n   cableDriver: libreswan -> vxlan');
  expect(again).toMatchObject({ exitCode: 0 });
});
