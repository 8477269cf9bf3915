import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import type { KubeObject } from '../../src/kube/client.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { selectContexts } from '../../src/commands/show/contexts.ts';
import { missingConnections, type ConnectionReport } from '../../src/commands/show/wait.ts';
import { splitImage } from '../../src/commands/show/versions.ts';
import { FakeKube } from '../fakes/kube.ts';
import { endpointSpec, Harness, node } from './harness.ts';

const NAMESPACE = 'submariner-operator';
const RTT = { last: '1ms', min: '1ms', average: '1.5ms', max: '2ms', stdDev: '0.1ms' };

interface Shape {
  readonly id: string;
  readonly ip: string;
  readonly remote: string;
  readonly remoteIp: string;
  readonly status?: string;
  readonly rtt?: object | undefined;
  readonly message?: string;
}

/** A cluster that has joined, with one active gateway and one connection. */
function joined(shape: Shape): FakeKube {
  const { id, ip, remote, remoteIp, status = 'connected', message = '' } = shape;
  const kube = new FakeKube([], `https://${id}:6443`);
  const metadata = (name: string): KubeObject['metadata'] => ({ name, namespace: NAMESPACE });
  kube.seed(RESOURCES.submariners, {
    metadata: {
      ...metadata('submariner'),
      annotations: {
        'subctl.submariner.io/clustercidr-source': 'ConfigMap kube-flannel',
        'subctl.submariner.io/servicecidr-source': 'ServiceCIDR kubernetes',
      },
    },
    spec: {
      clusterID: id,
      clusterCIDR: '10.130.0.0/16,fd00:1::/48',
      serviceCIDR: '100.66.0.0/16',
      brokerK8sApiServer: 'east:6443',
      brokerK8sRemoteNamespace: 'submariner-k8s-broker',
    },
    status: { clusterID: id, natEnabled: true, networkPlugin: 'flannel' },
  } as KubeObject);
  for (const one of [id, remote]) {
    const spec = { cluster_id: one, cluster_cidr: ['10.130.0.0/16'], service_cidr: ['100.66.0.0/16'], global_cidr: [] };
    kube.seed(RESOURCES.clusters, { metadata: metadata(one), spec } as KubeObject);
  }
  const latencyRTT = 'rtt' in shape ? shape.rtt : RTT;
  const connection = {
    status,
    statusMessage: message,
    endpoint: endpointSpec(remote, remoteIp),
    usingIP: remoteIp,
    usingNAT: false,
    ...(latencyRTT === undefined ? {} : { latencyRTT }),
  };
  kube.seed(RESOURCES.gateways, {
    metadata: {
      ...metadata(`${id}-1`),
      annotations: { 'gateway.submariner.io/cable-driver': 'IPsec, kernel ESP' },
    },
    status: {
      version: '0.1.0',
      haStatus: 'active',
      statusFailure: '',
      localEndpoint: endpointSpec(id, ip),
      connections: [connection],
    },
  } as KubeObject);
  return kube;
}

const east = (more: Partial<Shape> = {}): FakeKube =>
  joined({ id: 'east', ip: '10.0.0.1', remote: 'west', remoteIp: '10.0.0.2', ...more });
const west = (more: Partial<Shape> = {}): FakeKube =>
  joined({ id: 'west', ip: '10.0.0.2', remote: 'east', remoteIp: '10.0.0.1', ...more });

test('show connections prints upstream’s table for each cluster', async () => {
  const { stdout, exitCode } = await new Harness({ east: east(), west: west() }).run('show', 'connections');
  expect(exitCode).toBe(0);
  expect(stdout).toBe(
    [
      'Cluster "east"',
      'GATEWAY   CLUSTER   REMOTE IP   NAT   CABLE DRIVER   SUBNETS                        STATUS      RTT avg.',
      'west-gw   west      10.0.0.2    no    libreswan      100.66.0.0/16, 10.130.0.0/16   connected   1.5ms',
      '',
      'Cluster "west"',
      'GATEWAY   CLUSTER   REMOTE IP   NAT   CABLE DRIVER   SUBNETS                        STATUS      RTT avg.',
      'east-gw   east      10.0.0.1    no    libreswan      100.66.0.0/16, 10.130.0.0/16   connected   1.5ms',
      '',
      '',
    ].join('\n'),
  );
});

