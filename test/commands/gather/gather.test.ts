import { beforeEach, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { renderBrokerInfo } from '../../../src/api/brokerinfo.ts';
import { clusterInArchive, openArchive } from '../../../src/commands/gather/archive.ts';
import { directoriesOf } from '../../../src/commands/gather/collect.ts';
import { COLLECTORS } from '../../../src/commands/gather/collectors/index.ts';
import type { KubeObject } from '../../../src/kube/client.ts';
import { KubeApiError } from '../../../src/kube/errors.ts';
import type { Pod } from '../../../src/kube/objects.ts';
import { RESOURCES } from '../../../src/kube/resources.ts';
import { FakeKube } from '../../fakes/kube.ts';
import { engineState, routeAgentState } from '../daemonstates.ts';
import { endpointSpec, Harness, type HarnessOptions, node, type RunOutcome } from '../harness.ts';

const OURS = 'submariner-operator';
const BROKER = 'submariner-k8s-broker';
/** Every secret that is planted somewhere. */
const SECRETS = {
  psk: 'b3BlbnNlc2FtZW9wZW5zZXNhbWVvcGVuc2VzYW1lb3BlbnNlc2FtZQ==',
  memberToken: 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZW1iZXIifQ.c2lnbmF0dXJlT2ZUaGVNZW1iZXI',
  adminToken: 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJlT2ZUaGVBZG1pbg',
  password: 'correct-horse-battery',
  key: 'MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj',
  wireguard: 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=',
} as const;
const INFO = renderBrokerInfo({
  brokerUrl: 'https://east:6443',
  clientToken: { metadata: {}, data: { token: btoa(SECRETS.adminToken) } },
  ipsecPsk: { metadata: {}, data: { psk: SECRETS.psk } },
  serviceDiscovery: false,
  components: [],
  customDomains: [],
});

function pod(name: string, app: string, nodeName: string, restartCount = 0): KubeObject {
  return {
    metadata: { name, namespace: OURS, labels: { app } },
    spec: {
      nodeName,
      containers: [{ name: app, env: [{ name: 'BROKER_K8S_APISERVERTOKEN', value: SECRETS.memberToken }] }],
    },
    status: { phase: 'Running', containerStatuses: [{ name: app, ready: true, restartCount }] },
  } as KubeObject;
}

function seedSecrets(kube: FakeKube): void {
  kube.seed(RESOURCES.secrets, {
    metadata: { name: 'submariner-ipsec-psk', namespace: OURS },
    data: { psk: SECRETS.psk },
  } as KubeObject);
  kube.seed(RESOURCES.secrets, {
    metadata: { name: 'submariner-broker-secret', namespace: OURS },
    data: { token: btoa(SECRETS.memberToken), 'ca.crt': '', namespace: btoa(BROKER) },
  } as KubeObject);
  kube.seed(RESOURCES.configMaps, {
    metadata: { name: 'notes', namespace: OURS, annotations: { note: `psk=${SECRETS.psk}` } },
    data: {
      'broker-info.subm': INFO,
      'key.pem': `-----BEGIN PRIVATE KEY-----\n${SECRETS.key}\n-----END PRIVATE KEY-----`,
    },
  } as KubeObject);
}

function joined(id: string): FakeKube {
  const kube = new FakeKube([], `https://${id}:6443`);
  kube.onRequest = (_method, url) => (url === '/version' ? { gitVersion: 'v1.32.4' } : { groups: [] });
  kube.seed(RESOURCES.submariners, {
    metadata: { name: 'submariner', namespace: OURS },
    spec: {
      clusterID: id,
      brokerK8sApiServer: 'east:6443',
      brokerK8sRemoteNamespace: BROKER,
      ceIPSecPSK: SECRETS.psk,
      brokerK8sApiServerToken: SECRETS.memberToken,
    },
  } as KubeObject);
  for (const name of [`${id}-1`, `${id}-2`]) kube.seed(RESOURCES.nodes, node(name));
  kube.seed(RESOURCES.pods, pod('gateway-a', 'submariner-gateway', `${id}-1`, 2));
  kube.seed(RESOURCES.pods, pod('agent-a', 'submariner-routeagent', `${id}-1`));
  kube.seed(RESOURCES.pods, {
    metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' }, annotations: { password: SECRETS.password } },
    spec: { nodeName: `${id}-2`, containers: [{ name: 'web', env: [{ name: 'X', value: 'inside' }] }] },
    status: { phase: 'Running', podIP: '10.1.2.3' },
  } as KubeObject);
  kube.seed(RESOURCES.endpoints, {
    metadata: { name: 'e', namespace: OURS },
    spec: endpointSpec(id, '10.0.0.1'),
  } as KubeObject);
  kube.onLogs = (_namespace, name, options) =>
    [
      `log of ${name}${options?.previous === true ? ' before' : ''}`,
      `proxy http://me:${SECRETS.password}@p/`,
      INFO,
    ].join('\n');
  kube.onExec = (_namespace, name, [daemon]) => ({
    exitCode: 0,
    stderr: '',
    stdout: JSON.stringify(
      daemon === 'engine'
        ? { ...engineState(`${id}-1`), problems: [`privateKey=${SECRETS.wireguard} in ${name}`] }
        : routeAgentState(`${id}-1`),
    ),
  });
  seedSecrets(kube);
  return kube;
}

function forbidden(): KubeApiError {
  const attempt = { server: 'x', method: 'GET', path: '/x' };
  return new KubeApiError(403, { reason: 'Forbidden', message: 'not for you' }, attempt);
}

let east: FakeKube;
let west: FakeKube;
let harness: Harness;

function start(options: HarnessOptions = {}): void {
  east = joined('east');
  west = joined('west');
  east.seed(RESOURCES.brokers, { metadata: { name: 'submariner-broker', namespace: BROKER } });
  east.seed(RESOURCES.endpoints, {
    metadata: { name: 'w', namespace: BROKER },
    spec: endpointSpec('west', '10.0.1.1'),
  } as KubeObject);
  east.seed(RESOURCES.secrets, {
    metadata: { name: 'admin-token', namespace: BROKER },
    data: { token: btoa(SECRETS.adminToken) },
  } as KubeObject);
  harness = new Harness({ east, west }, options);
}

function leftovers(): readonly string[] {
  return readdirSync(harness.directory);
}

const NAME = 'submariner-20300101000000.tar.gz';

beforeEach(() => start());

describe('gather', () => {
  test('writes one archive that only its owner reads, prints its name, and the archive is read again', async () => {
    const { stdout, exitCode, stderr } = await harness.run('gather');
    expect([exitCode, stdout]).toEqual([0, `${NAME}\n`]);
    expect(stderr).toContain('from east, west');
    expect(leftovers()).toEqual([NAME]);
    expect(statSync(path.join(harness.directory, NAME)).mode & 0o777).toBe(0o600);
    const archive = await openArchive(path.join(harness.directory, NAME));
    expect(archive).toMatchObject({ version: '9.8.7', createdAt: '2030-01-01T00:00:00.000Z', problems: [] });
    const cluster = clusterInArchive(archive, 'west');
    expect((await cluster.objects(RESOURCES.nodes)).map(({ metadata }) => metadata.name)).toEqual(['west-1', 'west-2']);
    expect(await cluster.objects(RESOURCES.gateways)).toEqual([]);
    expect((await cluster.daemonState({ node: 'west-1', daemon: 'routeagent' })).node).toBe('west-1');
    expect(await cluster.text('logs/gateway-a/submariner-gateway.previous.log')).toContain('gateway-a before');
    expect(await cluster.text('server.json')).toContain('v1.32.4');
    expect(await cluster.text('broker/resources/endpoints.submariner.io.yaml')).toContain('cluster_id: west');
    expect((await clusterInArchive(archive, 'east').objects(RESOURCES.endpoints)).length).toBe(2);
  });

  test('no planted secret is in it, in whatever file or form', async () => {
    await harness.run('gather', '--dir', 'out', '--token', SECRETS.password);
    const all = execFileSync(
      'cat',
      execFileSync('find', ['out', '-type', 'f'], { cwd: harness.directory, encoding: 'utf8' }).trim().split('\n'),
      {
        cwd: harness.directory,
        encoding: 'utf8',
        maxBuffer: 2 ** 26,
      },
    );
    const forms = Object.values(SECRETS).flatMap((secret) => [secret, btoa(secret), btoa(btoa(secret))]);
    expect([...forms, INFO].filter((form) => all.includes(form.replace(/=+$/, '')))).toEqual([]);
    // Each of the places was looked at, and something else was left of it.
    for (const left of [
      'notes',
      'log of gateway-a',
      'BROKER_K8S_APISERVERTOKEN',
      'ceIPSecPSK',
      'ca.crt',
      'in gateway-a',
    ])
      expect(all).toContain(left);
  });

  test('of other people’s pods only what leads a packet to them', async () => {
    await harness.run('gather', '--dir', 'out');
    const pods = await clusterInArchive(await openArchive(path.join(harness.directory, 'out')), 'east').objects<Pod>(
      RESOURCES.pods,
    );
    const web = pods.find(({ metadata }) => metadata.name === 'web');
    expect(web).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'shop', labels: { app: 'web' }, uid: expect.any(String) },
      spec: { nodeName: 'east-2', containers: [] },
      status: { phase: 'Running', podIP: '10.1.2.3' },
    });
    await harness.run('gather', '--dir', 'less', '--no-workloads');
    expect(readFileSync(path.join(harness.directory, 'less/east/resources/pods.yaml'), 'utf8')).not.toContain('web');
  });

  test('a daemon that does not answer, a missing right and a node without agent are noted, the rest is there', async () => {
    east.onExec = () => ({ exitCode: 1, stdout: '', stderr: 'Error: connect ECONNREFUSED\n' });
    east.onCall = ({ verb, resource }) => (verb === 'list' && resource === 'leases' ? forbidden() : undefined);
    const { exitCode, stdout, stderr } = await harness.run('gather', '--context', 'east', '-o', 'json', '--dir', 'out');
    expect(exitCode).toBe(0);
    const { failures } = JSON.parse(stdout).clusters[0];
    expect(
      failures
        .map(({ collector, message }: { collector: string; message: string }) => `${collector}: ${message}`)
        .sort(),
    ).toEqual([
      'leases: not allowed to list leases.coordination.k8s.io in submariner-k8s-broker',
      'leases: not allowed to list leases.coordination.k8s.io in submariner-operator',
      'state: engine on node east-1: pod gateway-a on node east-1 does not tell its state: Error: connect ECONNREFUSED',
      'state: routeagent on node east-1: pod agent-a on node east-1 does not tell its state: Error: connect ECONNREFUSED',
      'state: routeagent on node east-2: no pod of submariner-routeagent runs on node east-2',
    ]);
    expect(stderr).toContain('east: leases: not allowed');
    const page = readFileSync(path.join(harness.directory, 'out/README.md'), 'utf8');
    expect(page).toContain('| leases | not allowed to list leases.coordination.k8s.io in submariner-operator |');
    expect(page).toContain('[resources/nodes.yaml](<east/resources/nodes.yaml>)');
    const cluster = clusterInArchive(await openArchive(path.join(harness.directory, 'out')), 'east');
    await expect(cluster.objects(RESOURCES.leases)).rejects.toThrow(/not allowed to list leases/);
  });

  test.each(COLLECTORS.map(({ name }) => name))('a bug in %s costs no other part', async (name) => {
    const broken = COLLECTORS.find((collector) => collector.name === name)!;
    const { collect } = broken;
    try {
      Object.assign(broken, { collect: async () => Promise.reject(new TypeError('x is undefined')) });
      const { stdout, exitCode } = await harness.run('gather', '--context', 'west', '-o', 'json');
      expect(exitCode).toBe(0);
      const { failures, files } = JSON.parse(stdout).clusters[0];
      expect(failures).toContainEqual({
        collector: name,
        message: expect.stringMatching(/a bug of subctl: TypeError/),
      });
      expect(files).toBeGreaterThan(15);
    } finally {
      Object.assign(broken, { collect });
    }
  });

  test('without the right to read Secrets they are still recognised', async () => {
    west.onCall = ({ resource }) => (resource === 'secrets' ? forbidden() : undefined);
    const { exitCode } = await harness.run('gather', '--context', 'west', '--dir', 'out');
    expect(exitCode).toBe(0);
    const read = (file: string): string => readFileSync(path.join(harness.directory, 'out/west', file), 'utf8');
    expect(read('resources/configmaps.yaml')).not.toContain(INFO);
    expect(read('resources/submariners.submariner.io.yaml')).not.toContain(SECRETS.psk);
    expect(read('../README.md')).toContain('the token of the broker could not be read');
  });

  test('a cluster that is away is named; the others are gathered', async () => {
    east.down = true;
    const { exitCode, stderr, stdout } = await harness.run('gather', '-o', 'json');
    expect(exitCode).toBe(0);
    expect(stderr).toContain('context east: cannot reach the API server');
    const { clusters, problems } = JSON.parse(stdout);
    expect(clusters.map(({ cluster }: { cluster: string }) => cluster)).toEqual(['west']);
    expect(problems).toEqual([{ cluster: 'east', context: 'east', message: expect.stringContaining('cannot reach') }]);
    expect(clusters[0].failures).toContainEqual({
      collector: 'broker',
      message: expect.stringMatching(/^broker https:\/\/east:6443: cannot reach/),
    });
  });

  test('when no cluster answers nothing is written', async () => {
    east.down = true;
    west.down = true;
    const { exitCode, stderr } = await harness.run('gather');
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/no cluster could be looked at:\n {2}context east: .*\n {2}context west: /);
    expect(leftovers()).toEqual([]);
  });

  test('a cluster that has not joined is gathered all the same', async () => {
    const plain = new FakeKube([], 'https://plain:6443');
    plain.seed(RESOURCES.nodes, node('n1'));
    harness = new Harness({ plain });
    const { exitCode, stdout } = await harness.run('gather', '-o', 'json');
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout).clusters[0]).toMatchObject({ cluster: 'plain', joined: false });
  });

  test.each([
    [['--dir', 'there'], /there exists already/],
    [['--file', 'there.tar.gz'], /there\.tar\.gz exists already/],
    [['--file', 'no/such/folder/x.tar.gz'], /cannot write no\/such\/folder\/x\.tar\.gz: (Error: )?ENOENT/],
  ])('%j is refused, and what is there stays', async (args, message) => {
    mkdirSync(path.join(harness.directory, 'there'));
    for (const file of ['there/mine', 'there.tar.gz']) writeFileSync(path.join(harness.directory, file), 'x');
    const { exitCode, stderr } = await harness.run('gather', ...args);
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(message)]);
    expect(leftovers()).toEqual(['there', 'there.tar.gz']);
    expect(readdirSync(path.join(harness.directory, 'there'))).toEqual(['mine']);
  });

  test.each([
    [['--type', 'logs,everything'], /--type knows resources, logs, state, not everything/],
    [['--dir', 'a', '--file', 'b'], /give either --dir or --file/],
    [['--include-sensitive-data'], /secrets never get into an archive/],
    [['--contexts', 'east,nowhere'], /the kubeconfig has no context nowhere/],
    [['--log-lines', '0'], /whole number/],
    [['--nodes', 'east-1,east-9'], /no cluster has a node east-9; they have east-1, east-2, west-1, west-2/],
  ])('%j is wrong usage', async (args, message) => {
    const { exitCode, stderr } = await harness.run('gather', ...args);
    expect([exitCode, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(leftovers()).toEqual([]);
  });

  test('types and nodes choose', async () => {
    await harness.run('gather', '--type', 'logs,state', '--nodes', 'east-2', '--context', 'east', '--dir', 'out');
    const index = JSON.parse(readFileSync(path.join(harness.directory, 'out/index.json'), 'utf8'));
    expect(index.clusters[0].files).toEqual([]);
    expect(index.clusters[0].failures).toEqual([{ collector: 'state', message: expect.stringContaining('east-2') }]);
    await harness.run(
      'gather',
      '--type',
      'logs',
      '--nodes',
      'east-1',
      '--context',
      'east',
      '--dir',
      'two',
      '--log-lines',
      '7',
    );
    expect(readdirSync(path.join(harness.directory, 'two/east'))).toEqual(['logs']);
  });
});

