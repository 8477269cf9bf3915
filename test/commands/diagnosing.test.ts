import { describe, expect, test } from '@jest/globals';
import type { CheckResult } from '../../src/commands/diagnose/report.ts';
import { PROBER_PORT, type ProbeOrder, type ProbeReport } from '../../src/host/prober/protocol.ts';
import type { ExecResult, KubeObject } from '../../src/kube/client.ts';
import { KubeApiError } from '../../src/kube/errors.ts';
import type { Pod } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { FakeKube } from '../fakes/kube.ts';
import { endpointSpec, Harness, node } from './harness.ts';

const NAMESPACE = 'submariner-operator';
const at = (name: string, labels: Readonly<Record<string, string>> = {}): KubeObject['metadata'] => ({
  name,
  namespace: NAMESPACE,
  labels,
});

const GOOD: Omit<ProbeReport, 'id'> = {
  icmp: { sent: 5, received: 5, rttMs: 1, failure: '' },
  pathMtu: { triedBytes: 1450, largestBytes: 1450, toldBytes: null, blackHole: false },
  tcp: { ok: true, connectMs: 1, clientIP: '', upBytes: 65_536, downBytes: 65_536, failure: '' },
  udp: { bursts: [{ bytes: 84, sent: 20, there: 20, back: 20 }], clientIP: '', failure: '' },
};

/** What a prober says: good of everything it is asked for, unless changed. */
function answer(pod: string, order: ProbeOrder, change: (target: string) => Partial<ProbeReport>): string {
  const clientIP = pod.replace('probe-', '10.7.0.');
  const good = { ...GOOD, tcp: { ...GOOD.tcp, clientIP }, udp: { ...GOOD.udp, clientIP } };
  return order.targets
    .map((target) => {
      const asked = Object.entries(good).filter(([kind]) => kind in target);
      return JSON.stringify({ id: target.id, ...Object.fromEntries(asked), ...change(target.address) });
    })
    .join('\n');
}

/** A cluster that has joined and in which all is well; its pods are ready at once. */
function joinedCluster(id: string, other: string): FakeKube {
  const kube = new FakeKube([], `https://${id}:6443`);
  kube.seed(RESOURCES.namespaces, { metadata: { name: 'kube-system', uid: `uid-${id}` } });
  const spec = { clusterID: id, brokerK8sApiServer: 'b:6443', brokerK8sRemoteNamespace: 'broker', natEnabled: false };
  kube.seed(RESOURCES.submariners, { metadata: at('submariner'), spec } as KubeObject);
  for (const type of ['clusters', 'endpoints', 'gateways', 'routeagents'])
    kube.seed(RESOURCES.crds, { metadata: { name: `${type}.submariner.io` } });
  for (const name of [`${id}-1`, `${id}-2`]) seedNode(kube, id, name);
  const status = { observedGeneration: 1, updatedNumberScheduled: 2, numberReady: 2 };
  for (const name of ['submariner-gateway', 'submariner-routeagent']) {
    kube.seed(RESOURCES.daemonSets, {
      metadata: { ...at(name), generation: 1 },
      spec: { selector: {}, template: { spec: { containers: [] } } },
      status: { ...status, desiredNumberScheduled: 2, currentNumberScheduled: 2 },
    } as KubeObject);
  }
  for (const [name, key] of [
    ['submariner-ipsec-psk', 'psk'],
    ['submariner-broker-secret', 'token'],
  ]) {
    kube.seed(RESOURCES.secrets, { metadata: at(name!), data: { [key!]: 'eA==' } } as KubeObject);
  }
  const endpoint = { ...endpointSpec(other, '10.0.0.2'), healthCheckIP: '10.9.0.1' };
  kube.seed(RESOURCES.endpoints, { metadata: at(other), spec: endpoint } as KubeObject);
  const connection = { status: 'connected', statusMessage: '', endpoint, usingIP: '10.0.0.2' };
  kube.seed(RESOURCES.gateways, {
    metadata: at(`${id}-1`),
    status: {
      version: '9.8.7',
      haStatus: 'active',
      statusFailure: '',
      localEndpoint: endpointSpec(id, '10.0.0.1'),
      connections: [connection],
    },
  } as KubeObject);
  answerRequests(kube);
  return kube;
}

