import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cidrProblem } from '../../src/commands/join/cidrs.ts';
import { cableDriverName, publicIpResolver } from '../../src/commands/join/configuration.ts';
import { planGatewayNodes } from '../../src/commands/join/gatewaynodes.ts';
import { chooseImages } from '../../src/commands/join/images.ts';
import { daemonSetProgress, podTrouble } from '../../src/commands/join/ready.ts';
import { formatDuration, parseDuration } from '../../src/commands/duration.ts';
import { renderManifests, renderTable } from '../../src/commands/output.ts';
import { createReporter } from '../../src/commands/reporter.ts';
import type { DaemonSet, Node, Pod } from '../../src/kube/objects.ts';
import { JumpingClock, node } from './harness.ts';

test.each([
  ['90s', 90_000],
  ['1h30m', 5_400_000],
  ['250ms', 250],
  ['2', 2000],
  ['1.5s', 1500],
  ['', undefined],
  ['soon', undefined],
  ['5 m', undefined],
  ['-1s', undefined],
])('duration %j', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each([
  [400, '0.4s'],
  [12_000, '12s'],
  [185_000, '3m05s'],
  [7_500_000, '2h05m'],
])('%d ms is %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});

test('a table cuts long cells, joins lists and leaves wide columns out', () => {
  const columns = [
    { header: 'NAME', value: (row: { readonly a: string }) => row.a, maxWidth: 5 },
    { header: 'LIST', value: () => ['x', 'y'] },
    { header: 'OK', value: () => true },
    { header: 'NOTE', value: () => 'n', wideOnly: true },
  ];
  const rows = [{ a: 'abcdefgh' }, { a: 'ab' }];
  expect(renderTable(columns, rows, false)).toBe('NAME    LIST   OK\nabcd…   x, y   yes\nab      x, y   yes\n');
  expect(renderTable(columns, rows, true)).toContain('abcdefgh   x, y   yes   n\n');
  expect(renderTable(columns, [], false)).toBe('');
});

test('manifests are a YAML stream or a List', async () => {
  expect(await renderManifests([{ a: 1 }, { b: 'x' }], 'yaml')).toBe('---\na: 1\n---\nb: x\n');
  expect(JSON.parse(await renderManifests([{ a: 1 }], 'json'))).toEqual({
    apiVersion: 'v1',
    kind: 'List',
    items: [{ a: 1 }],
  });
});

test.each([
  ['10.42.0.0/16', undefined],
  ['fd00:1::/48', undefined],
  ['10.42.0.1/16', 'host bits'],
  ['0.0.0.0/0', 'cannot be announced'],
  ['127.1.0.0/16', 'loopback'],
  ['169.254.1.0/24', 'link-local'],
  ['240.1.0.0/16', 'vx-submariner'],
  ['nonsense', 'is not a CIDR'],
])('CIDR %s', (text, problem) => {
  if (problem === undefined) expect(cidrProblem(text)).toBeUndefined();
  else expect(cidrProblem(text)).toContain(problem);
});

test('junk never gets through as a CIDR to announce', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(cidrProblem(`${text}x`)).toBeDefined();
    }),
  );
});

test.each([
  ['ipsec', 'libreswan'],
  ['LibreSwan', 'libreswan'],
  ['wireguard', 'wireguard'],
  ['vxlan', 'vxlan'],
])('cable driver %s is %s', (word, name) => {
  expect(cableDriverName(word)).toBe(name);
});

test.each([
  [undefined, ''],
  ['198.51.100.7', 'ipv4:198.51.100.7'],
  ['dns:gw.example.org', 'dns:gw.example.org'],
  ['lb:submariner-gateway', 'lb:submariner-gateway'],
])('public IP %s', (text, resolver) => {
  expect(publicIpResolver(text)).toBe(resolver);
});

test.each(['999.1.1.1', 'dns:', 'lb:a,b', 'tel:1'])('public IP %s is refused', (text) => {
  expect(() => publicIpResolver(text)).toThrow('--public-ip');
});

test('images: default, repository, override', () => {
  expect(chooseImages({}, '1.0')).toMatchObject({
    gateway: 'localhost/subctl/submariner-gateway:1.0',
    routeAgent: 'localhost/subctl/submariner-route-agent:1.0',
    pullPolicy: 'IfNotPresent',
  });
  const chosen = chooseImages(
    { repository: 'local', version: 'devel', imageOverride: ['submariner-routeagent=r/x:2'] },
    '1',
  );
  expect(chosen).toMatchObject({ gateway: 'submariner-gateway:devel', routeAgent: 'r/x:2', pullPolicy: 'Always' });
  expect(() => chooseImages({ imageOverride: ['gateway=x'] }, '1')).toThrow('--image-override: gateway=x');
});

