import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { CheckResult } from '../../src/commands/diagnose/report.ts';
import type { Explanation } from '../../src/commands/explain/render.ts';
import { eventually, finished, REAL, TestSandbox } from './subctl.ts';

/**
 * Faults injected into two healthy clusters, what diagnose or explain ought to name as the cause, and what they do name.
 * Each fault is healed before the next.
 */
const sandbox = new TestSandbox();
const kubeconfig = path.join(sandbox.root, 'state', sandbox.name, 'kubeconfig');
const NAMESPACE = 'submariner-operator';

jest.setTimeout(120_000);

const subctl = (...args: readonly string[]) => sandbox.run(...args, '--kubeconfig', kubeconfig);

/** Runs a program in the network of a node, or of the WAN. */
function inside(place: string, ...command: readonly string[]): string {
  const namespace = `--net=/run/netns/sbx-${sandbox.name}-${place}`;
  return execFileSync('nsenter', [namespace, '--', ...command], { encoding: 'utf8' });
}

function onNode(node: string, ...command: readonly string[]): string {
  return inside(`node.${node}`, ...command);
}

/** A rule that drops on the WAN, of IPv4 packets that are routed, or of frames that are bridged in a LAN. */
function drop(family: 'inet' | 'bridge', rule: string): void {
  inside('wan', 'nft', `table ${family} fault { chain c { type filter hook forward priority 0; ${rule} drop; }; }`);
}

const heal = {
  wan: () => inside('wan', 'nft', 'delete', 'table', 'inet', 'fault'),
  lan: () => inside('wan', 'nft', 'delete', 'table', 'bridge', 'fault'),
  node: () => sandbox.sandbox('fault', '--heal'),
};

const kubectl = (context: string, ...args: readonly string[]): string => sandbox.kubectl('--context', context, ...args);

async function connected(): Promise<void> {
  const { code, stderr } = await subctl('show', 'connections', '--wait', '--timeout', '60s');
  expect({ code, trouble: code === 0 ? '' : stderr }).toEqual({ code: 0, trouble: '' });
}

async function podOf(cluster: string, node: string): Promise<string> {
  const columns = 'jsonpath={range .items[*]}{.spec.nodeName} {.status.podIP}{"\\n"}{end}';
  const lines = kubectl(cluster, 'get', 'pods', '-l', 'app=echo', '-o', columns).split('\n');
  return lines.find((line) => line.startsWith(`${node} `))?.split(' ')[1] ?? '';
}

/** Where explain says that the way breaks, and why. */
async function explain(from: string, to: string): Promise<string> {
  const { stdout, stderr } = await subctl('explain', from, to, '-o', 'json');
  expect(stderr).not.toContain('Bug in');
  const { broken } = JSON.parse(stdout) as Explanation;
  return broken === null ? 'whole' : `${broken.what} on ${broken.node}: ${broken.cause}`;
}

/** What is not as it should be, one line a finding. */
async function diagnose(category: string, ...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await subctl('diagnose', category, ...args, '-o', 'json');
  expect(stderr).not.toContain('Bug in');
  const { checks } = JSON.parse(stdout) as { readonly checks: readonly CheckResult[] };
  const lines = checks.flatMap(({ cluster, category: about, check, findings }) =>
    findings.map(({ object, reason }) => `${cluster} ${about}-${check}: ${object}: ${reason}`),
  );
  return lines.length === 0 ? 'nothing' : lines.join('\n');
}

beforeAll(async () => {
  await sandbox.sandbox('up', '--nodes', '2');
  const join = ['--gateways', '1', '--cable-driver', 'ipsec'];
  for (const args of [
    ['deploy-broker', '--context', 'east'],
    ['join', 'broker-info.subm', '--context', 'east', '--clusterid', 'east', ...join],
    ['join', 'broker-info.subm', '--context', 'west', '--clusterid', 'west', ...join],
  ]) {
    expect(await subctl(...args)).toMatchObject({ code: 0 });
  }
  await connected();
});

afterAll(() => sandbox.dispose());

interface Fault {
  readonly name: string;
  readonly inject: () => unknown;
  readonly ask: () => Promise<string>;
  readonly expected: RegExp;
  /** What must not be named beside it. */
  readonly unexpected?: RegExp;
  readonly heal: () => unknown;
}