test('show gateways -o wide and -o json say what implements the cable driver', async () => {
  const harness = new Harness({ east: east() });
  const { stdout } = await harness.run('show', 'gateways', '-o', 'wide');
  expect(stdout).toMatch(/CABLE DRIVER +IMPLEMENTATION/);
  expect(stdout).toMatch(/libreswan +IPsec, kernel ESP/);
  expect((await harness.run('show', 'gateways', '-o', 'json')).stdout).toContain(
    '"implementation": "IPsec, kernel ESP"',
  );
});

test('-o wide adds the message, -o json keeps its shape', async () => {
  const harness = new Harness({ east: east({ status: 'error', message: 'no answer from 10.0.0.2', rtt: undefined }) });
  expect((await harness.run('show', 'connections', '-o', 'wide')).stdout).toContain('no answer from 10.0.0.2');
  const { stdout } = await harness.run('-o', 'json', 'show', 'connections');
  expect(JSON.parse(stdout)).toEqual({
    items: [
      {
        cluster: 'east',
        gateway: 'east-gw',
        remoteCluster: 'west',
        remoteGateway: 'west-gw',
        remoteIP: '10.0.0.2',
        nat: false,
        cableDriver: 'libreswan',
        subnets: ['100.66.0.0/16', '10.130.0.0/16'],
        status: 'error',
        message: 'no answer from 10.0.0.2',
        rtt: null,
      },
    ],
    problems: [],
  });
});

const TABLES: readonly (readonly [string, readonly string[]])[] = [
  ['endpoints', ['CLUSTER   ENDPOINT IP   PUBLIC IP   CABLE DRIVER   TYPE', 'local', 'remote']],
  [
    'gateways',
    ['NODE     HA STATUS   SINCE   SUMMARY', 'east-1   active              all connections (1) are established'],
  ],
  ['clusters', ['CLUSTER   TYPE     CLUSTER CIDRS', 'east      local', 'west      remote']],
  [
    'networks',
    ['Network plugin:   flannel', '100.66.0.0/16 (ServiceCIDR kubernetes)', 'fd00:1::/48 (ConfigMap kube-flannel)'],
  ],
];

test.each(TABLES)('show %s', async (name, says) => {
  const { stdout, exitCode } = await new Harness({ east: east() }).run('show', name);
  for (const text of says) expect(stdout).toContain(text);
  expect(exitCode).toBe(0);
});

test('show brokers and versions read what is deployed', async () => {
  const kube = east();
  kube.seed(RESOURCES.brokers, {
    metadata: { name: 'submariner-broker', namespace: 'elsewhere' },
    spec: { components: ['connectivity', 'service-discovery'], globalnetEnabled: true, defaultCustomDomains: ['a.b'] },
  } as KubeObject);
  const template = { spec: { containers: [{ name: 'c', image: 'quay.io/submariner/submariner-gateway:0.1.0' }] } };
  kube.seed(RESOURCES.daemonSets, {
    metadata: { name: 'submariner-gateway', namespace: NAMESPACE },
    spec: { selector: {}, template },
  } as KubeObject);
  const harness = new Harness({ east: kube });
  expect((await harness.run('show', 'brokers')).stdout).toMatch(
    /elsewhere +submariner-broker +connectivity, service-discovery +yes/,
  );
  expect((await harness.run('show', 'versions')).stdout).toMatch(
    /submariner-gateway +quay\.io\/submariner +0\.1\.0 +0\.1\.0/,
  );
});

test('show all -o yaml has a list for every view', async () => {
  const { stdout } = await new Harness({ east: east() }).run('show', 'all', '-o', 'yaml');
  expect(Object.keys(parse(stdout) as object)).toEqual([
    'brokers',
    'clusters',
    'connections',
    'endpoints',
    'gateways',
    'networks',
    'routeagents',
    'versions',
    'problems',
  ]);
});

test('-o name prints one name a line', async () => {
  const { stdout } = await new Harness({ east: east() }).run('show', 'gateways', '-o', 'name');
  expect(stdout).toBe('gateway.submariner.io/east-1\n');
});

test('an unreachable cluster is reported and the others are shown', async () => {
  const gone = west();
  gone.down = true;
  const harness = new Harness({ gone, east: east() });
  const outcome = await harness.run('show', 'connections');
  expect(outcome.stdout).toContain('Cluster "east"');
  expect(outcome.stderr).toContain('context gone: cannot reach the API server https://west:6443');
  expect(outcome.exitCode).toBe(1);
  expect(await harness.run('show', 'connections', '--contexts', 'east')).toMatchObject({ exitCode: 0 });
});

