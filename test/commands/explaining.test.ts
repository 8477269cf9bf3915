import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Explanation } from '../../src/commands/explain/render.ts';
import type { ExecResult, KubeObject } from '../../src/kube/client.ts';
import { KubeApiError } from '../../src/kube/errors.ts';
import { RESOURCES } from '../../src/kube/resources.ts';
import { EAST, nodeNetwork, ownNetwork, pod, podIp, WEST } from './explain/evidence.ts';
import { fleet, type Fleet, NAMESPACE } from './fleet.ts';
import { Harness } from './harness.ts';

const printed = (value: object): ExecResult => ({ exitCode: 0, stdout: `${JSON.stringify(value)}\n`, stderr: '' });

/** A fleet in which addresses for which `silent` holds answer no echo. */
function world(silent: (address: string) => boolean = () => false): Fleet {
  const lost = { icmp: { sent: 3, received: 0, rttMs: null, failure: 'silence' } };
  return fleet({ report: (_pod, { address }) => (silent(address) ? lost : {}) });
}

async function json(harness: Harness, ...args: readonly string[]): Promise<Explanation> {
  return JSON.parse((await harness.run('explain', ...args, '-o', 'json')).stdout) as Explanation;
}

describe('explain', () => {
  test('prints every hop of a way that is whole, and changes nothing', async () => {
    const { harness, east, west } = world();
    const { stdout, stderr, exitCode } = await harness.run('explain', 'east:pod/p2', 'west:svc/echo');
    expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 0 });
    expect(stdout).toContain(
      'From pod default/p2 (10.130.2.2) on east-2 of east to service default/echo (100.67.0.10) of west',
    );
    expect(stdout).toMatch(
      /✓ +there +east +east-2 +overlay +VXLAN 172\.31\.0\.12 -> 172\.31\.0\.11:4800, echo 0\.4 ms/,
    );
    expect(stdout).toMatch(
      /SA 10\.130\.0\.0\/16 - 100\.67\.0\.0\/16 INSTALLED AES_GCM_16-256, 20 bytes sent, 10 received/,
    );
    expect(stdout).toContain('The way is whole, there and back.');
    expect([...east.writes, ...west.writes]).toEqual([]);
  });

  test('names the hop, the cause and the mend of one that is broken', async () => {
    const { harness } = world((address) => address === podIp(WEST, 1, 1));
    const { stdout, stderr, exitCode } = await harness.run('explain', 'east:pod/p2', 'west:pod/p3');
    expect(exitCode).toBe(1);
    expect(stdout).toContain('<-- broken here');
    expect(stdout).toContain('Broken: there, cable on east-1 (east)\n  Cause: the cable to west is set up at this end');
    expect(stderr).toContain('Error: the way is broken: the cable to west');
    const names = await harness.run('explain', 'east:pod/p2', 'west:pod/p3', '-o', 'name');
    expect(names.stdout).toBe('hop/there/east-1/cable\n');
  });

  test('finds out whose an address is, and in which cluster a name is', async () => {
    const { harness } = world();
    expect((await json(harness, '10.130.2.2', '100.67.0.10')).to.name).toBe('service default/echo');
    const { from, to, broken } = await json(harness, 'node/east-3', '10.131.3.77');
    expect(broken).toBeNull();
    expect([from.address, from.node, to.name, to.node]).toEqual(['10.130.3.1', 'east-3', '10.131.3.77', 'west-3']);
  });

  test('reads the kernel where the route agent does not answer', async () => {
    const { harness, east } = world();
    const before = east.onExec;
    east.onExec = async (namespace, name, command, options) => {
      if (name !== 'submariner-routeagent-2') return before(namespace, name, command, options);
      if (command[1] === '--debug-state') return { exitCode: 1, stdout: '', stderr: 'Error: no answer within 17 s' };
      if (command[2] !== 'look') return before(namespace, name, command, options);
      const { ruleset, ...own } = ownNetwork(EAST, WEST, 2);
      expect(ruleset).toBeDefined();
      return printed({ node: nodeNetwork(EAST, WEST, 2), network: own });
    };
    const { hops, broken } = await json(harness, 'east:pod/p2', 'west:pod/p3');
    expect(hops.find(({ what }) => what === 'route agent')).toMatchObject({
      status: 'warning',
      cause: expect.stringContaining('no answer within 17 s'),
    });
    expect(broken).toMatchObject({ what: 'source', node: 'east-2', cause: expect.stringContaining('no nft table') });
  });
});