const STALE = {
  apiVersion: 'submariner.io/v1',
  kind: 'Endpoint',
  metadata: {
    name: 'south-submariner-cable-south-172-33-0-11',
    namespace: 'submariner-k8s-broker',
    labels: { 'submariner-io/clusterID': 'south' },
  },
  spec: {
    cluster_id: 'south',
    cable_name: 'submariner-cable-south-172-33-0-11',
    hostname: 'south-1',
    subnets: ['10.140.0.0/16'],
    private_ip: '172.33.0.11',
    public_ip: '',
    nat_enabled: false,
    backend: 'libreswan',
  },
};

/** Keeps the DaemonSet of route agents away from a node, or from none. */
function keepAway(node: string | undefined): void {
  const term = { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'NotIn', values: [node] }] };
  const required = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } };
  const affinity = node === undefined ? null : { nodeAffinity: required };
  const patch = JSON.stringify({ spec: { template: { spec: { affinity } } } });
  kubectl('west', '-n', NAMESPACE, 'patch', 'daemonset', 'submariner-routeagent', '--type', 'merge', '-p', patch);
}

function agents(): readonly string[] {
  const columns = 'jsonpath={range .items[?(@.status.phase=="Running")]}{.spec.nodeName}{"\\n"}{end}';
  return kubectl('west', '-n', NAMESPACE, 'get', 'pods', '-l', 'app=submariner-routeagent', '-o', columns)
    .trim()
    .split('\n');
}

let key = '';
/** Gives west another pre-shared key, and makes both its programs use it. */
async function changeKey(psk: string): Promise<void> {
  const patch = JSON.stringify({ data: { psk } });
  kubectl('west', '-n', NAMESPACE, 'patch', 'secret', 'submariner-ipsec-psk', '-p', patch);
  const pods = (): string =>
    kubectl('west', '-n', NAMESPACE, 'get', 'pods', '-l', 'app=submariner-gateway', '-o', 'name');
  const before = pods();
  kubectl('west', '-n', NAMESPACE, 'delete', '--wait=false', before.trim());
  await eventually(pods, (now) => now !== before && now !== '');
  await sandbox.sandbox('fault', 'west', 'west-1', '--kill-process', 'charon');
}

const ruleHandle = (): string =>
  /saddr @local ip daddr @remote.*handle (\d+)/.exec(
    onNode('east-2', 'nft', '-a', 'list', 'chain', 'inet', 'submariner-routeagent', 'source'),
  )?.[1] ?? '';

