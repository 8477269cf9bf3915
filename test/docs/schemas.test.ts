import { AVAILABILITY_ANNOTATION } from '../../src/api/availability.ts';
import { DRIVER_CHANGE_ANNOTATION } from '../../src/api/driverchange.ts';
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { CheckResult } from '../../src/commands/diagnose/report.ts';
import type { End, Hop } from '../../src/commands/explain/model.ts';
import type { Explanation } from '../../src/commands/explain/render.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import { KubeApiError, KubeConnectionError } from '../../src/kube/errors.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { Fault } from '../../src/sandbox/fabric/fault-text.ts';
import type { ClusterStatus, NodeStatus, SandboxStatus } from '../../src/sandbox/lifecycle/status.ts';
import { endpointSpec, Harness, node, withControllers } from '../commands/harness.ts';
import { latencyItems, throughputItems, type Way } from '../../src/commands/benchmark/figures.ts';
import type { Case } from '../../src/commands/verify/cases.ts';
import type { FailoverResult } from '../../src/commands/verify/failover.ts';
import type { CaseResult } from '../../src/commands/verify/judge.ts';
import { structuredVerification } from '../../src/commands/verify/report.ts';
import { FakeKube } from '../fakes/kube.ts';
import { page } from './pages.ts';

const NAMESPACE = 'submariner-operator';
const GUIDE = page('docs/scripting.md').text;
const RTT = { last: '1ms', min: '1ms', average: '1.5ms', max: '2ms', stdDev: '0.1ms' };

/** One row of a schema. */
interface Field {
  readonly path: string;
  readonly types: readonly string[];
  readonly optional: boolean;
}

/** The rows of the schema below a heading of scripting.md; empty when there is none. */
function schema(heading: string): readonly Field[] {
  const [, after = ''] = GUIDE.split(`\n### ${heading}\n`);
  const [section = ''] = after.split(/\n#/);
  return [...section.matchAll(/^\| `(?<path>[\w.]+)` \| (?<type>[^|]+) \| ?(?<meaning>[^|]*)\|$/gm)].map(
    ({ groups: { path = '', type = '', meaning = '' } = {} }) => ({
      path,
      types: type.trim().split(' or '),
      optional: meaning.trim().startsWith('optional'),
    }),
  );
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (!Array.isArray(value)) return typeof value;
  return typeof value[0] === 'object' ? 'list of objects' : 'list of strings';
}

/** Whether the table says nothing of what is inside an object. */
function isOpaque(path: string, fields: readonly Field[]): boolean {
  return !fields.some((field) => field.path.startsWith(`${path}.`));
}

/** `path: type` of everything in a value that the table has to tell. */
function typesIn(value: unknown, fields: readonly Field[], prefix = ''): readonly string[] {
  if (Array.isArray(value)) return value.flatMap((item: unknown) => typesIn(item, fields, prefix));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]: readonly [string, unknown]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    return [`${path}: ${typeOf(inner)}`, ...(isOpaque(path, fields) ? [] : typesIn(inner, fields, path))];
  });
}

/** What is wrong with a value, one line each. An empty list fits every list. */
function differences(value: unknown, fields: readonly Field[]): readonly string[] {
  const found = new Set(typesIn(value, fields));
  const paths = new Set([...found].map((line) => line.split(': ')[0] ?? ''));
  const unknown = [...found].filter((line) => {
    const [path = '', type = ''] = line.split(': ');
    const types = fields.find((field) => field.path === path)?.types ?? [];
    return !types.includes(type) && !(type === 'list of strings' && types.some((one) => one.startsWith('list')));
  });
  const missing = fields.filter(({ path, optional }) => !optional && !paths.has(path));
  return [...unknown.map((line) => `not in the table: ${line}`), ...missing.map(({ path }) => `not printed: ${path}`)];
}

/** Two clusters: east is the broker, both have joined and are connected. */
function clusters(): { readonly east: FakeKube; readonly west: FakeKube } {
  const east = withControllers(new FakeKube([], 'https://east:6443'), 'uid-east');
  const west = withControllers(new FakeKube([], 'https://west:6443'), 'uid-west');
  east.seed(RESOURCES.nodes, node('east-1', { 'kubernetes.io/arch': 'amd64' }));
  west.seed(RESOURCES.nodes, node('west-1'));
  return { east, west };
}

