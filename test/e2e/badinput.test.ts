import { spawn, execFileSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { parseBrokerInfo, renderBrokerInfo, type BrokerInfo } from '../../src/api/brokerinfo.ts';
import { eventually, type Finished, REAL, TestSandbox } from './subctl.ts';

const EAST = ['--context', 'east', '--gateways', '1', '--cable-driver', 'vxlan'];
const WEST = ['--context', 'west', '--gateways', '1', '--cable-driver', 'vxlan'];

/** What an operator or a node can get wrong, against one sandbox in which east is broker and member and west is neither. */
const sandbox = new TestSandbox();
const kubeconfig = path.join(sandbox.root, 'state', sandbox.name, 'kubeconfig');
const at = (file: string): string => path.join(sandbox.root, file);
const subctl = (...args: readonly string[]): Promise<Finished> => sandbox.run(...args, '--kubeconfig', kubeconfig);
const children: ChildProcess[] = [];

jest.setTimeout(60_000);

beforeAll(async () => {
  await sandbox.sandbox('up', '--nodes', '2');
  for (const args of [
    ['deploy-broker', '--context', 'east'],
    ['join', 'broker-info.subm', ...EAST],
  ]) {
    expect(await subctl(...args)).toMatchObject({ code: 0 });
  }
});

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await sandbox.dispose();
});

/** Everything that a refused command must not have touched, with versions. */
function world(): string {
  const kinds =
    'namespaces,crds,nodes,serviceaccounts,secrets,clusterroles,clusterrolebindings,roles,rolebindings,daemonsets';
  const line = '{range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.labels}{"\\n"}{end}';
  const seen = ['east', 'west'].map((context) =>
    sandbox.kubectl('--context', context, 'get', kinds, '-A', '-o', `jsonpath=${line}`),
  );
  return seen.join('');
}

function edited(name: string, change: (info: BrokerInfo) => BrokerInfo): string {
  const info = parseBrokerInfo(readFileSync(at('broker-info.subm'), 'utf8')).info!;
  writeFileSync(at(name), renderBrokerInfo(change(info)));
  return name;
}

function withData(info: BrokerInfo, key: string, value: string): BrokerInfo {
  const data = { ...info.clientToken.data, [key]: Buffer.from(value).toString('base64') };
  return { ...info, clientToken: { ...info.clientToken, data } };
}

/** A kubeconfig that differs from the sandbox's in one kind of line. */
function kubeconfigWith(name: string, pattern: RegExp, replacement: string): string {
  writeFileSync(at(name), readFileSync(kubeconfig, 'utf8').replaceAll(pattern, replacement));
  return at(name);
}

async function refused(says: readonly string[], code: number, ...args: readonly string[]): Promise<void> {
  const before = world();
  const outcome = args.includes('--kubeconfig') ? await sandbox.run(...args) : await subctl(...args);
  for (const text of says) expect(outcome.stderr).toContain(text);
  expect(outcome.stderr).not.toContain('Bug in');
  expect(outcome.code).toBe(code);
  expect(world()).toBe(before);
}

test('an API server that is away or does not accept the credentials', async () => {
  const dead = kubeconfigWith('dead', /server: .*\n +proxy-url: .*/g, 'server: https://127.0.0.1:1');
  await refused(
    ['https://127.0.0.1:1', 'context west', 'connection refused'],
    1,
    'join',
    'broker-info.subm',
    ...WEST,
    '--kubeconfig',
    dead,
  );
  const wrong = kubeconfigWith('wrong', /token: .*/g, 'token: wrong');
  for (const command of [
    ['join', 'broker-info.subm', ...WEST],
    ['deploy-broker', '--context', 'west'],
    ['show', 'all', '--context', 'west'],
  ])
    await refused(
      ['(context west) does not accept the credentials', 'expired or revoked'],
      1,
      ...command,
      '--kubeconfig',
      wrong,
    );
});

test('missing rights are listed all at once', async () => {
  sandbox.kubectl('--context', 'west', 'create', 'serviceaccount', 'weak');
  const token = sandbox.kubectl('--context', 'west', 'create', 'token', 'weak').trim();
  const weak = kubeconfigWith('weak', /token: .*/g, `token: ${token}`);
  const lines = [
    'west: create, patch, get namespaces (cluster-wide)',
    'west: list, patch nodes (cluster-wide)',
    'daemonsets.apps in namespace submariner-operator',
  ];
  await refused(lines, 1, 'join', 'broker-info.subm', ...WEST, '--kubeconfig', weak);
  await refused(
    ['west: create, get, list secrets in namespace submariner-k8s-broker'],
    1,
    'deploy-broker',
    '--context',
    'west',
    '--kubeconfig',
    weak,
  );
});

