import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestSandbox, eventually } from './subctl.ts';

const NODES = ['east-1', 'east-2', 'west-1', 'west-2'];

describe('uninstall', () => {
  const sandbox = new TestSandbox();
  const kubeconfig = path.join(sandbox.root, 'state', sandbox.name, 'kubeconfig');
  const subctl = (...args: readonly string[]) => sandbox.run(...args, '--kubeconfig', kubeconfig);
  const good = (...args: readonly string[]) => sandbox.ok(...args, '--kubeconfig', kubeconfig);

  const inside = (node: string, ...command: readonly string[]): readonly string[] =>
    execFileSync('ip', ['netns', 'exec', `sbx-${sandbox.name}-node.${node}`, ...command], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).split('\n');

  /** Links of pods come and go, what the kernel makes of addresses goes with them. */
  const lasting = (line: string): boolean => !/veth|proto kernel|\bconf\.lo\b/.test(line);

  const files = (node: string): readonly string[] =>
    readdirSync(path.join(sandbox.root, 'state', sandbox.name, 'nodes', node), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.startsWith('var/lib/'))
      .toSorted();

  const commandLine = (pid: string): string => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    } catch {
      return '';
    }
  };
  const programs = (node: string): readonly string[] =>
    execFileSync('ip', ['netns', 'pids', `sbx-${sandbox.name}-node.${node}`], { encoding: 'utf8' })
      .split('\n')
      .map((pid) => (pid === '' ? '' : commandLine(pid)))
      .filter((command) => command !== '' && !command.includes('sandbox.mjs'))
      .toSorted();

  /** Everything of a node that could be changed: links, addresses, routes, rules, firewall, settings, files, programs. */
  function scan(node: string): Readonly<Record<string, readonly string[]>> {
    const links = inside(node, 'ip', '-o', 'link', 'show').map((line) => line.split(': ')[1]?.split('@')[0] ?? '');
    return {
      links: links.filter(lasting).toSorted(),
      addresses: inside(node, 'ip', '-o', '-4', 'address', 'show').map((line) => line.replace(/^\d+: /, '')),
      routes: inside(node, 'ip', 'route', 'show', 'table', 'all').filter(lasting).toSorted(),
      rules: inside(node, 'ip', 'rule', 'show'),
      tables: inside(node, 'nft', 'list', 'tables').toSorted(),
      settings: inside(node, 'sysctl', '-a').filter(
        (line) => /^net\.ipv4\.(ip_forward|conf|neigh)/.test(line) && lasting(line),
      ),
      files: files(node),
      programs: programs(node),
    };
  }

  const scans = () => Object.fromEntries(NODES.map((node) => [node, scan(node)]));

  const join = async (cluster: string, driver: string): Promise<void> => {
    const flags = ['--context', cluster, '--clusterid', cluster, '--gateway-nodes', `${cluster}-1`];
    await good('join', 'broker-info.subm', ...flags, '--cable-driver', driver);
  };

  const ofBroker = (what: string): readonly string[] =>
    sandbox
      .kubectl('--context', 'east', '-n', 'submariner-k8s-broker', 'get', what, '-o', 'name')
      .split('\n')
      .filter((name) => name.includes('west'));
  const BROKER_OBJECTS = 'serviceaccounts,secrets,roles,rolebindings,clusters.submariner.io,endpoints.submariner.io';

  const left = (cluster: string): string =>
    sandbox
      .kubectl('--context', cluster, 'get', 'crd,namespaces,clusterroles,clusterrolebindings,nodes', '-o', 'json')
      .match(/[\w/.-]*submariner[\w/.-]*/g)
      ?.join(' ') ?? '';

  beforeAll(async () => {
    await sandbox.sandbox('up', '--nodes', '2');
  }, 60_000);

  afterAll(() => sandbox.dispose());

  test('leaves nodes, clusters and broker as they were', async () => {
    const before = scans();
    await good('deploy-broker', '--context', 'east');
    for (const cluster of ['east', 'west']) await join(cluster, 'ipsec');
    await good('show', 'connections', '--wait', '--timeout', '60s');
    expect(scan('west-1')).not.toEqual(before['west-1']);

    await good('uninstall', '--context', 'west', '--yes');
    expect(left('west')).toBe('');
    await eventually(
      () => ofBroker(BROKER_OBJECTS),
      (names) => names.length === 0,
    );
    await good('uninstall', '--context', 'east', '--yes');
    expect(left('east')).toBe('');
    expect(scans()).toEqual(before);
    expect((await subctl('uninstall', '--context', 'east', '--yes')).stderr).toContain(
      'Nothing of subctl is in cluster east',
    );
  }, 180_000);

  test('finishes later what was away: a node, and the broker', async () => {
    const before = scans();
    await good('deploy-broker', '--context', 'east');
    for (const cluster of ['east', 'west']) await join(cluster, 'vxlan');
    const state = readFileSync(path.join(sandbox.root, 'state', sandbox.name, 'state.json'), 'utf8');
    const { processes } = JSON.parse(state) as {
      readonly processes: Readonly<Record<string, { readonly pid: number }>>;
    };
    const broker = processes['controlplane/east']!.pid;
    await sandbox.sandbox('fault', 'west', 'west-2', '--blackhole');
    process.kill(broker, 'SIGSTOP');
    try {
      const outcome = await subctl('uninstall', '--context', 'west', '--yes', '--request-timeout', '3s');
      expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining('not clean: west-2') });
      expect(outcome.stderr).toContain('the broker https://198.18.0.11:6443 still knows the cluster');
    } finally {
      process.kill(broker, 'SIGCONT');
    }
    expect(left('west')).toBe('');
    expect(scan('west-1')).toEqual(before['west-1']);
    expect(scan('west-2')).not.toEqual(before['west-2']);

    await sandbox.sandbox('fault', 'west', 'west-2', '--heal');
    // As its hint says: when the node can run pods again, which its status tells a little late in both directions.
    await eventually(
      () => subctl('uninstall', '--context', 'west', '--nodes', 'west-2'),
      ({ code }) => code === 0,
      60_000,
    );
    expect(scan('west-2')).toEqual(before['west-2']);
    expect(ofBroker(BROKER_OBJECTS)).not.toEqual([]);
    await good('uninstall', '--context', 'west', '--yes', '--broker-info', 'broker-info.subm');
    expect(ofBroker(BROKER_OBJECTS)).toEqual([]);
    expect(left('west')).toBe('');
  }, 180_000);
});