function seedStatus(kube: FakeKube): void {
  const at = (name: string): KubeObject['metadata'] => ({ name, namespace: NAMESPACE });
  const spec = {
    cluster_id: 'west',
    cluster_cidr: ['10.131.0.0/16'],
    service_cidr: ['100.67.0.0/16'],
    global_cidr: [],
  };
  kube.seed(RESOURCES.clusters, { metadata: at('west'), spec } as KubeObject);
  const endpoint = endpointSpec('west', '10.0.0.2');
  const connection = { status: 'connected', statusMessage: '', endpoint, usingIP: '10.0.0.2', latencyRTT: RTT };
  const lastFailover = {
    at: '2030-01-01T00:00:00.000Z',
    from: 'east-2',
    cause: 'gateway east-2 is silent',
    durationMs: 640,
  };
  const availability = { ready: true, reason: '', since: lastFailover.at, slots: 2, cables: [], lastFailover };
  const driverChange = {
    from: 'libreswan',
    to: 'wireguard',
    announced: true,
    clusters: ['west'],
    gateways: ['east-2'],
  };
  kube.seed(RESOURCES.gateways, {
    metadata: {
      ...at('east-1'),
      annotations: {
        [AVAILABILITY_ANNOTATION]: JSON.stringify(availability),
        [DRIVER_CHANGE_ANNOTATION]: JSON.stringify(driverChange),
      },
    },
    status: {
      version: '9.8.7',
      haStatus: 'active',
      statusFailure: '',
      localEndpoint: { ...endpointSpec('east', '10.0.0.1'), backend_config: { 'udp-port': '4500' } },
      connections: [connection, { ...connection, latencyRTT: undefined }],
    },
  } as KubeObject);
  const remoteEndpoints = [{ spec: endpoint, status: 'connected', statusMessage: '' }];
  kube.seed(RESOURCES.routeAgents, {
    metadata: at('east-2'),
    status: { version: '9.8.7', statusFailure: '', remoteEndpoints },
  } as KubeObject);
}

/** What uninstall prints of a cluster that nobody has joined, but for its nodes, which are cleaned elsewhere. */
async function uninstalled(): Promise<unknown> {
  const lone = withControllers(new FakeKube([], 'https://lone:6443'), 'uid-lone');
  lone.seed(RESOURCES.clusterRoles, { metadata: { name: 'submariner-gateway' } });
  const away = { metadata: { name: 'n1' }, status: { conditions: [{ type: 'Ready', status: 'False' }] } };
  lone.seed(RESOURCES.nodes, away);
  lone.seed(RESOURCES.namespaces, { metadata: { name: NAMESPACE } });
  const { stdout } = await new Harness({ lone }).run('uninstall', '--yes', '-o', 'json');
  return JSON.parse(stdout);
}

const printed = new Map<string, unknown>();

beforeAll(async () => {
  const { east, west } = clusters();
  const harness = new Harness({ east, west });
  const json = async (...args: readonly string[]): Promise<unknown> => {
    const { stdout, stderr, exitCode } = await harness.run(...args, '-o', 'json');
    expect(exitCode === 0 ? '' : stderr).toBe('');
    return JSON.parse(stdout);
  };
  printed.set('version', await json('version'));
  printed.set('deploy-broker', await json('deploy-broker', '--context', 'east'));
  const cidrs = ['--clustercidr', '10.130.0.0/16', '--servicecidr', '100.66.0.0/16'];
  printed.set('join', await json('join', 'broker-info.subm', '--context', 'east', ...cidrs));
  printed.set('credentials show', await json('credentials', 'show', '--context', 'east'));
  await json('broker-info', 'create', '--clusterid', 'west');
  printed.set('broker-info list', await json('broker-info', 'list'));
  east.drop(RESOURCES.gateways, 'n1', NAMESPACE);
  seedStatus(east);
  const views = [
    'brokers',
    'clusters',
    'connections',
    'endpoints',
    'gateways',
    'networks',
    'routeagents',
    'versions',
    'topology',
    'all',
  ];
  for (const view of views) printed.set(`show ${view}`, await json('show', view, '--context', 'east'));
  printed.set('uninstall', await uninstalled());
});

const VIEWS = ['connections', 'endpoints', 'gateways', 'networks', 'routeagents', 'clusters', 'brokers', 'versions'];