function seedNode(kube: FakeKube, id: string, name: string): void {
  kube.seed(RESOURCES.nodes, node(name, { 'submariner.io/gateway': name.endsWith('1') ? 'true' : 'false' }));
  kube.seed(RESOURCES.routeAgents, {
    metadata: at(name),
    status: { version: '9.8.7', statusFailure: '', remoteEndpoints: [] },
  } as KubeObject);
  kube.seed(RESOURCES.pods, {
    metadata: at(`agent-${name}`, { app: 'submariner-routeagent' }),
    spec: { nodeName: name, containers: [{ name: 'a', image: `img/${id}:1` }] },
    status: { phase: 'Running', containerStatuses: [] },
  } as KubeObject);
}

function answerRequests(kube: FakeKube): void {
  kube.onRequest = (_method, path) => (path === '/version' ? { gitVersion: 'v1.32.4' } : undefined);
  kube.onCall = ({ verb, resource, namespace }) => {
    if (verb === 'list' && resource === 'pods' && namespace?.startsWith('subctl-test-')) makeReady(kube, namespace);
    return undefined;
  };
}

function makeReady(kube: FakeKube, namespace: string): void {
  for (const [index, pod] of kube.all<Pod>(RESOURCES.pods, namespace).entries()) {
    if (pod.status !== undefined) continue;
    kube.drop(RESOURCES.pods, pod.metadata.name!, namespace);
    const conditions = [{ type: 'Ready', status: 'True' as const }];
    kube.seed(RESOURCES.pods, { ...pod, status: { phase: 'Running', podIP: `10.7.0.${index + 1}`, conditions } });
  }
}

interface Machine {
  readonly harness: Harness;
  readonly east: FakeKube;
  readonly west: FakeKube;
  /** Orders by the pod that was to carry them out. */
  readonly orders: Map<string, ProbeOrder>;
}

function machine(change: (pod: string, address: string) => Partial<ProbeReport> = () => ({})): Machine {
  const [east, west] = [joinedCluster('east', 'west'), joinedCluster('west', 'east')];
  const orders = new Map<string, ProbeOrder>();
  for (const kube of [east, west]) {
    kube.onExec = async (_namespace, pod, command, options): Promise<ExecResult> => {
      expect(command).toEqual(['routeagent', 'probe', 'send']);
      const order = JSON.parse((await options?.stdin) ?? '') as ProbeOrder;
      orders.set(pod, order);
      return { exitCode: 0, stdout: answer(pod, order, (address) => change(pod, address)), stderr: '' };
    };
  }
  return { harness: new Harness({ east, west }), east, west, orders };
}

interface Printed {
  readonly checks: readonly CheckResult[];
  readonly problems: readonly object[];
}

async function checks({ harness }: Machine, ...args: readonly string[]): Promise<Printed & { readonly code: number }> {
  const { stdout, stderr, exitCode } = await harness.run('diagnose', ...args, '-o', 'json');
  expect(stderr).not.toContain('Bug in');
  return { ...(JSON.parse(stdout) as Printed), code: exitCode };
}

const named = (printed: Printed, cluster: string, check: string): CheckResult =>
  printed.checks.find((one) => one.cluster === cluster && one.check === check)!;

const testNamespaces = (kube: FakeKube): readonly KubeObject[] =>
  kube.all(RESOURCES.namespaces).filter(({ metadata }) => metadata.name?.startsWith('subctl-test-'));

