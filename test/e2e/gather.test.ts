import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { EngineDaemonState, RouteAgentDaemonState } from '../../src/api/daemonstate.ts';
import { clusterInArchive, openArchive } from '../../src/commands/gather/archive.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { TestSandbox, eventually, finished } from './subctl.ts';

const OURS = 'submariner-operator';
const ENGINE = 'http://127.0.0.1:32780';
const AGENT = 'http://127.0.0.1:32782';

describe('daemons that tell of themselves, and the archive made of it', () => {
  const sandbox = new TestSandbox();
  const kubeconfig = (): readonly string[] => [
    '--kubeconfig',
    path.join(sandbox.root, 'state', sandbox.name, 'kubeconfig'),
  ];
  const on = (node: string, ...command: readonly string[]): Promise<string> =>
    sandbox.sandbox('exec', node.split('-')[0] ?? '', node, '--', ...command);
  const page = (node: string, url: string): Promise<string> =>
    on(node, 'curl', '-s', '--max-time', '20', '-w', ' %{http_code}', url);
  const engineOf = async (node: string): Promise<EngineDaemonState> =>
    JSON.parse(await on(node, 'curl', '-s', `${ENGINE}/debug/state`)) as EngineDaemonState;
  const agentOf = async (node: string): Promise<RouteAgentDaemonState> =>
    JSON.parse(await on(node, 'curl', '-s', `${AGENT}/debug/state`)) as RouteAgentDaemonState;
  const secretOf = (cluster: string, name: string, key: string): string =>
    sandbox.kubectl('--context', cluster, '-n', OURS, 'get', 'secret', name, '-o', `jsonpath={.data.${key}}`);
  const archives = (): readonly string[] => readdirSync(sandbox.root).filter((name) => /^submariner-|^out/.test(name));

  beforeAll(async () => {
    await sandbox.sandbox('up', '--nodes', '2');
    await sandbox.ok('deploy-broker', '--context', 'east', ...kubeconfig());
    await sandbox.join('--gateways', '1', '--cable-driver', 'ipsec');
  }, 180_000);

  afterEach(async () => {
    await sandbox.sandbox('fault', '--heal');
  }, 60_000);

  afterAll(() => sandbox.dispose());

  test('health and readiness, on the loopback of the node only', async () => {
    for (const url of [`${ENGINE}/healthz`, `${ENGINE}/readyz`, `${AGENT}/healthz`, `${AGENT}/readyz`])
      expect(await page('east-1', url)).toBe('ok\n 200');
    await expect(on('east-2', 'curl', '-s', '--max-time', '5', 'http://172.31.0.11:32780/healthz')).rejects.toThrow();
    await expect(on('east-1', 'curl', '-s', '--max-time', '5', 'http://172.31.0.11:32780/healthz')).rejects.toThrow();
  });

  test('the state of an engine: what it wants is what the node has, with counters', async () => {
    const state = await eventually(
      () => engineOf('east-1'),
      ({ pending }) => pending?.length === 0,
    );
    expect(state).toMatchObject({ daemon: 'engine', node: 'east-1', cluster: 'east', unready: [], problems: [] });
    expect(state.inputs).toMatchObject({ role: 'active', confirmed: true, broker: { problem: null } });
    expect(state.inputs.remotes).toMatchObject([
      { spec: { cluster_id: 'west' }, decision: { usingIp: '172.32.0.11' }, probe: { status: 'connected' } },
    ]);
    expect(state.observed.cables).toMatchObject([{ status: 'connected', rxBytes: expect.any(Number) }]);
    expect(state.observed.ike[0]).toMatchObject({ state: 'ESTABLISHED', remoteHost: '172.32.0.11' });
    expect(state.observed.network?.routes.map(({ destination }) => destination)).toContain('10.131.0.0/16');
    expect(state.observed.nft).toContain('never in clear');
    expect(state.observed.node?.routes.some(({ destination }) => destination === '0.0.0.0/0')).toBe(true);
    expect(state.plan?.steps.length).toBeGreaterThan(0);
  });

  test('the state of a route agent: its role and the way to the gateway', async () => {
    const state = await agentOf('east-2');
    expect(state).toMatchObject({ daemon: 'routeagent', node: 'east-2', unready: [], pending: [] });
    expect(state.inputs).toMatchObject({ role: 'worker', gatewayAddress: '172.31.0.11' });
    expect(state.observed.network?.links.map(({ name }) => name)).toEqual(['vx-submariner']);
  });

  test('metrics: the counters of a tunnel grow with its traffic', async () => {
    const sent = async (): Promise<number> =>
      Number(
        /^submariner_gateway_tx_bytes\{.*\} (\d+)$/m.exec(await on('east-1', 'curl', '-s', `${ENGINE}/metrics`))?.[1],
      );
    const before = await sent();
    await on('east-1', 'ping', '-c', '3', '-i', '0.2', '-s', '1000', '10.131.1.1');
    await eventually(sent, (now) => now >= before + 3000);
    const text = await on('east-2', 'curl', '-s', `${AGENT}/metrics`);
    expect(text).toMatch(/^submariner_routeagent_connections\{.*remote_cluster="west".*\} 1$/m);
  });

  test('an API server that is away makes neither daemon unhealthy or unready, and it is told', async () => {
    await sandbox.sandbox('fault', 'east', '--api', 'refuse');
    await eventually(
      () => on('east-1', 'curl', '-s', `${ENGINE}/metrics`),
      (text) => text.includes('submariner_cache_watched{resource="endpoints"} 0'),
      60_000,
    );
    for (const url of [`${ENGINE}/healthz`, `${ENGINE}/readyz`, `${AGENT}/healthz`, `${AGENT}/readyz`])
      expect(await page('east-1', url)).toBe('ok\n 200');
    const { caches } = await engineOf('east-1');
    expect(caches.find(({ resource }) => resource === 'endpoints')).toMatchObject({
      synced: true,
      problem: expect.stringMatching(/./),
    });
  }, 120_000);

  test('gather: everything is there, and no secret', async () => {
    const psk = secretOf('east', 'submariner-ipsec-psk', 'psk');
    const token = Buffer.from(secretOf('west', 'submariner-broker-secret', 'token'), 'base64').toString();
    const info = readFileSync(path.join(sandbox.root, 'broker-info.subm'), 'utf8').trim();
    const planted = [
      { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'left-lying', namespace: OURS }, data: { info, psk } },
      {
        kind: 'Pod',
        apiVersion: 'v1',
        metadata: { name: 'talker', namespace: OURS, annotations: { note: `Bearer ${token}` } },
        spec: {
          containers: [
            {
              name: 'talker',
              image: 'client',
              env: [{ name: 'CE_IPSEC_PSK', value: psk }],
              command: ['sh', '-c', `echo token is ${token}; echo ${info}; echo said all; exec sleep 1000`],
            },
          ],
        },
      },
    ];
    const file = path.join(sandbox.root, 'planted.json');
    writeFileSync(file, JSON.stringify({ kind: 'List', apiVersion: 'v1', items: planted }));
    sandbox.kubectl('--context', 'east', 'apply', '--validate=false', '-f', file);
    try {
      await eventually(
        () =>
          sandbox.kubectl('--context', 'east', '-n', OURS, 'get', 'pod', 'talker', '-o', 'jsonpath={.status.phase}'),
        (phase) => phase === 'Running',
      );
      await eventually(
        () => sandbox.kubectl('--context', 'east', '-n', OURS, 'logs', 'talker'),
        (log) => log.includes('said all'),
      );
      const summary = JSON.parse(await sandbox.ok('gather', '-o', 'json', ...kubeconfig())) as {
        readonly file: string;
        readonly clusters: readonly { readonly cluster: string; readonly failures: readonly unknown[] }[];
      };
      expect(summary.clusters.map(({ cluster, failures }) => [cluster, failures])).toEqual([
        ['east', []],
        ['west', []],
      ]);
      const archive = path.join(sandbox.root, summary.file);
      const all = execFileSync('tar', ['-xzOf', archive], { encoding: 'utf8', maxBuffer: 2 ** 28 });
      expect(all).toContain('said all');
      expect(all).toContain('left-lying');
      const forms = [psk, token, info].flatMap((text) => [text, Buffer.from(text).toString('base64')]);
      expect(forms.filter((text) => all.includes(text.replace(/=+$/, '')))).toEqual([]);
      const west = clusterInArchive(await openArchive(archive), 'west');
      expect(await west.daemonState({ node: 'west-1', daemon: 'engine' })).toMatchObject({
        inputs: { role: 'active' },
      });
      expect(await west.daemonState({ node: 'west-2', daemon: 'routeagent' })).toMatchObject({ node: 'west-2' });
      expect(await west.objects(RESOURCES.endpoints)).toHaveLength(2);
      expect(await west.text('broker/resources/endpoints.submariner.io.yaml')).toContain('cluster_id: east');
      expect(await west.text('resources/pods.yaml')).toContain('podIP');
    } finally {
      sandbox.kubectl('--context', 'east', 'delete', '-f', file, '--wait=false');
    }
  }, 120_000);

  test('a cluster that is away and a daemon that hangs are named, the rest is gathered', async () => {
    await sandbox.sandbox('fault', 'west', 'west-2', '--pause-process', 'routeagent');
    sandbox.kubectl('config', 'set-cluster', 'gone', '--server', 'https://127.0.0.1:1');
    sandbox.kubectl('config', 'set-context', 'gone', '--cluster', 'gone');
    const flags = ['--dir', 'out-1', '--timeout', '40s', '--contexts', 'west,gone'];
    const { code, stderr } = await sandbox.run('gather', ...flags, ...kubeconfig());
    expect(code).toBe(0);
    expect(stderr).toContain('context gone: cannot reach the API server');
    expect(stderr).toMatch(/west: state: (routeagent on node west-2: |time was up)/);
    const archive = await openArchive(path.join(sandbox.root, 'out-1'));
    expect(archive.problems).toMatchObject([{ context: 'gone' }]);
    const west = clusterInArchive(archive, 'west');
    sandbox.kubectl('config', 'delete-context', 'gone');
    expect(await west.daemonState({ node: 'west-1', daemon: 'routeagent' })).toMatchObject({ node: 'west-1' });
    await expect(west.daemonState({ node: 'west-2', daemon: 'routeagent' })).rejects.toThrow(/does not hold/);
  }, 120_000);

  test('Ctrl-C leaves nothing behind and says so', async () => {
    await sandbox.sandbox('fault', 'west', 'west-2', '--pause-process', 'routeagent');
    const before = archives();
    const child = sandbox.start(['gather', '--file', 'out.tar.gz', ...kubeconfig()]);
    const ended = finished(child);
    await eventually(archives, (names) => names.includes('out.tar.gz.partial'));
    child.kill('SIGINT');
    const { code, stderr } = await ended;
    expect([code, stderr]).toEqual([130, expect.stringContaining('out.tar.gz was not finished and has been removed')]);
    expect(archives()).toEqual(before);
  }, 60_000);
});