test('show gateways tells how a gateway became active, and whether another one could', async () => {
  const kube = east();
  const harness = new Harness({ east: kube });
  const [active] = kube.all<KubeObject & { status: object }>(RESOURCES.gateways);
  const put = (name: string, haStatus: string, said: object): void => {
    const nowMs = harness.clock.now();
    const since = new Date(nowMs - 185_000).toISOString();
    const lastFailover = { at: since, from: 'east-2', cause: 'gateway east-2 is silent', durationMs: 640 };
    const availability = { since, slots: 2, cables: [], ...(haStatus === 'active' ? { lastFailover } : {}), ...said };
    const annotations = { 'subctl.submariner.io/availability': JSON.stringify(availability) };
    kube.drop(RESOURCES.gateways, name, NAMESPACE);
    const status = { ...active!.status, haStatus };
    kube.seed(RESOURCES.gateways, {
      ...active!,
      metadata: { name, namespace: NAMESPACE, annotations },
      status,
    } as KubeObject);
  };
  put('east-1', 'active', { ready: true, reason: '' });
  put('east-2', 'passive', { ready: true, reason: '' });
  put('east-3', 'passive', { ready: false, reason: 'no other cluster answers through its cables (west)' });
  const { stdout } = await harness.run('show', 'gateways');
  expect(stdout).toMatch(
    /east-1 +active +3m05s +all connections \(1\) are established +3m05s ago from east-2 in 640 ms: gateway east-2 is silent/,
  );
  expect(stdout).toMatch(/east-2 +passive +3m05s +ready to take over/);
  expect(stdout).toMatch(/east-3 +passive +3m05s +not ready to take over: no other cluster answers/);
  expect((await harness.run('show', 'gateways', '-o', 'yaml')).stdout).toContain('standby: ready');
});

test('a cluster that has not joined is reported and is no failure', async () => {
  const harness = new Harness({ other: new FakeKube([], 'https://other:6443'), east: east() });
  const outcome = await harness.run('show', 'gateways');
  expect(outcome.stderr).toContain('cluster other has not joined');
  expect(outcome.exitCode).toBe(0);
});

test('no connections is a failure of show connections, not of show all', async () => {
  const kube = east();
  kube.drop(RESOURCES.gateways, 'east-1', NAMESPACE);
  const harness = new Harness({ east: kube });
  expect(await harness.run('show', 'connections')).toMatchObject({ exitCode: 1 });
  expect(await harness.run('show', 'all')).toMatchObject({ exitCode: 0 });
});

test('show connections --wait returns when all are connected and probed', async () => {
  const harness = new Harness({ east: east(), west: west({ rtt: undefined }) });
  const late = await harness.run('show', 'connections', '--wait', '--timeout', '5s');
  expect(late.exitCode).toBe(1);
  expect(late.stderr).toContain(
    'gave up after 5.0s waiting for connections: west -> east: connected, but no probe has come back yet',
  );
  const good = await new Harness({ east: east(), west: west() }).run(
    'show',
    'connections',
    '--wait',
    '--timeout',
    '5s',
  );
  expect(good.exitCode).toBe(0);
  expect(good.stdout).toContain('connected');
});