describe('diagnose', () => {
  test('of two clusters in which all is well', async () => {
    const world = machine();
    const printed = await checks(world, 'all');
    expect(printed.checks.filter(({ status }) => !['ok', 'warning'].includes(status))).toEqual([]);
    expect(printed.code).toBe(0);
    expect(printed.problems).toEqual([]);
    expect(world.orders.size).toBe(6);
    expect(world.orders.get('agent-east-2')?.targets.map(({ address }) => address)).toEqual([
      '10.9.0.1',
      '10.7.0.1',
      '10.7.0.2',
    ]);
    expect([...testNamespaces(world.east), ...testNamespaces(world.west)]).toEqual([]);
  });

  test('test pods run what the route agent runs, pinned to nodes, as strictly as can be', async () => {
    const world = machine();
    const created: Pod[] = [];
    world.east.onCall = ({ verb, resource, namespace }) => {
      if (verb === 'list' && resource === 'pods' && namespace?.startsWith('subctl-test-')) {
        makeReady(world.east, namespace);
        created.push(...world.east.all<Pod>(RESOURCES.pods, namespace));
      }
      return undefined;
    };
    await checks(world, 'connections');
    expect(created.map(({ spec }) => spec.nodeName)).toEqual(['east-1', 'east-2']);
    expect(created[0]?.spec).toMatchObject({
      automountServiceAccountToken: false,
      activeDeadlineSeconds: 900,
      containers: [
        { image: 'img/east:1', args: ['probe', 'serve'], readinessProbe: { tcpSocket: { port: PROBER_PORT } } },
      ],
    });
  });

  test('packets that do not arrive, though every status says connected', async () => {
    const lost = { sent: 5, received: 0, rttMs: null, failure: 'no answer within 1.5 s' };
    const world = machine((pod) => (pod === 'agent-east-2' ? { icmp: lost } : {}));
    const printed = await checks(world, 'connections');
    expect(printed.code).toBe(1);
    expect(named(printed, 'east', 'tunnels').status).toBe('ok');
    expect(named(printed, 'west', 'nodes').status).toBe('ok');
    expect(named(printed, 'east', 'nodes')).toMatchObject({
      status: 'failed',
      findings: [{ object: 'node east-2 (east)', reason: 'nothing gets from it to west: no answer within 1.5 s' }],
      doc: 'docs/diagnose.md#connections-nodes',
    });
  });

  test('a node without route agent is named, and so is what could not be tried from it', async () => {
    const world = machine();
    world.west.drop(RESOURCES.pods, 'agent-west-2', NAMESPACE);
    const printed = await checks(world, 'all');
    expect(named(printed, 'west', 'every-node')).toMatchObject({
      status: 'failed',
      findings: [{ object: 'node west-2', reason: 'has no pod of it' }],
    });
    expect(named(printed, 'west', 'tried').findings[0]).toMatchObject({ object: 'node west-2' });
  });

  test('a prober that cannot be run is a failure, not green', async () => {
    const world = machine();
    world.east.onExec = async () => ({ exitCode: 127, stdout: '', stderr: 'routeagent: not found' });
    const printed = await checks(world, 'connections');
    expect(printed.code).toBe(1);
    expect(named(printed, 'east', 'nodes').status).toBe('failed');
    expect(named(printed, 'east', 'tried').findings[0]?.reason).toContain('routeagent: not found');
    expect(testNamespaces(world.east)).toEqual([]);
  });

  test('pods that do not become ready are told with the reason, and removed', async () => {
    const world = machine();
    world.east.onCall = undefined;
    const printed = await checks(world, 'connections');
    expect(named(printed, 'east', 'tried').findings).toEqual(
      ['east-1', 'east-2'].map((name) => expect.objectContaining({ object: `test pod on node ${name}` })),
    );
    expect(testNamespaces(world.east)).toEqual([]);
  });

  test('creates nothing with --no-test-pods, and says what that leaves out', async () => {
    const world = machine();
    const printed = await checks(world, 'connections', '--no-test-pods');
    expect(world.east.writes).toEqual([]);
    expect(named(printed, 'east', 'nodes').status).toBe('ok');
    expect(named(printed, 'east', 'pod-streams').status).toBe('skipped');
  });

  test('the output for people: sentences under headings, counted at the end', async () => {
    const { harness, west } = machine();
    west.drop(RESOURCES.pods, 'agent-west-2', NAMESPACE);
    const { stdout, stderr, exitCode } = await harness.run('diagnose', 'deployment');
    expect(stdout).toContain('Cluster "east"\ndeployment\n ✓ The cluster has joined (as east)\n');
    expect(stdout).toContain(' ✗ Every ready node runs a route agent\n     node west-2: has no pod of it\n     Mend: ');
    expect(stderr).toContain('Error: 16 checks: 15 ok, 1 failed\nHint: ');
    expect(exitCode).toBe(1);
    const quiet = await harness.run('diagnose', 'deployment', '-q');
    expect(quiet.stdout.split('\n').filter((line) => line.startsWith(' '))).toHaveLength(4);
    const names = await harness.run('diagnose', 'deployment', '-o', 'name');
    expect(names.stdout).toBe('check/west/deployment/every-node\n');
  });
});

