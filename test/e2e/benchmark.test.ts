import { spawn } from 'node:child_process';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { LatencyItem, ThroughputItem } from '../../src/commands/benchmark/figures.ts';
import { TestSandbox, finished } from './subctl.ts';

const sandbox = new TestSandbox();
const BOTH = ['--context', 'east', '--tocontext', 'west'];

beforeAll(async () => {
  await sandbox.joined(1, '--nodes', '2');
}, 180_000);

afterAll(() => sandbox.dispose());

describe('subctl benchmark', () => {
  const benchmark = async <T>(...args: readonly string[]): Promise<readonly T[]> => {
    const output = await sandbox.ok('benchmark', ...args, '--duration', '1s', '-o', 'json', ...sandbox.kubeconfig);
    return (JSON.parse(output) as { readonly runs: readonly T[] }).runs;
  };

  afterEach(() => {
    const names = ['east', 'west'].map((one) => sandbox.kubectl('--context', one, 'get', 'namespaces', '-o', 'name'));
    expect(names.join('')).not.toContain('subctl-test');
  });

  test('throughput between clusters, beside that of the nodes themselves', async () => {
    const runs = await benchmark<ThroughputItem>('throughput', ...BOTH, '--streams', '4');
    expect(runs.map(({ network, from, to }) => `${network} ${from.node} ${to.node}`)).toEqual([
      'host east-1 west-1',
      'pods east-1 west-1',
      'pods east-2 west-2',
    ]);
    for (const { network, bitsPerSecond, ofHost, client, server, failure } of runs) {
      expect(failure).toBe('');
      expect(bitsPerSecond).toBeGreaterThan(1_000_000);
      expect(ofHost === null).toBe(network === 'host');
      expect(client?.machine).toBe(server?.machine);
    }
  }, 120_000);

  test('latency within a cluster', async () => {
    const runs = await benchmark<LatencyItem>('latency', '--context', 'east');
    expect(runs.map(({ network, from, to }) => `${network} ${from.node} ${to.node}`)).toEqual([
      'host east-2 east-1',
      'pods east-2 east-1',
    ]);
    for (const { rttMs } of runs) {
      expect(rttMs!.count).toBeGreaterThan(10);
      expect(rttMs!.p50).toBeLessThanOrEqual(rttMs!.p99);
    }
  }, 120_000);

  test('interrupted: the pods are removed, and it says so', async () => {
    const child = sandbox.start(['benchmark', 'latency', ...BOTH, '--duration', '1m', ...sandbox.kubeconfig]);
    const end = finished(child);
    child.stderr?.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('test pods run')) child.kill('SIGINT');
    });
    const { code, stderr } = await end;
    expect({ code, stderr }).toEqual({ code: 130, stderr: expect.stringContaining('The test pods are removed') });
  }, 60_000);
});

describe('subctl show that stays', () => {
  /** Lets a program run until `enough` holds of what it has written, then interrupts it. */
  async function watched(command: readonly string[], enough: (text: string) => boolean) {
    const [file = '', ...args] = command;
    const env = { ...process.env, TERM: 'xterm', SUBCTL_SANDBOX_DIR: path.join(sandbox.root, 'state') };
    const child = spawn(file, args, { cwd: sandbox.root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const end = finished(child);
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (enough(text)) child.kill('SIGINT');
    });
    return end;
  }

  const program = path.resolve('bin/subctl');
  const flags = ['--watch', '--interval', '300ms', '--timeout', '60s', ...sandbox.kubeconfig];

  test('a line for each look of a pipe, until it is interrupted', async () => {
    const command = [program, 'show', 'connections', '-o', 'json', ...flags];
    const { code, stdout } = await watched(command, (text) => text.split('\n').length > 3);
    expect(code).toBe(130);
    for (const line of stdout.trimEnd().split('\n')) {
      expect(JSON.parse(line)).toMatchObject({ time: expect.any(String), items: [{}, {}], problems: [] });
    }
  }, 90_000);

  test('on a terminal it is redrawn in place, with sparklines', async () => {
    const line = [program, 'show', 'connections', ...flags].join(' ');
    const { stdout } = await watched(
      ['script', '-qefc', line, '/dev/null'],
      (text) => text.split('RTT now').length > 6,
    );
    expect(stdout).toContain('\u001B[?25l');
    expect(stdout).toMatch(/\u001B\[\d+A/);
    expect(stdout).toMatch(/connected +\d+\.\d\d ms [▁▂▃▄▅▆▇█×]{2,}/);
  }, 90_000);

  test('topology: each cable once, as text, SVG and DOT', async () => {
    const show = (...args: readonly string[]): Promise<string> =>
      sandbox.ok('show', 'topology', ...args, ...sandbox.kubeconfig);
    expect(await show()).toMatch(/^east\/east-1 ══ ✓ vxlan, \d+\.\d\d ms ══ west\/west-1$/m);
    expect(await show('-o', 'svg')).toContain('2 clusters, 1 cables: 1 connected');
    expect(await show('-o', 'dot')).toContain('"east/east-1" -- "west/west-1"');
  }, 60_000);
});