describe('the schemas in scripting.md', () => {
  test.each(VIEWS)('show %s: fields and types are those printed', (view) => {
    const { items, problems, ...rest } = printed.get(`show ${view}`) as Readonly<Record<string, readonly object[]>>;
    expect(rest).toEqual({});
    expect(problems).toEqual([]);
    expect(items!.length).toBeGreaterThan(0);
    expect(differences(items, schema(`show ${view}`))).toEqual([]);
  });

  test.each(['show all', 'show topology', 'version', 'join', 'uninstall', 'deploy-broker'])('%s', (command) => {
    expect(differences(printed.get(command), schema(command))).toEqual([]);
  });

  test.each(['credentials show', 'broker-info list'])('%s: fields and types are those printed', (command) => {
    const { items } = printed.get(command) as { readonly items: readonly object[] };
    expect(items.length).toBeGreaterThan(0);
    expect(differences(items, schema(command))).toEqual([]);
  });

  test('--watch adds the time', async () => {
    const { east } = clusters();
    const { stdout } = await new Harness({ east }).run('show', 'brokers', '--watch', '--timeout', '1s', '-o', 'json');
    const { items, problems, ...rest } = JSON.parse(stdout) as Readonly<Record<string, unknown>>;
    expect([items, problems]).toEqual([[], []]);
    expect(differences(rest, schema('Watching'))).toEqual([]);
  });

  test('clusters that could not be looked at stand in problems', async () => {
    const { east } = clusters();
    const attempt = { server: 'https://east:6443', method: 'GET', path: '/' };
    east.onCall = () => {
      throw new KubeConnectionError(new Error('gone'), attempt);
    };
    const harness = new Harness({ east });
    const { stdout, exitCode } = await harness.run('show', 'connections', '--context', 'east', '-o', 'json');
    expect(exitCode).toBe(1);
    const answer = JSON.parse(stdout) as { readonly problems: readonly object[] };
    expect(answer).toEqual({ items: [], problems: [expect.any(Object)] });
    const [, told = ''] = /^\| `problems` \|[^|]*\| clusters that could not be looked at: (.*?)\./m.exec(GUIDE) ?? [];
    expect(
      Object.keys(answer.problems[0]!)
        .map((key) => `\`${key}\``)
        .join(', '),
    ).toBe(told);
  });

  test('diagnose', () => {
    const finding = { object: 'node a', reason: 'gone', hint: 'Bring it back.' };
    const check: Required<CheckResult> = {
      cluster: 'east',
      category: 'k8s',
      check: 'nodes',
      title: 'All nodes are ready',
      status: 'failed',
      message: '',
      findings: [finding],
      doc: 'docs/diagnose.md#k8s-nodes',
    };
    expect(differences({ checks: [check], problems: [{}] }, schema('diagnose'))).toEqual([]);
  });

  test('diff', async () => {
    const { east, west } = clusters();
    const harness = new Harness({ east, west });
    await harness.run('deploy-broker', '--context', 'east');
    const cidrs = ['--clustercidr', '10.131.0.0/16', '--servicecidr', '100.67.0.0/16'];
    await harness.run('join', 'broker-info.subm', '--context', 'west', ...cidrs);
    east.drop(RESOURCES.brokers, 'submariner-broker', 'submariner-k8s-broker');
    const spec = { natEnabled: false, debug: true };
    await west.patch(
      RESOURCES.submariners,
      'submariner',
      { spec },
      { namespace: NAMESPACE, patchType: 'merge', fieldManager: 'x' },
    );
    const { stdout, exitCode } = await harness.run('diff', '--context', 'west', '-o', 'json');
    expect(exitCode).toBe(1);
    const answer = JSON.parse(stdout) as { readonly items: readonly { readonly changes: readonly object[] }[] };
    expect(answer.items.some(({ changes }) => changes.length > 0)).toBe(true);
    expect(differences({ ...answer, problems: [{}] }, schema('diff'))).toEqual([]);
    const pod = { name: 'g', namespace: NAMESPACE, labels: { app: 'submariner-gateway' } };
    west.seed(RESOURCES.pods, { metadata: pod, spec: { nodeName: 'west-1', containers: [] } } as KubeObject);
    const planned = await harness.run(
      'upgrade',
      '--context',
      'west',
      '--dry-run',
      '--repository',
      'registry.example',
      '-o',
      'json',
    );
    const plan = JSON.parse(planned.stdout) as object;
    expect(differences({ ...plan, steps: [{ step: 'x', seconds: 1 }] }, schema('upgrade'))).toEqual([]);
  });

  test('gather', async () => {
    const { east } = clusters();
    east.onCall = ({ verb, resource }) => {
      const attempt = { server: 'https://east:6443', method: 'GET', path: '/' };
      const refused = verb === 'list' && resource === 'leases';
      return refused ? new KubeApiError(403, { reason: 'Forbidden' }, attempt) : undefined;
    };
    const { stdout, exitCode } = await new Harness({ east }).run('gather', '-o', 'json');
    expect(exitCode).toBe(0);
    expect(differences(JSON.parse(stdout), schema('gather'))).toEqual([]);
  });

  test('explain', () => {
    const end: Required<End> = { cluster: 'east', kind: 'pod', name: 'pod a/b', address: '10.0.0.1', node: 'n' };
    const hop: Required<Hop> = {
      way: 'there',
      cluster: 'east',
      node: 'n',
      what: 'route',
      status: 'ok',
      detail: '',
      cause: '',
      mend: '',
    };
    const whole: Explanation = { from: end, to: end, hops: [hop], broken: null };
    expect(differences(whole, schema('explain'))).toEqual([]);
    expect(differences({ ...whole, broken: hop }, schema('explain'))).toEqual([]);
  });

  test('verify', () => {
    const at = { node: 'n', gateway: true };
    const tested: Case = {
      id: '1',
      aspect: 'tcp',
      from: { ...at, cluster: 'east', kind: 'pod', address: '10.130.1.2' },
      to: { ...at, cluster: 'west', kind: 'service', address: '100.67.0.1' },
      targets: [],
    };
    const result: Required<CaseResult> = {
      tested,
      status: 'passed',
      message: '',
      rttMs: 1.5,
      sourceSeen: '10.130.1.2',
      sourceExpected: '10.130.1.2',
    };
    const flow = {
      from: 'east',
      to: 'west',
      protocol: 'udp',
      sent: 1,
      received: 1,
      lost: 0,
      longestOutageMs: 0,
    } as const;
    const failover: Required<FailoverResult> = {
      cluster: 'east',
      kind: 'restart',
      gateway: 'n',
      successor: 'n',
      status: 'passed',
      message: '',
      seconds: 9.5,
      flows: [{ ...flow, reconnects: 0, failure: '' }],
    };
    const results = [result, { ...result, rttMs: null }];
    const found = { clusters: ['east', 'west'], results, failovers: [failover], conclusions: [], causes: ['c'] };
    for (const evidence of ['/e', null]) {
      expect(differences(structuredVerification({ ...found, evidence }), schema('verify'))).toEqual([]);
    }
  });

  test('benchmark', () => {
    const end = { cluster: 'east', node: 'n', gateway: true };
    const ways: readonly Way[] = (['host', 'pods'] as const).map((network) => ({ network, from: end, to: end }));
    const settings = { clusters: ['east', 'west'], streams: 1, seconds: 10 };
    const use = { machine: 'm', cores: 2, busy: 1, idle: 0, own: 0.5 };
    const carried = { bytes: 1, seconds: 1, bitsPerSecond: 1e9, streams: 1, retransmits: 3, client: use, server: use };
    const rttMs = { count: 1, min: 1, mean: 1, p50: 1, p90: 1, p99: 1, p999: 1, max: 1, stdDev: 1 };
    const took = { rttMs, perSecond: 1, bytes: 64, streams: 1 };
    const failed = { way: ways[0]!, report: undefined, failure: 'why' };
    const good = <T>(report: T) => ways.map((way) => ({ way, report, failure: '' }));
    const throughput = { kind: 'throughput', ...settings, runs: throughputItems([...good(carried), failed]) };
    expect(differences(throughput, schema('benchmark throughput'))).toEqual([]);
    const latency = { kind: 'latency', ...settings, bytes: 64, runs: latencyItems([...good(took), failed]) };
    expect(differences(latency, schema('benchmark latency'))).toEqual([]);
  });

  test('sandbox status', () => {
    const nodeStatus: Required<NodeStatus> = {
      name: 'east-1',
      address: '172.31.0.11',
      podCidr: '10.130.1.0/24',
      gateway: true,
      state: 'running',
      ready: 'True',
    };
    const cluster: Required<ClusterStatus> = {
      name: 'east',
      server: 'https://198.18.0.11:6443',
      podCidr: '10.130.0.0/16',
      serviceCidr: '100.66.0.0/16',
      problem: 'away',
      nodes: [nodeStatus],
      pods: { total: 4, ready: 4 },
    };
    const faults: readonly Fault[] = [
      { kind: 'blackhole', target: 'east-1', direction: 'both', only: 'wan' },
      { kind: 'loss', target: 'east-1', percent: 5 },
      { kind: 'partition', a: 'east', b: 'west' },
      { kind: 'cut', a: 'east-1', b: 'east-2' },
      { kind: 'refused', target: 'control-plane.east' },
      { kind: 'paused', target: 'east-1', program: 'engine' },
    ];
    const status: Required<SandboxStatus> = {
      name: 'demo',
      createdAt: '2026-01-01T00:00:00Z',
      directory: '/d',
      kubeconfig: '/d/kubeconfig',
      proxy: 'http://127.0.0.1:1',
      controlPlane: 'embedded',
      faults,
      clusters: [cluster],
    };
    expect(differences(status, schema('sandbox status'))).toEqual([]);
    const words = new Set(faults.flatMap((fault) => [fault.kind, ...Object.keys(fault)]));
    for (const word of words) expect(GUIDE).toContain(`\`${word}\``);
  });

  test('a field that is missing, invented, or of another type would be found', () => {
    const fields: readonly Field[] = [
      { path: 'a', types: ['string'], optional: false },
      { path: 'b', types: ['number'], optional: false },
      { path: 'c', types: ['string'], optional: true },
    ];
    expect(differences([{ a: 1, d: [] }], fields)).toEqual([
      'not in the table: a: number',
      'not in the table: d: list of strings',
      'not printed: b',
    ]);
  });
});
