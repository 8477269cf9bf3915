import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { renderStatus } from '../../../src/commands/sandbox/status-text.ts';
import { renderKubeconfig } from '../../../src/sandbox/lifecycle/kubeconfig.ts';
import {
  sandboxFiles,
  writeFileAtomically,
  writeState,
  type SandboxState,
} from '../../../src/sandbox/lifecycle/state.ts';
import type { SandboxStatus } from '../../../src/sandbox/lifecycle/status.ts';
import { Harness } from '../harness.ts';

const root = mkdtempSync(path.join(tmpdir(), 'sbx-commands-'));
const harness = new Harness({}, { env: { SUBCTL_SANDBOX_DIR: root, PATH: '/nowhere' } });

afterAll(() => rmSync(root, { recursive: true, force: true }));

const STATE: SandboxState = {
  format: 1,
  options: {
    name: 'lab',
    clusters: ['east', 'west'],
    nodes: 2,
    gateways: 1,
    wanLatencyMs: 0,
    controlPlane: 'embedded',
    runtime: 'process',
  },
  phase: 'up',
  createdAt: '2026-01-01T00:00:00Z',
  proxyPort: 40_000,
  processes: {},
};

describe('commands without a sandbox', () => {
  test.each([
    ['status'],
    ['env'],
    ['kubeconfig', 'east'],
    ['logs', 'east', 'east-1', 'gateway'],
    ['fault', 'east', 'east-1', '--kill'],
    ['exec', 'east', 'east-1', '--', 'true'],
  ])('%s says how to start one', async (...args) => {
    const { exitCode, stderr } = await harness.run('sandbox', ...args);
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('subctl sandbox up')]);
  });

  test('wrong flags are wrong usage', async () => {
    const lines = [
      ['up', '--nodes', 'three'],
      ['up', '--wan-latency', 'slow'],
      ['fault', 'east', 'east-1', '--kill', '--heal'],
      ['fault', '--wan-loss', '101'],
      ['fault', 'east', '--api', 'slow'],
      ['kubeconfig'],
      ['status', '--name', '../etc'],
    ];
    for (const args of lines)
      expect({ args, exitCode: (await harness.run('sandbox', ...args)).exitCode }).toEqual({ args, exitCode: 2 });
  });
});

describe('commands with a sandbox', () => {
  const files = sandboxFiles(root, 'lab');

  test('kubeconfig prints that of one cluster and names the others for an unknown one', async () => {
    writeState(files, STATE);
    writeFileAtomically(files.clusterKubeconfig('west'), 'apiVersion: v1\n');
    expect(await harness.run('sandbox', 'kubeconfig', 'west', '--name', 'lab')).toMatchObject({
      exitCode: 0,
      stdout: 'apiVersion: v1\n',
    });
    expect(await harness.run('sandbox', 'kubeconfig', 'north', '--name', 'lab')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('east, west'),
    });
  });

  test('fault wants to know what', async () => {
    writeState(files, STATE);
    expect(await harness.run('sandbox', 'fault', 'east', '1', '--name', 'lab')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('--heal'),
    });
  });
});

describe('kubeconfig', () => {
  const access = (name: string) => ({
    name,
    server: `https://${name}:6443`,
    ca: `CA of ${name}`,
    adminToken: `token of ${name}`,
  });

  test('names contexts like clusters and the way through the proxy', () => {
    const config = parse(renderKubeconfig([access('east'), access('west')], 4711)) as Record<string, unknown>;
    expect(config).toMatchObject({
      'current-context': 'east',
      contexts: [{ name: 'east', context: { cluster: 'east', user: 'admin@east' } }, { name: 'west' }],
      users: [{ user: { token: 'token of east' } }, { user: { token: 'token of west' } }],
    });
    expect(config['clusters']).toMatchObject([
      { cluster: { server: 'https://east:6443', 'proxy-url': 'http://127.0.0.1:4711' } },
      { name: 'west' },
    ]);
  });

  test('gives away no token of a neighbour', () => {
    const text = renderKubeconfig([access('east')], 4711, [access('west')]);
    expect(text).toContain('https://west:6443');
    expect(text).not.toContain('token of west');
  });
});

describe('status for people', () => {
  const node = {
    address: '172.31.0.11',
    podCidr: '10.130.1.0/24',
    gateway: true,
    state: 'blackholed',
    ready: 'True',
  } as const;
  const status: SandboxStatus = {
    name: 'lab',
    createdAt: '',
    directory: '',
    kubeconfig: '',
    proxy: '',
    controlPlane: 'embedded',
    faults: [{ kind: 'blackhole', target: 'east-1', direction: 'both' }],
    clusters: [
      {
        name: 'east',
        server: 'https://198.18.0.11:6443',
        podCidr: '10.130.0.0/16',
        serviceCidr: '100.66.0.0/16',
        nodes: [{ ...node, name: 'east-1' }],
        pods: { total: 4, ready: 3 },
      },
    ],
  };

  test('is one line a cluster, one a node, and the faults', () => {
    expect(renderStatus(status, false)).toBe(
      'east: https://198.18.0.11:6443, pods 10.130.0.0/16, Services 100.66.0.0/16, 3 of 4 pods ready\n\n' +
        'CLUSTER   NODE     STATE        READY   GATEWAY   ADDRESS\n' +
        'east      east-1   blackholed   True    yes       172.31.0.11\n' +
        'Fault: east-1 loses every packet\n',
    );
  });

  test('says why an API server does not answer', () => {
    const [east] = status.clusters;
    const broken = { ...status, clusters: [{ ...east!, problem: 'connection refused' }] };
    expect(renderStatus(broken, true)).toContain('API server: connection refused');
  });
});
