import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { CheckResult } from '../../src/commands/diagnose/report.ts';
import { eventually, finished, TestSandbox } from './subctl.ts';

/** Faults that are in the way of a join, what `diagnose --pre` ought to name, and what it does name. Nothing is joined. */
const sandbox = new TestSandbox();
const children: ChildProcess[] = [];
jest.setTimeout(120_000);

const enter = (place: string): string => `--net=/run/netns/sbx-${sandbox.name}-${place}`;

function inside(place: string, ...command: readonly string[]): string {
  return execFileSync('nsenter', [enter(place), '--', ...command], { encoding: 'utf8' });
}

function drop(place: string, hook: 'forward' | 'input', rule: string): void {
  inside(place, 'nft', `table inet fault { chain c { type filter hook ${hook} priority 0; ${rule} drop; }; }`);
}

const undrop = (place: string) => (): unknown => inside(place, 'nft', 'delete', 'table', 'inet', 'fault');

/** No news here: one gateway each, and that a real API server may be older than what is supported (Debian's is). */
const isExpected = (check: string, reason: string): boolean =>
  check === 'gateways' ||
  (check === 'version' && process.env['KUBEBUILDER_ASSETS'] !== undefined && reason.includes('is too old'));

/** What is not as it should be, one line a finding. */
async function findings(...flags: readonly string[]): Promise<string> {
  const args = ['diagnose', '--pre', '--contexts', 'east,west', ...flags, '-o', 'json', ...sandbox.kubeconfig];
  const { stdout, stderr } = await sandbox.run(...args);
  expect(stderr).not.toContain('Bug in');
  const { checks } = JSON.parse(stdout) as { readonly checks: readonly CheckResult[] };
  return checks
    .flatMap(({ cluster, check, findings: found }) =>
      found
        .filter(({ reason }) => !isExpected(check, reason))
        .map(({ object, reason }) => `${cluster} ${check}: ${object}: ${reason}`),
    )
    .join('\n');
}

function setMtu(bytes: string): void {
  for (const link of ['lan1', 'lan2']) inside('wan', 'ip', 'link', 'set', link, 'mtu', bytes);
  for (const node of ['east-1', 'west-1']) inside(`node.${node}`, 'ip', 'route', 'flush', 'cache');
}

/** Takes a port of a node. */
async function take(node: string, port: number): Promise<void> {
  const command = ['--', 'socat', '-u', `UDP4-LISTEN:${port}`, '/dev/null'];
  children.push(spawn('nsenter', [enter(`node.${node}`), ...command], { stdio: 'ignore' }));
  await eventually(
    () => inside(`node.${node}`, 'ss', '-Huan'),
    (text) => text.includes(`:${port}`),
  );
}

async function giveBack(node: string, port: number): Promise<void> {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await eventually(
    () => inside(`node.${node}`, 'ss', '-Huan'),
    (text) => !text.includes(`:${port}`),
  );
}

interface Fault {
  readonly name: string;
  readonly inject: () => unknown;
  readonly flags?: readonly string[];
  readonly expected: RegExp;
  readonly heal: () => unknown;
}