describe('bad input', () => {
  test('two contexts of one cluster: it is examined once, and that is said', async () => {
    const { harness, east } = machine();
    harness.contexts = ['east', 'again'].map((name) => ({
      name,
      cluster: 'east',
      user: name,
      namespace: undefined,
      server: east.server,
    }));
    const { stdout, stderr } = await harness.run('diagnose', 'k8s', '--contexts', 'east,again');
    expect(stderr).toContain('contexts east and again are the same cluster');
    expect(stdout.match(/Cluster "/g)).toHaveLength(1);
  });

  test('a cluster that has not joined: a failure when it was named, else passed over', async () => {
    const world = machine();
    world.west.drop(RESOURCES.submariners, 'submariner', NAMESPACE);
    const passed = await checks(world, 'connections');
    expect(named(passed, 'west', 'joined')).toMatchObject({ status: 'skipped' });
    const chosen = await checks(world, 'connections', '--context', 'west');
    expect(chosen.code).toBe(1);
    expect(named(chosen, 'west', 'joined')).toMatchObject({
      status: 'failed',
      findings: [{ reason: expect.stringContaining('there is no Submariner object') }],
    });
    expect(chosen.checks).toHaveLength(1);
  });

  test('no right to make a namespace: said with what was refused, nothing is left, nothing is called removed', async () => {
    const world = machine();
    const refusal = new KubeApiError(
      403,
      { message: 'namespaces is forbidden', reason: 'Forbidden' },
      { server: 'https://west:6443', method: 'POST', path: '/api/v1/namespaces' },
    );
    world.west.onCall = ({ verb, resource }) => (verb === 'create' && resource === 'namespaces' ? refusal : undefined);
    const { stdout, stderr, exitCode } = await world.harness.run('diagnose', 'connections');
    expect(exitCode).toBe(1);
    expect(stdout).toContain('namespaces is forbidden');
    expect(stderr).not.toContain('was not removed');
    expect([...testNamespaces(world.east), ...testNamespaces(world.west)]).toEqual([]);
  });

  test('no right to look at all', async () => {
    const world = machine();
    world.west.onCall = () =>
      new KubeApiError(403, { message: 'forbidden' }, { server: 'https://west:6443', method: 'GET', path: '/x' });
    const printed = await checks(world, 'deployment');
    expect(printed.code).toBe(1);
    expect(printed.problems).toEqual([expect.objectContaining({ context: 'west' })]);
  });

  test('a removal that fails is told with the command that finishes it', async () => {
    const world = machine();
    const before = world.east.onCall;
    world.east.onCall = (call) =>
      call.verb === 'delete' && call.resource === 'namespaces'
        ? new KubeApiError(500, { message: 'no' }, { server: 'https://east:6443', method: 'DELETE', path: '/x' })
        : before?.(call);
    const { stderr } = await world.harness.run('diagnose', 'connections');
    expect(stderr).toMatch(/kubectl --context east delete namespace subctl-test-[0-9a-f]{8}/);
  });

  test('an unknown category', async () => {
    const { exitCode, stderr } = await machine().harness.run('diagnose', 'weather');
    expect(exitCode).toBe(2);
    expect(stderr).toContain('weather');
  });
});