describe('bad input', () => {
  test.each([
    [['client', 'west:svc/echo'], 2, '"client" is no place a packet could come from or go to'],
    [['west:svc/echo', 'pod/p2'], 2, 'a packet does not start at a Service'],
    [['pod/p2', 'west:pod/p3'], 2, 'pod/p2 is in east and west; say in which'],
    [['south:pod/p2', 'west:pod/p3'], 2, 'there is no cluster "south"; there is east, west'],
    [['east:pod/p2', 'east:pod/p3'], 1, 'are in one cluster, east'],
    [['east:pod/nobody', 'west:pod/p3'], 1, 'east:pod/nobody is not in east'],
    [['east:pod/p2', '10.77.0.1'], 1, '10.77.0.1 is not in east, west'],
    [['east:pod/p2'], 2, "missing required argument 'to'"],
    [['--archive', 'nowhere.tar.gz', '10.130.2.2', '10.131.2.2'], 1, 'there is no file'],
  ])('%s', async (args, code, message) => {
    const { stderr, exitCode } = await world().harness.run('explain', ...args);
    expect(stderr).toContain(message);
    expect(exitCode).toBe(code);
  });

  test('a cluster that has not joined', async () => {
    const { harness, west } = world();
    west.drop(RESOURCES.submariners, 'submariner', NAMESPACE);
    const { stderr, exitCode } = await harness.run('explain', 'east:pod/p2', 'west:pod/p3');
    expect(stderr).toContain('cluster west has not joined');
    expect(exitCode).toBe(1);
  });

  test('interrupted, it says nothing of a way of which it has not seen all', async () => {
    const controller = new AbortController();
    const { east, west } = world();
    const plain = east.onExec;
    east.onExec = (...call) => {
      controller.abort();
      return plain(...call);
    };
    const harness = new Harness({ east, west }, { interrupted: controller.signal });
    const { stdout, stderr } = await harness.run('explain', 'east:pod/p2', 'west:pod/p3');
    expect({ stdout, stderr }).toEqual({ stdout: '', stderr: expect.stringContaining('interrupted') });
  });

  test('two contexts of one cluster', async () => {
    const { east } = world();
    const { stderr, exitCode } = await new Harness({ east, again: east }).run('explain', 'pod/p2', 'pod/p3');
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('are in one cluster') });
    expect(stderr).toContain('contexts east and again are the same cluster; it is looked at once');
  });

  test.each([
    ['a directory of something else', (at: string) => at],
    ['a file of something else', (at: string) => path.join(at, 'notes.txt')],
    ['an empty file', (at: string) => path.join(at, 'empty')],
  ])('%s is no archive', async (_, where) => {
    const { harness } = world();
    writeFileSync(path.join(harness.directory, 'notes.txt'), 'hello');
    writeFileSync(path.join(harness.directory, 'empty'), '');
    const args = ['explain', '--archive', where(harness.directory), '10.130.2.2', '10.131.2.2'];
    const { stderr, exitCode } = await harness.run(...args);
    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('is not an archive of subctl gather'),
    });
    expect(stderr).toContain('Hint: Give the .tar.gz that subctl gather wrote');
  });

  test('a headless Service, a pod without address', async () => {
    const { harness, west } = world();
    west.seed(RESOURCES.services, {
      metadata: { name: 'h', namespace: 'default' },
      spec: { clusterIP: 'None' },
    } as KubeObject);
    west.seed(RESOURCES.pods, {
      ...pod(WEST, 1),
      metadata: { name: 'new', namespace: 'default' },
      status: {},
    } as KubeObject);
    expect((await harness.run('explain', 'east:pod/p2', 'svc/h')).stderr).toContain(
      'has no IPv4 address of its own (clusterIP None)',
    );
    expect((await harness.run('explain', 'east:pod/p2', 'pod/new')).stderr).toContain('has no address yet');
  });

  test('no right to look into a cluster', async () => {
    const { harness, east, west } = world();
    west.onCall = () =>
      new KubeApiError(403, { message: 'forbidden' }, { server: 'https://west:6443', method: 'GET', path: '/x' });
    const { stderr, exitCode } = await harness.run('explain', 'east:pod/p2', 'west:pod/p3');
    expect(stderr).toContain('context west');
    expect(stderr).toContain('forbidden');
    expect(exitCode).not.toBe(0);
    east.onCall = west.onCall;
    const none = await harness.run('explain', 'east:pod/p2', 'west:pod/p3');
    expect(none).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('no cluster could be looked at') });
  });
});