const FAULTS: readonly Fault[] = [
  {
    name: 'UDP port of tunnels blocked in one direction',
    inject: () => drop('wan', 'forward', 'ip saddr 172.31.0.11 udp dport 4500'),
    expected:
      /^east udp: east-1 -> west-1: UDP port 4500 \(tunnel\): packets from 172\.31\.0\.11 do not arrive at 172\.32\.0\.11: blocked on the way; the other direction is open$/,
    heal: undrop('wan'),
  },
  {
    name: 'UDP port of NAT discovery blocked in both directions',
    inject: () => drop('wan', 'forward', 'udp dport 4490'),
    expected:
      /^east udp: east-1 -> west-1: UDP port 4490 \(NAT discovery\): .*; the other direction neither\nwest udp: west-1 -> east-1: UDP port 4490 \(NAT discovery\): .*; the other direction neither$/,
    heal: undrop('wan'),
  },
  {
    name: 'UDP port of tunnels dropped by the firewall of a node',
    inject: () => drop('node.west-1', 'input', 'udp dport 4600'),
    flags: ['--nattport', '4600'],
    expected:
      /^east udp: east-1 -> west-1: UDP port 4600 \(tunnel\): packets from 172\.31\.0\.11 arrive, but a filter of node west-1 itself drops them; the other direction is open$/,
    heal: undrop('node.west-1'),
  },
  {
    name: 'UDP port taken on a node',
    inject: async () => take('west-1', 4490),
    expected: /^west ports: node west-1: UDP port 4490 of this node is taken by socat \(process \d+\)/,
    heal: async () => giveBack('west-1', 4490),
  },
  {
    name: 'MTU 1300 between the clusters',
    inject: () => setMtu('1300'),
    expected:
      /^east mtu: east-1 -> west-1: the network between them carries 1300 bytes, and 1500 are needed: .*ipsec adds up to 100; larger tunnel packets are cut/m,
    heal: () => setMtu('1500'),
  },
  {
    name: 'large packets vanish between the clusters',
    inject: () => drop('wan', 'forward', 'ip protocol icmp ip length > 1300'),
    flags: ['--cable-driver', 'vxlan'],
    expected: /^east mtu: east-1 -> west-1: the network between them carries 1300 bytes.*vanish without a word$/m,
    heal: undrop('wan'),
  },
  {
    name: 'image that is not there',
    inject: () => undefined,
    flags: ['--image-override', 'submariner-routeagent=registry.example/nothing:1', '--timeout', '20s'],
    expected: /^east kernel: node east-1: the probe pod does not run: .*ErrImagePull/,
    heal: () => undefined,
  },
];

const namespaces = (): string =>
  ['east', 'west'].map((name) => sandbox.kubectl('--context', name, 'get', 'namespaces', '-o', 'name')).join('');

beforeAll(async () => {
  await sandbox.sandbox('up', '--nodes', '1');
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await sandbox.dispose();
});

describe('what is in the way of a join is named', () => {
  test('nothing, when all is well', async () => {
    expect(await findings()).toBe('');
  });

  test.each(FAULTS.map((fault) => [fault.name, fault] as const))('%s', async (_, fault) => {
    await fault.inject();
    try {
      expect(await findings(...(fault.flags ?? []))).toMatch(fault.expected);
    } finally {
      await fault.heal();
    }
  });

  test('the page tells of all of them', () => {
    const page = readFileSync('docs/diagnose.md', 'utf8').split('| fault before join')[1]?.split('\n\n')[0] ?? '';
    const told = [...page.matchAll(/^\| ([^|`]+) \| `/gm)].map(([, name]) => name);
    expect(told).toEqual(FAULTS.map(({ name }) => name));
  });
});

test('of one cluster, what takes two is skipped, and nothing stays on the node', async () => {
  const before = [inside('node.east-1', 'ip', '-br', 'link'), inside('node.east-1', 'nft', 'list', 'tables')];
  const args = ['diagnose', '--pre', '--context', 'east', '-o', 'json', ...sandbox.kubeconfig];
  const { stdout } = await sandbox.run(...args);
  const { checks } = JSON.parse(stdout) as { readonly checks: readonly CheckResult[] };
  const told = checks.map(({ check, status, message }) => `${check} ${status} ${message}`);
  expect(told).toContainEqual(expect.stringMatching(/^kernel ok east-1, Linux \S+: ipsec \w+, .*vxlan kernel$/));
  expect(told).toContain('udp skipped it takes two clusters: --contexts east,west');
  expect(told).toContain('mtu skipped it takes two clusters: --contexts east,west');
  const after = [inside('node.east-1', 'ip', '-br', 'link'), inside('node.east-1', 'nft', 'list', 'tables')];
  expect(after).toEqual(before);
});

test('interrupted while it looks around, it removes everything and says so', async () => {
  const child = sandbox.start(['diagnose', '--pre', '--contexts', 'east,west', ...sandbox.kubeconfig]);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const end = finished(child);
  await eventually(
    () => said,
    (text) => text.includes('2 test pods run'),
  );
  child.kill('SIGINT');
  const { code, stderr } = await end;
  expect({ code, stderr }).toMatchObject({ code: 130, stderr: expect.stringContaining('The test pods are removed') });
  expect(stderr).toContain('interrupted');
  expect(namespaces()).not.toContain('subctl-test');
  await eventually(
    () => inside('node.east-1', 'ss', '-Huan'),
    (text) => !/:4(?:490|500)\b/.test(text),
  );
});