const REPORT: ConnectionReport = {
  clusterId: 'east',
  broker: 'b',
  known: ['west'],
  connections: [],
  probed: true,
  failures: [],
};
const CONNECTION = {
  cluster: 'east',
  gateway: 'g',
  remoteCluster: 'west',
  remoteGateway: 'w',
  remoteIP: '1.2.3.4',
  nat: false,
  cableDriver: 'vxlan',
  subnets: [],
  status: 'connected',
  message: '',
  rtt: RTT,
};
const WAITS: readonly (readonly [string, readonly ConnectionReport[], readonly string[]])[] = [
  ['nobody known', [{ ...REPORT, known: [] }], ['east knows of no other cluster yet']],
  ['no gateway', [REPORT], ['east -> west: no connection (no gateway reports it)']],
  ['a broken gateway', [{ ...REPORT, failures: ['no charon'] }], ['east -> west: no connection (no charon)']],
  ['connecting', [{ ...REPORT, connections: [{ ...CONNECTION, status: 'connecting' }] }], ['east -> west: connecting']],
  [
    'an error',
    [{ ...REPORT, connections: [{ ...CONNECTION, status: 'error', message: 'other driver' }] }],
    ['east -> west: error (other driver)'],
  ],
  ['all good', [{ ...REPORT, connections: [CONNECTION] }], []],
  ['no probes wanted', [{ ...REPORT, probed: false, connections: [{ ...CONNECTION, rtt: null }] }], []],
  [
    'a cluster of the same broker that is not known yet',
    [
      { ...REPORT, connections: [CONNECTION] },
      { ...REPORT, clusterId: 'south', known: [] },
    ],
    ['east -> south: no connection (no gateway reports it)', 'south -> east: no connection (no gateway reports it)'],
  ],
  [
    'clusters of different brokers do not wait for each other',
    [
      { ...REPORT, connections: [CONNECTION] },
      { ...REPORT, clusterId: 'south', broker: 'c', connections: [CONNECTION] },
    ],
    [],
  ],
];

test.each(WAITS)('missing connections: %s', (_what, reports, missing) => {
  expect(missingConnections(reports)).toEqual(missing);
});

test('of several contexts of a cluster the most used user wins', () => {
  const context = (name: string, cluster: string, user: string) => ({
    name,
    cluster,
    user,
    namespace: undefined,
    server: '',
  });
  const all = [context('a', 'one', 'rare'), context('b', 'one', 'admin'), context('c', 'two', 'admin')];
  const { contexts, remarks } = selectContexts(all, {});
  expect(contexts.map(({ name }) => name)).toEqual(['b', 'c']);
  expect(remarks).toEqual(['cluster one has 2 contexts; using b (choose with --contexts)']);
  expect(selectContexts(all, { contexts: ['c', 'a'] }).contexts.map(({ name }) => name)).toEqual(['c', 'a']);
  expect(() => selectContexts(all, { contexts: ['d'] })).toThrow('no context d; it has a, b, c');
});

test.each([
  ['quay.io/submariner/gw:1.0', 'quay.io/submariner', '1.0'],
  ['localhost:5000/gw', 'localhost:5000', 'latest'],
  ['gw:2', '', '2'],
  ['q.io/a/gw@sha256:ab', 'q.io/a', 'sha256:ab'],
])('image %s', (image, repository, tag) => {
  expect(splitImage(image)).toEqual({ repository, tag });
});

test('what a node lacks, and what others write into objects, is shown without steering the terminal', async () => {
  const east = joined({
    id: 'east',
    ip: '10.0.0.1',
    remote: 'west',
    remoteIp: '10.0.0.2',
    status: 'error',
    message: 'no\u001b[2Jtunnel',
  });
  const agent = (name: string, statusFailure: string): KubeObject =>
    ({
      metadata: { name, namespace: NAMESPACE },
      status: {
        version: '1',
        statusFailure,
        remoteEndpoints: [{ spec: endpointSpec('west', '10.0.0.2'), status: 'none', statusMessage: '' }],
      },
    }) as KubeObject;
  for (const name of ['east-1', 'east-2']) east.seed(RESOURCES.nodes, node(name));
  east.seed(RESOURCES.routeAgents, agent('east-1', ''));
  east.seed(RESOURCES.routeAgents, agent('east-3', ''));
  east.seed(RESOURCES.routeAgents, agent('east-2', 'nft list table: program nft not found'));
  const harness = new Harness({ east });
  const agents = await harness.run('show', 'routeagents');
  expect(agents.stdout).toMatch(/east-1 +routes to 1 remote endpoints\n/);
  expect(agents.stdout).toMatch(/east-3 +the node is not ready/);
  expect(agents.stdout).toMatch(/east-2 +nft list table: program nft not found\n/);
  const json = JSON.parse((await harness.run('show', 'routeagents', '-o', 'json')).stdout) as { items: object[] };
  expect(json.items[1]).toMatchObject({
    cluster: 'east',
    node: 'east-2',
    failure: 'nft list table: program nft not found',
  });
  const connections = await harness.run('show', 'connections');
  expect(connections.stdout).toContain('west (west-gw): no [2Jtunnel');
  expect(connections.stdout).not.toContain('\u001b');
});
