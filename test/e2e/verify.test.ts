import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { FailoverResult } from '../../src/commands/verify/failover.ts';
import { TestSandbox, eventually, finished, type Finished } from './subctl.ts';

interface Verified {
  readonly passed: number;
  readonly failed: number;
  readonly evidence: string | null;
  readonly conclusions: readonly string[];
  readonly tests: readonly {
    readonly test: string;
    readonly status: string;
    readonly message: string;
    readonly sourceSeen: string;
    readonly from: { readonly cluster: string; readonly kind: string; readonly gateway: boolean };
    readonly to: { readonly cluster: string; readonly kind: string; readonly gateway: boolean };
  }[];
  readonly failovers: readonly FailoverResult[];
}

describe('subctl verify', () => {
  const sandbox = new TestSandbox();
  const verify = (...args: readonly string[]): Promise<Finished> =>
    sandbox.run('verify', '--context', 'east', '--tocontext', 'west', ...args, ...sandbox.kubeconfig);
  const on = (node: string, ...command: readonly string[]): Promise<string> =>
    sandbox.sandbox('exec', node.split('-')[0] ?? '', node, '--', ...command);

  /** Namespaces and pods of tests, on the API servers and as processes. */
  const leftovers = (): readonly string[] => {
    const objects = ['east', 'west'].flatMap((context) =>
      sandbox
        .kubectl('--context', context, 'get', 'namespaces,pods,services', '-A', '-o', 'name')
        .split('\n')
        .filter((name) => /subctl-test|probe/.test(name)),
    );
    const processes = readdirSync('/proc').filter((pid) => {
      const file = path.join('/proc', pid, 'cmdline');
      if (!/^\d+$/.test(pid) || !existsSync(file)) return false;
      const environment = path.join('/proc', pid, 'environ');
      try {
        const isProbe = readFileSync(file, 'utf8').includes('probe\0serve');
        return isProbe && readFileSync(environment, 'utf8').includes(sandbox.name);
      } catch {
        return false;
      }
    });
    return [...objects, ...processes];
  };
  const gatewayLabels = (): string =>
    ['east', 'west']
      .map((context) =>
        sandbox.kubectl('--context', context, 'get', 'nodes', '-l', 'submariner.io/gateway=true', '-o', 'name'),
      )
      .join('');

  beforeAll(async () => {
    await sandbox.joined(2, '--nodes', '3');
  }, 180_000);

  afterEach(() => expect(leftovers()).toEqual([]));

  afterAll(() => sandbox.dispose());

  test('proves every kind of traffic in both directions, source addresses included, and leaves nothing behind', async () => {
    const { code, stdout, stderr } = await verify('-o', 'json', '--junit', 'junit.xml');
    expect({ code, trouble: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, trouble: '' });
    const { passed, failed, tests, evidence } = JSON.parse(stdout) as Verified;
    expect({ failed, evidence }).toEqual({ failed: 0, evidence: null });
    expect(passed).toBe(tests.length);
    const ways = new Set(
      tests.map(({ test, from, to }) => [test, from.cluster, from.kind, from.gateway, to.kind, to.gateway].join(' ')),
    );
    // Each way: 4 sources, 2 pods: tcp, udp, icmp; sizes from pods; 2 Services: tcp, udp.
    expect(ways.size).toBe(2 * (4 * 2 * 3 + 2 * 2 + 4 * 2 * 2));
    for (const { from, sourceSeen, test } of tests) {
      if (test === 'tcp') expect(sourceSeen).toMatch(from.cluster === 'east' ? /^10\.130\./ : /^10\.131\./);
    }
    const junit = readFileSync(path.join(sandbox.root, 'junit.xml'), 'utf8');
    expect(junit).toContain(`<testsuites name="subctl verify" tests="${tests.length}" failures="0"`);
    expect(stderr).toContain('gateway-failover is skipped');
  }, 60_000);

  test('a Service answers gateway nodes from pods on every node, also on gateways that stand by', async () => {
    const service = ['-n', 'default', 'get', 'service', 'echo', '-o', 'jsonpath={.spec.clusterIP}'];
    const url = `http://${sandbox.kubectl('--context', 'west', ...service)}:8080/`;
    for (const node of ['east-1', 'east-2']) {
      const answered = new Set<string>();
      for (let request = 0; request < 60 && answered.size < 3; request += 1) {
        const answer = JSON.parse(await on(node, 'curl', '-sS', '-m', '3', url)) as { readonly node: string };
        answered.add(answer.node);
      }
      expect([...answered].toSorted()).toEqual(['west-1', 'west-2', 'west-3']);
    }
  }, 60_000);

  test('a fault makes it fail, with the pattern, the evidence and a report', async () => {
    // Large packets vanish without a word, as where ICMP is filtered; on whichever gateway is active.
    const chain = 'type filter hook prerouting priority 0; iifname "vxlan-tunnel" ip length > 1000 drop';
    for (const node of ['west-1', 'west-2']) await on(node, 'nft', `table inet fault { chain c { ${chain}; }; }`);
    try {
      const limits = ['--connection-timeout', '1s', '--connection-attempts', '1'];
      const { code, stdout, stderr } = await verify(
        '-o',
        'json',
        '--junit',
        'failed.xml',
        '--evidence',
        'kept',
        ...limits,
      );
      expect(code).toBe(1);
      const { failed, conclusions, tests } = JSON.parse(stdout) as Verified;
      expect(conclusions).toContainEqual(expect.stringMatching(/^east -> west: only small packets get through.*MTU/));
      const bad = tests.filter(({ status }) => status === 'failed');
      expect(bad).toHaveLength(failed);
      expect(new Set(bad.map(({ test }) => test))).toEqual(new Set(['tcp', 'packet-sizes']));
      expect(stderr).toMatch(/Error: \d+ of \d+ tests failed/);
      expect(readdirSync(path.join(sandbox.root, 'kept')).sort()).toEqual(
        expect.arrayContaining(['explain-1.txt', 'gather.tar.gz', 'results.json']),
      );
      expect(readFileSync(path.join(sandbox.root, 'failed.xml'), 'utf8')).toContain('<failure message=');
    } finally {
      for (const node of ['west-1', 'west-2']) await on(node, 'nft', 'delete table inet fault');
    }
  }, 60_000);

  test('runs in a namespace that is there, which stays', async () => {
    for (const context of ['east', 'west']) sandbox.kubectl('--context', context, 'create', 'namespace', 'mine');
    const { code, stdout, stderr } = await verify('-n', 'mine', '--only', 'basic-connectivity');
    expect({ code, trouble: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, trouble: '' });
    expect(stdout).toMatch(/^pod on east-3 \(non-gateway\) +pod on west-3 \(non-gateway\) +ok +10\.130\.3\.\d+$/m);
    expect(sandbox.kubectl('--context', 'east', '-n', 'mine', 'get', 'pods,services', '-o', 'name')).toBe('');
    expect(sandbox.kubectl('--context', 'east', 'get', 'namespace', 'mine', '-o', 'name')).toBe('namespace/mine\n');
  }, 60_000);

  test('interrupted: the pods are removed, and it says so', async () => {
    const child = sandbox.start(['verify', '--context', 'east', '--tocontext', 'west', ...sandbox.kubeconfig]);
    const end = finished(child);
    child.stderr?.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('test pods run')) child.kill('SIGINT');
    });
    const { code, stderr } = await end;
    expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringContaining('interrupted') });
    expect(stderr).toContain('The test pods are removed');
  }, 60_000);

  test('gateways are taken away and given back while traffic flows; its loss is counted', async () => {
    const before = gatewayLabels();
    const { code, stdout, stderr } = await verify('--disruptive', '--only', 'gateway-failover', '-o', 'json');
    expect({ code, trouble: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, trouble: '' });
    const { failovers } = JSON.parse(stdout) as Verified;
    expect(failovers.map(({ cluster, kind, status }) => `${cluster} ${kind} ${status}`)).toEqual([
      'east restart passed',
      'east hand-over passed',
      'west restart passed',
      'west hand-over passed',
    ]);
    for (const { flows, kind, gateway, successor } of failovers) {
      if (kind === 'hand-over') expect(successor).not.toBe(gateway);
      expect(flows.map(({ protocol, from, to }) => `${protocol} ${from} ${to}`).sort()).toEqual([
        'tcp east west',
        'tcp west east',
        'udp east west',
        'udp west east',
      ]);
      for (const flow of flows) {
        expect(flow.received).toBeGreaterThan(20);
        expect(flow.longestOutageMs).toBeLessThan(30_000);
      }
    }
    expect(gatewayLabels()).toBe(before);
  }, 120_000);

  test('interrupted while a gateway is away: it is one again', async () => {
    const before = gatewayLabels();
    const words = ['verify', '--context', 'east', '--tocontext', 'west', '--disruptive', '--only', 'gateway-failover'];
    const child = sandbox.start([...words, ...sandbox.kubeconfig]);
    const end = finished(child);
    await eventually(gatewayLabels, (labels) => labels !== before, 60_000);
    child.kill('SIGINT');
    expect(await end).toMatchObject({ code: 130 });
    expect(gatewayLabels()).toBe(before);
    await sandbox.ok('show', 'connections', '--wait', '--timeout', '60s', ...sandbox.kubeconfig);
  }, 120_000);
});