const gateway = (name: string): Node => node(name, { 'submariner.io/gateway': 'true' });
const unready = (name: string): Node => ({
  ...node(name),
  status: { conditions: [{ type: 'Ready', status: 'False' }] },
});
const NOTHING = { named: [], count: undefined, mayLabel: true };

test.each([
  ['the only worker', [node('a')], NOTHING, { kind: 'settled', already: [], label: ['a'] }],
  ['the only one that is ready', [node('a'), unready('b')], NOTHING, { kind: 'settled', already: [], label: ['a'] }],
  ['a labelled one', [node('a'), gateway('b')], NOTHING, { kind: 'settled', already: ['b'], label: [] }],
  ['several', [node('b'), node('a')], NOTHING, { kind: 'ask', candidates: ['a', 'b'] }],
  ['none wanted', [node('a')], { ...NOTHING, mayLabel: false }, { kind: 'settled', already: [], label: [] }],
  [
    'named',
    [node('a'), gateway('b')],
    { ...NOTHING, named: ['a', 'b'] },
    { kind: 'settled', already: ['b'], label: ['a'] },
  ],
  [
    'counted',
    [node('b'), node('a'), gateway('c')],
    { ...NOTHING, count: 2 },
    { kind: 'settled', already: ['c'], label: ['a'] },
  ],
])('gateway nodes: %s', (_what, nodes, wishes, plan) => {
  expect(planGatewayNodes(nodes as readonly Node[], wishes)).toEqual(plan);
});

test('what is wrong with a pod', () => {
  const pod = (status: object): Pod => ({ metadata: {}, spec: { nodeName: 'n1', containers: [] }, status });
  const container = { name: 'c', ready: false, restartCount: 2 };
  expect(podTrouble(pod({ phase: 'Running', containerStatuses: [{ ...container, ready: true }] }))).toBeUndefined();
  const waiting = { waiting: { reason: 'ImagePullBackOff', message: 'no such image' } };
  expect(podTrouble(pod({ containerStatuses: [{ ...container, state: waiting }] }))).toBe(
    'c ImagePullBackOff: no such image on n1',
  );
  const ended = { running: {} };
  const lastState = { terminated: { exitCode: 2 } };
  expect(podTrouble(pod({ containerStatuses: [{ ...container, state: ended, lastState }] }))).toBe(
    'c ended with exit code 2 (restarts: 2) on n1',
  );
  const condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes' };
  expect(podTrouble(pod({ phase: 'Pending', conditions: [condition] }))).toBe(
    'not scheduled, Unschedulable: 0/1 nodes',
  );
});

test('how far a DaemonSet is', () => {
  const daemonSet = (status: object | undefined): DaemonSet =>
    ({
      metadata: { name: 'd', generation: 2 },
      spec: {},
      ...(status === undefined ? {} : { status }),
    }) as unknown as DaemonSet;
  const numbers = { observedGeneration: 2, desiredNumberScheduled: 2, currentNumberScheduled: 2 };
  expect(daemonSetProgress(daemonSet(undefined), [])).toEqual({
    pending: 'd: the DaemonSet controller has not seen it yet',
  });
  expect(daemonSetProgress(daemonSet({ ...numbers, observedGeneration: 1, numberReady: 2 }), [])).toHaveProperty(
    'pending',
  );
  expect(daemonSetProgress(daemonSet({ ...numbers, numberReady: 1 }), [])).toEqual({ pending: 'd: 1 of 2 ready' });
  expect(daemonSetProgress(daemonSet({ ...numbers, numberReady: 2, updatedNumberScheduled: 1 }), [])).toHaveProperty(
    'pending',
  );
  expect(daemonSetProgress(daemonSet({ ...numbers, numberReady: 2 }), [])).toEqual({ done: true });
});

test('a reporter writes plain lines where there is no terminal, and a live line where there is one', async () => {
  const lines = async (isTTY: boolean, verbosity: number): Promise<string> => {
    let text = '';
    const sink = { write: (more: string) => void (text += more), isTTY, columns: 80 };
    const clock = new JumpingClock();
    const reporter = createReporter({ sink, env: { NO_COLOR: '1' }, clock, verbosity });
    await reporter.step('Working', async (step) => {
      step.update('half done');
      step.progress('fleeting');
      await clock.sleep(2500);
    });
    await expect(reporter.step('Breaking', async () => Promise.reject(new Error('x')))).rejects.toThrow('x');
    reporter.warn('careful');
    return text;
  };
  expect(await lines(false, 0)).toBe('   half done\n ✓ Working (2.5s)\n ✗ Breaking\n ⚠ careful\n');
  expect(await lines(false, -1)).toBe(' ✗ Breaking\n ⚠ careful\n');
  const live = await lines(true, 0);
  expect(live).toContain('\r\u001B[K ⠋ Working 0.0s');
  expect(live).toContain('fleeting');
  expect(live).toMatch(/\r\u001B\[K ✓ Working \(2\.5s\)\n/);
});
