import { describe, expect, test } from '@jest/globals';
import type { CheckResult } from '../../src/commands/diagnose/report.ts';
import { PROBER_PORT, type ProbeOrder } from '../../src/host/prober/protocol.ts';
import type { KubeObject } from '../../src/kube/client.ts';
import { KubeApiError } from '../../src/kube/errors.ts';
import type { Pod } from '../../src/kube/objects.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import type { FakeKube } from '../fakes/kube.ts';
import { engine, EAST, WEST, endpointSpec, routeAgent } from './explain/evidence.ts';
import { type Behaviour, fleet, type Fleet, makeReady, NAMESPACE } from './fleet.ts';

interface Printed {
  readonly checks: readonly CheckResult[];
  readonly problems: readonly object[];
}

async function checks({ harness }: Fleet, ...args: readonly string[]): Promise<Printed & { readonly code: number }> {
  const { stdout, stderr, exitCode } = await harness.run('diagnose', ...args, '-o', 'json');
  expect(stderr).not.toContain('Bug in');
  return { ...(JSON.parse(stdout) as Printed), code: exitCode };
}

function named(printed: Printed, cluster: string, category: string, check: string): CheckResult {
  const found = printed.checks.find(
    (one) => one.cluster === cluster && `${one.category} ${one.check}` === `${category} ${check}`,
  );
  if (found === undefined) throw new Error(`no check ${category} ${check} of ${cluster}`);
  return found;
}

const testNamespaces = (...clusters: readonly FakeKube[]): readonly KubeObject[] =>
  clusters.flatMap((kube) =>
    kube.all(RESOURCES.namespaces).filter(({ metadata }) => metadata.name?.startsWith('subctl-test-')),
  );

const refusal = (verb: string, path: string, code: number, message: string): KubeApiError =>
  new KubeApiError(code, { message }, { server: 'https://west:6443', method: verb, path });

const patch = (
  kube: FakeKube,
  type: (typeof RESOURCES)['gateways'],
  name: string,
  change: object,
  namespace = NAMESPACE,
): void => {
  const before = kube.all<KubeObject>(type, namespace).find(({ metadata }) => metadata.name === name)!;
  kube.drop(type, name, namespace);
  kube.seed(type, { ...before, ...change });
};

const printedState = (value: object) => ({ exitCode: 0, stdout: JSON.stringify(value), stderr: '' });