/** Cheap ones first; those that break the tunnel last. */
const FAULTS: readonly Fault[] = [
  {
    name: 'wrong route on a worker',
    inject: () => onNode('east-2', 'ip', 'route', 'add', '10.131.2.0/24', 'via', '172.31.0.1', 'dev', 'eth0'),
    ask: async () => explain('east:pod/client', await podOf('west', 'west-2')),
    expected:
      /^route on east-2: a route of somebody else takes packets for 10\.131\.2\.\d+ away: 10\.131\.2\.0\/24 via 172\.31\.0\.1 dev eth0 table main/,
    heal: () => onNode('east-2', 'ip', 'route', 'del', '10.131.2.0/24', 'via', '172.31.0.1', 'dev', 'eth0'),
  },
  {
    name: 'UDP port of tunnels blocked in one direction',
    inject: () => drop('inet', 'ip saddr 172.31.0.11 udp dport 4500'),
    ask: () => diagnose('firewall'),
    expected:
      /^east firewall-tunnel: east-1 -> west-1: UDP port 4500 \(tunnel\): packets from 172\.31\.0\.11 do not arrive at 172\.32\.0\.11: blocked on the way$/,
    heal: heal.wan,
  },
  {
    name: 'UDP port of the overlay blocked by the firewall of a node',
    inject: () =>
      onNode(
        'west-1',
        'nft',
        'table inet fault { chain c { type filter hook input priority 0; udp dport 4800 drop; }; }',
      ),
    ask: () => diagnose('firewall', '--context', 'west'),
    expected:
      /^west firewall-overlay: west-2 -> west-1: UDP port 4800 \(overlay\): packets from 172\.32\.0\.12 arrive, but a filter of node west-1 itself drops them$/,
    heal: () => onNode('west-1', 'nft', 'delete', 'table', 'inet', 'fault'),
  },
  {
    name: 'overlay blocked between a worker and its gateway',
    inject: () => drop('bridge', 'ip saddr 172.31.0.12 udp dport 4800'),
    ask: () => explain('east:pod/client', 'west:service/echo'),
    expected:
      /^overlay on east-2: both ends stand, but UDP port 4800 between 172\.31\.0\.12 and 172\.31\.0\.11 does not get through/,
    heal: heal.lan,
  },
  {
    name: 'loss in one direction',
    inject: () => drop('inet', 'ip saddr 172.31.0.11 udp dport 4500 numgen random mod 100 < 30'),
    ask: () => diagnose('connections'),
    expected: /^east connections-loss: east -> west: \d+ of \d+ datagrams were lost \(\d+ %\)$/m,
    unexpected: /west -> east.*lost/,
    heal: heal.wan,
  },
  {
    name: 'MTU 1300 on the WAN',
    inject: () => ['lan1', 'lan2'].forEach((link) => inside('wan', 'ip', 'link', 'set', link, 'mtu', '1300')),
    ask: () => diagnose('mtu', '--no-test-pods'),
    expected:
      /^east mtu-wan: node east-1 -> 172\.32\.0\.11 \(gateway west-1 of west\): the network between them carries 1300 bytes, the link of the gateway 1500/,
    heal: () => {
      for (const link of ['lan1', 'lan2']) inside('wan', 'ip', 'link', 'set', link, 'mtu', '1500');
      for (const node of ['east-1', 'west-1']) onNode(node, 'ip', 'route', 'flush', 'cache');
    },
  },
  {
    name: 'large tunnel packets vanish',
    inject: () => drop('inet', 'udp dport 4500 ip length > 1300'),
    ask: () => diagnose('mtu', '--no-test-pods', '--context', 'east'),
    expected:
      /^east mtu-path: node east-1 -> gateway west-1 of west: packets of more than 12\d\d bytes vanish without a word$/m,
    heal: heal.wan,
  },
  {
    name: 'Endpoint left behind on the broker',
    inject: () => {
      const args = ['--kubeconfig', kubeconfig, '--context', 'east', 'apply', '-f', '-'];
      execFileSync('kubectl', args, { input: JSON.stringify(STALE), stdio: 'pipe' });
    },
    ask: () => diagnose('broker', '--context', 'west'),
    expected:
      /^west broker-stale: Endpoint south-submariner-cable-south-172-33-0-11 on the broker: there is no Cluster south: it was left behind$/m,
    heal: () =>
      kubectl('east', '-n', STALE.metadata.namespace, 'delete', 'endpoints.submariner.io', STALE.metadata.name),
  },
  {
    name: 'a worker without route agent',
    inject: async () => {
      keepAway('west-2');
      await eventually(agents, (nodes) => nodes.join() === 'west-1');
    },
    ask: () => diagnose('deployment'),
    expected:
      /^west deployment-every-node: node west-2: has no pod of it: the DaemonSet selects nodes by nodeSelector or affinity$/m,
    heal: async () => {
      keepAway(undefined);
      await eventually(agents, (nodes) => nodes.length === 2);
    },
  },
  {
    name: 'the rule that keeps pod addresses is missing',
    inject: async () => {
      await sandbox.sandbox('fault', 'east', 'east-2', '--pause-process', 'routeagent');
      onNode('east-2', 'nft', 'delete', 'rule', 'inet', 'submariner-routeagent', 'source', 'handle', ruleHandle());
    },
    ask: () => explain('east:pod/client', 'west:service/echo'),
    expected:
      /^source on east-2: chain source of table inet submariner-routeagent on node east-2 lacks the rule "ip saddr @local ip daddr @remote snat/,
    heal: heal.node,
  },
  {
    name: 'other pre-shared key',
    inject: async () => {
      key = kubectl('west', '-n', NAMESPACE, 'get', 'secret', 'submariner-ipsec-psk', '-o', 'jsonpath={.data.psk}');
      await changeKey(Buffer.alloc(48, 7).toString('base64'));
    },
    ask: () => diagnose('broker'),
    expected:
      /^west broker-keys: Secret submariner-ipsec-psk of west: is not the pre-shared key that the broker handed out$/m,
    heal: async () => {
      await changeKey(key);
      await connected();
    },
  },
  {
    name: 'dead charon',
    inject: () => sandbox.sandbox('fault', 'west', 'west-1', '--pause-process', 'charon'),
    ask: async () =>
      eventually(
        () => explain('east:pod/client', 'west:service/echo'),
        (cause) => cause.includes('charon'),
        60_000,
      ),
    expected: /^gateway on west-1: the gateway engine of node west-1 reports: .*charon did not answer/,
    heal: async () => {
      await heal.node();
      await connected();
    },
  },
  {
    name: 'broker token revoked',
    inject: () => {
      const namespace = 'submariner-k8s-broker';
      const names = kubectl('east', '-n', namespace, 'get', 'secrets', '-o', 'name').split('\n');
      const [token = ''] = names.filter((name) => name.includes('cluster-west'));
      kubectl('east', '-n', namespace, 'delete', token);
    },
    // Real API servers remember for some seconds that a token was good.
    ask: () =>
      REAL
        ? eventually(
            () => diagnose('broker', '--context', 'west'),
            (said) => said !== 'nothing',
          )
        : diagnose('broker', '--context', 'west'),
    expected:
      /^west broker-reached: broker 198\.18\.0\.11:6443: does not accept the token of west \(Secret submariner-broker-secret\): it has expired or was revoked$/m,
    heal: async () => {
      const args = ['--context', 'west', '--clusterid', 'west', '--cable-driver', 'ipsec', '--yes'];
      expect(await subctl('join', 'broker-info.subm', ...args)).toMatchObject({ code: 0 });
    },
  },
];