test('two contexts of one cluster: it is gathered once, and that is said', async () => {
  harness.contexts = ['east', 'again'].map((name) => ({
    name,
    cluster: 'east',
    user: name,
    namespace: undefined,
    server: east.server,
  }));
  const { exitCode, stdout, stderr } = await harness.run('gather', '--contexts', 'east,again', '-o', 'json');
  expect(exitCode).toBe(0);
  expect(stderr).toContain('contexts east and again are the same cluster; it is gathered from once');
  expect(JSON.parse(stdout).clusters).toHaveLength(1);
});

describe('gather that does not come to its end', () => {
  function hang(kube: FakeKube): Promise<void> {
    const asked = Promise.withResolvers<void>();
    kube.exec = async () => {
      asked.resolve();
      return new Promise(() => undefined);
    };
    return asked.promise;
  }

  test('when time is up what is there by then is kept', async () => {
    void hang(east);
    const { exitCode, stdout } = await harness.run('gather', '--context', 'east', '--timeout', '500ms', '-o', 'json');
    expect(exitCode).toBe(0);
    const [cluster] = JSON.parse(stdout).clusters;
    expect(cluster.failures).toContainEqual({ collector: 'state', message: 'time was up before it was done' });
    expect(cluster.files).toBeGreaterThan(20);
    await expect(openArchive(path.join(harness.directory, NAME))).resolves.toMatchObject({ problems: [] });
  });

  test('a cluster that never answers is given up when time is up', async () => {
    west.find = async () => new Promise(() => undefined);
    const { exitCode, stdout } = await harness.run('gather', '--timeout', '300ms', '-o', 'json');
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout).problems).toEqual([
      { cluster: 'west', context: 'west', message: 'time was up before it had answered' },
    ]);
  });

  test.each([
    ['--file', 'x.tar.gz'],
    ['--dir', 'new'],
    ['--dir', 'empty'],
  ])('interrupted, %s %s is removed and it says so', async (flag, name) => {
    const interruption = new AbortController();
    start({ interrupted: interruption.signal });
    mkdirSync(path.join(harness.directory, 'empty'));
    const asked = hang(east);
    const running: Promise<RunOutcome> = harness.run('gather', flag, name);
    await asked;
    interruption.abort();
    const { exitCode, stderr } = await running;
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringContaining(`interrupted; ${name} was not finished and has been removed`),
    ]);
    expect(leftovers()).toEqual(['empty']);
    expect(readdirSync(path.join(harness.directory, 'empty'))).toEqual([]);
    expect(existsSync(path.join(harness.directory, name))).toBe(name === 'empty');
  });
});

test('folders of clusters are plain and each is there once', () => {
  expect(directoriesOf(['a', 'arn:aws:eks/x', 'A', '..', '../..', ''])).toEqual([
    'a',
    'arn_aws_eks_x',
    'A-2',
    '_',
    '__..',
    '_-2',
  ]);
});