describe('diagnose', () => {
  test('of two clusters in which all is well', async () => {
    const world = fleet();
    const printed = await checks(world, 'all');
    const others = printed.checks.filter(({ status }) => status !== 'ok');
    expect(others.map(({ cluster, category, check, status }) => [cluster, category, check, status])).toEqual(
      ['east', 'west'].flatMap((cluster) => [
        [cluster, 'cni', 'calico', 'skipped'],
        [cluster, 'gateway', 'spare', 'warning'],
      ]),
    );
    expect(printed.code).toBe(0);
    expect(printed.problems).toEqual([]);
    expect(testNamespaces(world.east, world.west)).toEqual([]);
  });

  test('packets go from every node and every test pod', async () => {
    const orders = new Map<string, ProbeOrder>();
    const world = fleet();
    const before = world.east.onExec;
    world.east.onExec = async (namespace, pod, command, options) => {
      if (command[2] === 'send') orders.set(pod, JSON.parse((await options?.stdin) ?? '') as ProbeOrder);
      return before(namespace, pod, command, options);
    };
    await checks(world, 'connections');
    expect([...orders.keys()].toSorted((a, b) => a.localeCompare(b))).toEqual([
      'probe-1',
      'probe-2',
      'probe-3',
      ...[1, 2, 3].map((k) => `submariner-routeagent-${k}`),
    ]);
    const sent = (pod: string) => orders.get(pod)?.targets.map(({ address }) => address);
    expect(sent('submariner-routeagent-2')).toEqual(['10.131.1.1', '10.7.0.1', '10.7.0.2', '10.7.0.3']);
    expect(sent('submariner-routeagent-1')).toContain('172.32.0.11');
    expect(sent('probe-2')).toEqual(['10.7.0.1', '10.7.0.2', '10.7.0.3']);
  });

  test('test pods run what the route agent runs, pinned to nodes, as strictly as can be', async () => {
    const world = fleet();
    const created: Pod[] = [];
    world.east.onCall = ({ verb, resource, namespace }) => {
      if (verb === 'list' && resource === 'pods' && namespace?.startsWith('subctl-test-')) {
        makeReady(world.east, namespace);
        created.push(...world.east.all<Pod>(RESOURCES.pods, namespace));
      }
      return undefined;
    };
    await checks(world, 'connections');
    expect(created.slice(0, 3).map(({ spec }) => spec.nodeName)).toEqual(['east-1', 'east-2', 'east-3']);
    expect(created[0]?.spec).toMatchObject({
      automountServiceAccountToken: false,
      activeDeadlineSeconds: 900,
      containers: [
        { image: 'img/east:1', args: ['probe', 'serve'], readinessProbe: { tcpSocket: { port: PROBER_PORT } } },
      ],
    });
  });

  test('a prober that cannot be run is a failure, not green', async () => {
    const exec: Behaviour['exec'] = async (_pod, command, otherwise) =>
      command[2] === 'send' ? { exitCode: 127, stdout: '', stderr: 'routeagent: not found' } : otherwise();
    const world = fleet({ exec });
    const printed = await checks(world, 'connections');
    expect(printed.code).toBe(1);
    expect(named(printed, 'east', 'connections', 'nodes').status).toBe('failed');
    expect(named(printed, 'east', 'connections', 'tried').findings[0]?.reason).toContain('routeagent: not found');
    expect(testNamespaces(world.east, world.west)).toEqual([]);
  });

  test('pods that do not become ready are told with the reason, and removed', async () => {
    const world = fleet();
    world.east.onCall = undefined;
    const printed = await checks(world, 'connections');
    expect(named(printed, 'east', 'connections', 'tried').findings).toEqual(
      [1, 2, 3].map((k) => expect.objectContaining({ object: `test pod on node east-${k}` })),
    );
    expect(testNamespaces(world.east, world.west)).toEqual([]);
  });

  test('creates nothing with --no-test-pods, and says what that leaves out', async () => {
    const world = fleet();
    const printed = await checks(world, 'connections', '--no-test-pods');
    expect(world.east.writes).toEqual([]);
    expect(named(printed, 'east', 'connections', 'nodes').status).toBe('ok');
    expect(named(printed, 'east', 'connections', 'pod-streams').status).toBe('skipped');
  });

  test('the output for people: sentences under headings, counted at the end', async () => {
    const { harness, west } = fleet();
    west.drop(RESOURCES.pods, 'submariner-routeagent-2', NAMESPACE);
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

/** [what is wrong, how, cluster, check, object, reason] */
const FAULTS: readonly (readonly [string, () => Fleet, string, string, string, string])[] = [
  [
    'packets of one node do not arrive, though every status says connected',
    () =>
      fleet({
        report: (pod, { icmp }) =>
          pod === 'submariner-routeagent-2' && icmp !== undefined
            ? { icmp: { sent: 5, received: 0, rttMs: null, failure: 'no answer within 1.5 s' } }
            : {},
      }),
    'east',
    'connections nodes',
    'node east-2 (east)',
    'to west nothing gets through: no answer within 1.5 s',
  ],
  [
    'pods are seen with the address of their node',
    () =>
      fleet({
        report: (_pod, { tcp }) =>
          tcp === undefined
            ? {}
            : { tcp: { ok: true, connectMs: 1, clientIP: '10.130.2.1', upBytes: 1, downBytes: 1, failure: '' } },
      }),
    'east',
    'connections source',
    'east -> west',
    'seen as 10.130.2.1',
  ],
  [
    'large packets vanish',
    () =>
      fleet({
        report: (_pod, { pathMtu }) =>
          pathMtu === undefined
            ? {}
            : { pathMtu: { triedBytes: 1500, largestBytes: 1238, toldBytes: null, blackHole: true } },
      }),
    'west',
    'mtu wan',
    'node west-1 -> 172.31.0.11 (gateway east-1 of east)',
    'carries 1238 bytes, the link of the gateway 1500: larger tunnel packets vanish without a word',
  ],
  [
    'the tunnel port is blocked in one direction',
    () => fleet({ count: (_pod, id) => (['s4-arrived', 's4-accepted'].includes(id) ? 0 : undefined) }),
    'east',
    'firewall tunnel',
    'east-1 -> west-1',
    'UDP port 4500 (tunnel): packets from 172.31.0.11 do not arrive at 172.32.0.11: blocked on the way',
  ],
  [
    'the filter of a node drops overlay packets',
    () => fleet({ count: (_pod, id) => (id === 's0-accepted' ? 0 : undefined) }),
    'east',
    'firewall overlay',
    'east-2 -> east-1',
    'arrive, but a filter of node east-1 itself drops them',
  ],
  [
    'packets cannot be counted',
    () =>
      fleet({
        exec: async (_pod, command, otherwise) =>
          command[2] === 'count'
            ? { exitCode: 1, stdout: '', stderr: 'x ERROR packets cannot be counted: old' }
            : otherwise(),
      }),
    'east',
    'firewall tunnel',
    'east-1 -> west-1',
    'could not be tried: packets cannot be counted: old',
  ],
  [
    'a node has no route agent',
    () => {
      const world = fleet();
      world.west.drop(RESOURCES.pods, 'submariner-routeagent-2', NAMESPACE);
      return world;
    },
    'west',
    'connections tried',
    'node west-2',
    'no route agent runs on it',
  ],
  [
    'the broker does not accept the token',
    () => {
      const world = fleet();
      const before = world.east.onCall;
      world.east.onCall = (call) =>
        call.namespace === 'broker' ? refusal('GET', '/x', 401, 'token expired') : before?.(call);
      return world;
    },
    'west',
    'broker reached',
    'broker east:6443',
    'does not accept the token of west (Secret submariner-broker-secret): it has expired or was revoked',
  ],
  [
    'an Endpoint was left behind',
    () => {
      const world = fleet();
      world.east.seed(RESOURCES.endpoints, {
        metadata: { name: 'south', namespace: 'broker', labels: { 'submariner-io/clusterID': 'south' } },
        spec: { ...endpointSpec(WEST), cluster_id: 'south', subnets: ['10.140.0.0/16'] },
      } as KubeObject);
      return world;
    },
    'east',
    'broker stale',
    'Endpoint south on the broker',
    'there is no Cluster south: it was left behind',
  ],
  [
    'the Endpoint of a cluster is that of a former gateway',
    () => {
      const world = fleet();
      patch(
        world.east,
        RESOURCES.endpoints,
        'west',
        { spec: { ...endpointSpec(WEST), private_ip: '172.32.0.19' } },
        'broker',
      );
      return world;
    },
    'east',
    'broker stale',
    'Endpoint west on the broker',
    'is of gateway west-1 (172.32.0.19), but the active gateway of west is west-1 (172.32.0.11)',
  ],
  [
    'a copy is missing',
    () => {
      const world = fleet();
      world.west.drop(RESOURCES.endpoints, 'east', NAMESPACE);
      return world;
    },
    'west',
    'broker mirrored',
    'Endpoint east',
    'is missing in the cluster',
  ],
  [
    'the keys differ',
    () => {
      const world = fleet();
      patch(world.west, RESOURCES.secrets, 'submariner-ipsec-psk', { data: { psk: 'b3RoZXI=' } });
      return world;
    },
    'east',
    'broker keys',
    'Secret submariner-ipsec-psk of east',
    'differs from that of west',
  ],
  [
    'a stray route takes a part of the other cluster away',
    () =>
      fleet({
        exec: async (pod, command, otherwise) => {
          if (pod !== 'submariner-routeagent-3' || command[1] !== '--debug-state') return otherwise();
          const state = routeAgent(EAST, WEST, 3);
          const stray = { destination: '10.131.2.0/24', table: 254, link: 'eth0', via: '172.31.0.1' };
          const node = { ...state.observed.node!, routes: [...state.observed.node!.routes, stray] };
          return printedState({ ...state, observed: { ...state.observed, node } });
        },
      }),
    'east',
    'routes ways',
    'node east-3',
    'takes a part of 10.131.0.0/16 of west away: 10.131.2.0/24 via 172.31.0.1 dev eth0 table main',
  ],
  [
    'a route agent is not done',
    () =>
      fleet({
        exec: async (pod, command, otherwise) =>
          pod === 'submariner-routeagent-2' && command[1] === '--debug-state'
            ? printedState({ ...routeAgent(EAST, WEST, 2), pending: ['+ rule pref 150 lookup 150'] })
            : otherwise(),
      }),
    'east',
    'routes agents',
    'node east-2',
    'is still to be done: + rule pref 150 lookup 150',
  ],
  [
    'no gateway has reported for long',
    () => {
      const world = fleet();
      const before = world.east.all(RESOURCES.gateways).find(({ metadata }) => metadata.name === 'east-1')!;
      patch(world.east, RESOURCES.gateways, 'east-1', {
        metadata: { ...before.metadata, annotations: { 'update-timestamp': '1000000000' } },
      });
      return world;
    },
    'east',
    'gateway active',
    'gateway east-1',
    'has not reported for',
  ],
  [
    'Calico has no pool for the other cluster',
    () => {
      const world = fleet();
      const type = {
        group: 'crd.projectcalico.org',
        version: 'v1',
        plural: 'ippools',
        kind: 'IPPool',
        namespaced: false,
      };
      world.east.seed(type, {
        metadata: { name: 'own' },
        spec: { cidr: '10.130.0.0/16', natOutgoing: true },
      } as KubeObject);
      return world;
    },
    'east',
    'cni calico',
    '100.67.0.0/16 of west',
    'no disabled IPPool without natOutgoing covers it',
  ],
];

describe('a fault is named with the object that is at fault', () => {
  test.each(FAULTS)('%s', async (_, make, cluster, check, object, reason) => {
    const [category = '', name = ''] = check.split(' ');
    const printed = await checks(make(), category);
    const { status, findings, doc } = named(printed, cluster, category, name);
    expect(status).toBe('failed');
    expect(findings).toContainEqual(
      expect.objectContaining({ object, reason: expect.stringContaining(reason), hint: expect.stringMatching(/\S/) }),
    );
    expect(doc).toBe(`docs/diagnose.md#${category}-${name}`);
    expect(printed.code).toBe(1);
  });

  test('loss is told with its direction', async () => {
    const burst = { bytes: 84, sent: 20, there: 14, back: 14 };
    const printed = await checks(
      fleet({
        report: (pod, { udp }) =>
          udp?.ask === true && pod === 'probe-1' ? { udp: { bursts: [burst], clientIP: '10.7.0.1', failure: '' } } : {},
      }),
      'connections',
    );
    expect(named(printed, 'east', 'connections', 'loss').findings[0]?.object).toBe('east -> west');
    expect(named(printed, 'east', 'connections', 'loss').findings[0]?.reason).toMatch(/of \d+ datagrams were lost/);
  });

  test('what the gateway says of the broker counts where this machine does not reach it', async () => {
    const world = fleet({
      exec: async (_pod, command, otherwise) => {
        if (command[0] !== 'engine') return otherwise();
        const state = engine(EAST, WEST);
        const broker = { server: 'https://east:6443', namespace: 'broker', problem: 'away for 20 s' };
        return printedState({ ...state, inputs: { ...state.inputs, broker } });
      },
    });
    const printed = await checks(world, 'broker', '--context', 'east');
    expect(named(printed, 'east', 'broker', 'reached').findings[0]?.reason).toBe(
      'the active gateway cannot use it: away for 20 s',
    );
  });
});

describe('bad input', () => {
  test('two contexts of one cluster: it is examined once, and that is said', async () => {
    const { harness, east } = fleet();
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
    const world = fleet();
    world.west.drop(RESOURCES.submariners, 'submariner', NAMESPACE);
    const passed = await checks(world, 'connections');
    expect(named(passed, 'west', 'deployment', 'joined')).toMatchObject({ status: 'skipped' });
    const chosen = await checks(world, 'connections', '--context', 'west');
    expect(chosen.code).toBe(1);
    expect(named(chosen, 'west', 'deployment', 'joined')).toMatchObject({
      status: 'failed',
      findings: [{ reason: expect.stringContaining('there is no Submariner object') }],
    });
    expect(chosen.checks).toHaveLength(1);
  });

  test('no right to make a namespace: said with what was refused, nothing is left, nothing is called removed', async () => {
    const world = fleet();
    const denied = refusal('POST', '/api/v1/namespaces', 403, 'namespaces is forbidden');
    world.west.onCall = ({ verb, resource }) => (verb === 'create' && resource === 'namespaces' ? denied : undefined);
    const { stdout, stderr, exitCode } = await world.harness.run('diagnose', 'connections');
    expect(exitCode).toBe(1);
    expect(stdout).toContain('namespaces is forbidden');
    expect(stderr).not.toContain('was not removed');
    expect(testNamespaces(world.east, world.west)).toEqual([]);
  });

  test('no right to look at all', async () => {
    const world = fleet();
    world.west.onCall = () => refusal('GET', '/x', 403, 'forbidden');
    const printed = await checks(world, 'deployment');
    expect(printed.code).toBe(1);
    expect(printed.problems).toEqual([expect.objectContaining({ context: 'west' })]);
  });

  test('a removal that fails is told with the command that finishes it', async () => {
    const world = fleet();
    const before = world.east.onCall;
    world.east.onCall = (call) =>
      call.verb === 'delete' && call.resource === 'namespaces' ? refusal('DELETE', '/x', 500, 'no') : before?.(call);
    const { stderr } = await world.harness.run('diagnose', 'connections');
    expect(stderr).toMatch(/kubectl --context east delete namespace subctl-test-[0-9a-f]{8}/);
  });

  test('an unknown category', async () => {
    const { exitCode, stderr } = await fleet().harness.run('diagnose', 'weather');
    expect(exitCode).toBe(2);
    expect(stderr).toContain('weather');
  });

  test('too little time is not green', async () => {
    const printed = await checks(fleet(), 'k8s', '--timeout', '0');
    expect(printed.code).toBe(1);
    expect(printed.checks.every(({ status }) => status === 'failed')).toBe(true);
  });
});