test('broker-info that is of another broker, edited or revoked', async () => {
  const west = /server: (https:\/\/198\.18\.0\.12:\d+)/.exec(readFileSync(kubeconfig, 'utf8'))?.[1] ?? '';
  const westCa = sandbox.kubectl(
    '--context',
    'west',
    'get',
    'configmap',
    'kube-root-ca.crt',
    '-o',
    'jsonpath={.data.ca\\.crt}',
  );
  const cases: readonly (readonly [string, string])[] = [
    [
      edited('url', (info) => ({ ...info, brokerUrl: west })),
      'is not the broker of url: its certificate is not signed by the CA in the file',
    ],
    [
      edited('url-ca', (info) => withData({ ...info, brokerUrl: west }, 'ca.crt', westCa)),
      `the broker ${west} does not accept the token of url-ca`,
    ],
    [
      edited('token', (info) => withData(info, 'token', 'eyJhbGciOiJSUzI1NiJ9.e30.AAAA')),
      'does not accept the token of token',
    ],
    [edited('namespace', (info) => withData(info, 'namespace', 'other')), 'may do nothing in namespace other'],
    [
      edited('psk', (info) => ({ ...info, ipsecPsk: { metadata: {}, data: { psk: 'eHh4' } } })),
      'the pre-shared key in psk is not the one of the broker',
    ],
  ];
  for (const [file, says] of cases) await refused([says, 'recover-broker-info'], 1, 'join', file, ...WEST);
});

test('clusters that do not fit', async () => {
  await refused(['cluster ID east is taken'], 1, 'join', 'broker-info.subm', ...WEST, '--clusterid', 'east');
  await refused(
    ['pod CIDR 10.130.4.0/24 overlaps 10.130.0.0/16 of cluster east'],
    1,
    'join',
    'broker-info.subm',
    ...WEST,
    '--clustercidr',
    '10.130.4.0/24',
  );
  await refused(
    ['service CIDR 100.66.0.0/24 overlaps 100.66.0.0/16 of cluster east'],
    1,
    'join',
    'broker-info.subm',
    ...WEST,
    '--servicecidr',
    '100.66.0.0/24',
  );
  await refused(
    ['global CIDR 10.130.0.0/24 overlaps'],
    1,
    'join',
    'broker-info.subm',
    ...WEST,
    '--globalnet-cidr',
    '10.130.0.0/24',
  );
  await refused(
    ['no node west-9; it has west-1, west-2'],
    2,
    'join',
    'broker-info.subm',
    ...WEST,
    '--gateway-nodes',
    'west-9',
  );
  const nodes = ['west-1', 'west-2'];
  const cordon = (on: boolean): void => {
    for (const node of nodes)
      sandbox.kubectl('--context', 'west', 'patch', 'node', node, '-p', `{"spec":{"unschedulable":${on}}}`);
  };
  cordon(true);
  await refused(['no node can be a gateway: west-1, west-2'], 1, 'join', 'broker-info.subm', '--context', 'west');
  cordon(false);
});

const shown = async (what: string): Promise<string> => (await subctl('show', what, '--context', 'east')).stdout;
/** A directory with all programs of PATH but one. */
function pathWithout(program: string): string {
  const directory = at(`without-${program}`);
  mkdirSync(directory);
  const programs = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].flatMap((from) =>
    readdirSync(from).map((name) => [name, path.join(from, name)] as const),
  );
  for (const [name, file] of new Map(programs.reverse())) {
    if (name !== program) symlinkSync(file, path.join(directory, name));
  }
  return directory;
}

test('a program that is missing on a node is told by show, and its return noticed', async () => {
  const setEnv = (set: string, name: string): string =>
    sandbox.kubectl('--context', 'east', '-n', 'submariner-operator', 'set', 'env', `daemonset/${name}`, set);
  setEnv(`PATH=${pathWithout('ip')}`, 'submariner-gateway');
  setEnv(`PATH=${pathWithout('nft')}`, 'submariner-routeagent');
  await eventually(
    () => shown('gateways'),
    (text) => text.includes('program ip not found (Debian package iproute2)'),
  );
  await eventually(
    () => shown('routeagents'),
    (text) => text.includes('program nft not found (Debian package nftables)'),
  );
  setEnv('PATH-', 'submariner-gateway');
  setEnv('PATH-', 'submariner-routeagent');
  await eventually(
    () => shown('gateways'),
    (text) => /active +\S+ +no connections/.test(text),
  );
  await eventually(
    () => shown('routeagents'),
    (text) => text.includes('east-2') && !text.includes('not found'),
  );
});

test('a UDP port that is taken on the gateway node is told by join and show', async () => {
  const inNode = ['nsenter', `--net=/run/netns/sbx-${sandbox.name}-node.east-1`, '--'] as const;
  const listeners = (): string => execFileSync('nsenter', [...inNode.slice(1), 'ss', '-Hlun'], { encoding: 'utf8' });
  sandbox.kubectl('--context', 'east', '-n', 'submariner-operator', 'delete', 'daemonset', 'submariner-gateway');
  await eventually(listeners, (text) => !text.includes(':4490'));
  const thief = spawn('nsenter', [...inNode.slice(1), 'socat', '-u', 'UDP4-LISTEN:4490', '/dev/null']);
  children.push(thief);
  await eventually(listeners, (text) => text.includes(':4490'));
  // On a slow machine the first join gives up before the engine has come so far.
  const joined = await eventually(
    () => subctl('join', 'broker-info.subm', ...EAST, '--timeout', REAL ? '40s' : '6s'),
    ({ stderr }) => stderr.includes('east-1: NAT discovery: UDP port 4490'),
  );
  expect(joined.code).toBe(1);
  expect(await shown('gateways')).toContain('UDP port 4490 of this node is taken');
  thief.kill('SIGKILL');
  await eventually(
    () => shown('gateways'),
    (text) => /active +\S+ +no connections/.test(text),
  );
}, 120_000);