/** Fault, expected and actual finding, one row each. */
const table: { readonly fault: string; readonly expected: string; readonly actual: string }[] = [];

describe('every fault is named', () => {
  test.each(FAULTS.map((fault) => [fault.name, fault] as const))('%s', async (_, fault) => {
    await fault.inject();
    try {
      const actual = await fault.ask();
      table.push({ fault: fault.name, expected: fault.expected.source, actual });
      expect(actual).toMatch(fault.expected);
      if (fault.unexpected !== undefined) expect(actual).not.toMatch(fault.unexpected);
    } finally {
      await fault.heal();
    }
  });

  test('all of them were tried', () => {
    expect(table.map(({ fault }) => fault)).toEqual(FAULTS.map(({ name }) => name));
    const page = readFileSync('docs/diagnose.md', 'utf8').split('## Faults that were tried')[1] ?? '';
    const told = [...page.matchAll(/^\| ([^|`]+) \| `/gm)].map(([, name]) => name);
    expect(told).toEqual(FAULTS.map(({ name }) => name));
  });

  test('and when all are healed, all is well', async () => {
    await connected();
    const found = (await diagnose('all')).split('\n').filter((line) => !(REAL && line.includes(' k8s-version: ')));
    expect(found.join('\n')).toMatch(/^(?:(?:east|west) gateway-spare: .*\n?){2}$/);
    expect(await explain('east:pod/client', 'west:service/echo')).toBe('whole');
    expect(await explain('west:node/west-2', await podOf('east', 'east-1'))).toBe('whole');
  });
});

describe('nothing is left of test pods', () => {
  const leftovers = (): string =>
    ['east', 'west']
      .map((context) => kubectl(context, 'get', 'namespaces', '-o', 'name'))
      .join('')
      .match(/.*subctl-test.*/g)
      ?.join() ?? '';

  test.each([
    ['while pods start', (_said: string) => leftovers() !== ''],
    ['while packets are sent', (said: string) => said.includes('test pods run')],
  ])('when diagnose is interrupted %s, and it says so', async (_, isTime) => {
    const child = sandbox.start(['diagnose', 'connections', '--kubeconfig', kubeconfig]);
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const end = finished(child);
    await eventually(
      () => isTime(said),
      (now) => now,
    );
    child.kill('SIGINT');
    const { code, stderr } = await end;
    expect(code).toBe(130);
    expect(stderr).toContain('interrupted');
    expect(stderr).toContain('The test pods are removed');
    expect(leftovers()).toBe('');
  });

  test('after a run to the end', () => {
    expect(leftovers()).toBe('');
  });
});
