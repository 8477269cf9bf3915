import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import type { CommandRunner } from '../../src/host/command.ts';
import { createFabric, destroyFabric, killNode, reviveNode } from '../../src/sandbox/fabric/fabric.ts';
import { addFault, healFaults, observeFaults } from '../../src/sandbox/fabric/faults.ts';
import { delayWan } from '../../src/sandbox/fabric/latency.ts';
import { namespaceFile, namespacesOf, processesIn } from '../../src/sandbox/fabric/namespaces.ts';
import { clusterOf, nodeOf, plannedNamespaces, podNamespace, type SandboxPlan } from '../../src/sandbox/plan.ts';
import { identify, isAlive } from '../../src/sandbox/processes.ts';
import { pings, run, runIn, startIn, testPlan, tools, until } from './sandbox-testbed.ts';
import { record } from '../runrecord.ts';

jest.setTimeout(60_000);
let plan: SandboxPlan;
const others: string[] = [];

afterEach(async () => {
  await destroyFabric(tools, plan.name, { graceMs: 100 });
  for (const name of others.splice(0)) execFileSync('ip', ['netns', 'del', name]);
});

const node = (cluster: string, number: number) => nodeOf(clusterOf(plan, cluster), String(number));

async function build(clusters: readonly string[], nodes: number): Promise<void> {
  plan = testPlan(clusters, nodes);
  expect(await createFabric(tools, plan)).toBe('created');
}

describe('a fabric', () => {
  test('joins every node and control plane of two clusters of three nodes', async () => {
    await build(['east', 'west'], 3);
    const from = node('east', 1).namespace;
    const { controlPlane } = clusterOf(plan, 'west');
    for (const address of [
      node('east', 3).address,
      node('west', 2).address,
      clusterOf(plan, 'east').controlPlane.lanAddress,
      controlPlane.wanAddress,
    ]) {
      expect([address, await pings(from, address)]).toEqual([address, true]);
    }
    expect(await pings(controlPlane.namespace, node('east', 2).address)).toBe(true);
    expect((await runIn(from, 'ip', '-br', 'address', 'show', 'cni0')).stdout).toContain('10.130.1.1/24');
    expect((await runIn(from, 'cat', '/proc/sys/net/ipv4/ip_forward')).stdout.trim()).toBe('1');
  });

  test('is left alone when it is there, and built anew when it is not whole or another one', async () => {
    await build(['east'], 2);
    expect(await createFabric(tools, plan)).toBe('kept');
    await runIn(plan.wan.namespace, 'ip', 'link', 'set', 'wan', 'alias', 'half');
    expect(await createFabric(tools, plan)).toBe('created');
    execFileSync('ip', ['netns', 'del', node('east', 2).namespace]);
    expect(await createFabric(tools, plan)).toBe('created');
    expect(await pings(node('east', 1).namespace, node('east', 2).address)).toBe(true);
    const larger = { ...testPlan(['east', 'west'], 2), name: plan.name };
    const wanted: SandboxPlan = JSON.parse(JSON.stringify(larger).replaceAll(/sbx-t-[0-9a-f]+-/g, `sbx-${plan.name}-`));
    expect(await createFabric(tools, wanted)).toBe('created');
    expect([...namespacesOf(plan.name)].sort()).toEqual([...plannedNamespaces(wanted)].sort());
  });

  test('makes nothing in the network namespace of its maker', async () => {
    plan = testPlan(['east', 'west'], 2);
    const maker = record(`t-${randomBytes(3).toString('hex')}`);
    execFileSync('ip', ['netns', 'add', maker]);
    others.push(maker);
    const inside: CommandRunner = {
      run: (file, args, options) =>
        tools.runner.run('nsenter', [`--net=${namespaceFile(maker)}`, '--', file, ...args], options),
    };
    await createFabric({ runner: inside }, plan);
    await addFault({ runner: inside }, plan, { kind: 'partition', a: 'east', b: 'west' });
    expect(await pings(node('east', 1).namespace, node('east', 2).address)).toBe(true);
    const links = JSON.parse((await runIn(maker, 'ip', '-j', 'link')).stdout) as readonly { ifname: string }[];
    expect(links.map((one) => one.ifname)).toEqual(['lo']);
    expect((await runIn(maker, 'nft', 'list', 'ruleset')).stdout).toBe('');
    expect((await runIn(maker, 'ip', 'rule')).stdout.trim().split('\n')).toHaveLength(3);
    expect((await runIn(maker, 'ip', 'route', 'show', 'table', 'all')).stdout).toBe('');
  });

  test('goes away with every process inside, whatever they do about it, and with the namespaces of pods', async () => {
    await build(['east'], 1);
    const { namespace, name } = node('east', 1);
    const pod = podNamespace(plan.name, name, 'abc');
    execFileSync('ip', ['netns', 'add', pod]);
    const stranger = `t-${randomBytes(3).toString('hex')}`;
    execFileSync('ip', ['netns', 'add', stranger]);
    others.push(stranger);
    const polite = startIn(namespace, 'sleep', '300');
    const stubborn = startIn(namespace, 'sh', '-c', 'trap "" TERM HUP INT; while :; do sleep 1; done');
    const parent = startIn(pod, 'sh', '-c', 'setsid -f sleep 301; exec unshare -m sleep 302');
    const outside = startIn(stranger, 'sleep', '303');
    await until('all run', () => processesIn([namespace, pod]).length >= 5);
    const inside = processesIn([namespace, pod]);
    expect(inside.map((one) => one.pid)).toEqual(expect.arrayContaining([polite, stubborn, parent]));
    const remains = await destroyFabric(tools, plan.name, { graceMs: 150 });
    expect(remains.namespaces).toBe(4);
    expect(remains.processes).toBeGreaterThanOrEqual(5);
    expect(inside.filter(isAlive)).toEqual([]);
    expect(namespacesOf(plan.name)).toEqual([]);
    expect(identify(outside)).toBeDefined();
    process.kill(outside, 'SIGKILL');
    expect(await destroyFabric(tools, plan.name)).toEqual({ processes: 0, namespaces: 0 });
  });
});

async function roundTripMs(namespace: string, address: string): Promise<number> {
  const { stdout } = await runIn(namespace, 'ping', '-q', '-c5', '-i0.05', '-W2', address);
  return Number(/= ([\d.]+)\//.exec(stdout)?.[1]);
}

describe('latency', () => {
  test('delays what goes from one cluster to another, both ways, and nothing inside a cluster', async () => {
    await build(['east', 'west'], 2);
    const [from, mate, far] = [node('east', 1), node('east', 2), node('west', 1)];
    const file = path.join(tmpdir(), `${plan.name}.json`);
    writeFileSync(file, JSON.stringify({ delayMs: 20 }));
    let started = 0;
    const how = await delayWan(tools, plan, 20, async () => {
      started += 1;
      startIn(
        plan.wan.namespace,
        process.execPath,
        '--no-warnings',
        path.resolve('test/netns/sandbox-programs.ts'),
        'delay',
        file,
      );
    });
    expect(how).toBe(started === 1 ? 'relay' : 'netem');
    const far1 = await roundTripMs(from.namespace, far.address);
    expect(far1).toBeGreaterThanOrEqual(40);
    expect(far1).toBeLessThan(70);
    expect(await roundTripMs(far.namespace, clusterOf(plan, 'east').controlPlane.wanAddress)).toBeGreaterThanOrEqual(
      40,
    );
    expect(await roundTripMs(from.namespace, mate.address)).toBeLessThan(20);
    expect(await roundTripMs(from.namespace, clusterOf(plan, 'east').controlPlane.lanAddress)).toBeLessThan(20);
    startIn(far.namespace, 'socat', '-u', 'TCP-LISTEN:9002,reuseaddr', `CREATE:${file}.received`);
    await until(
      '5 MB arrive',
      async () =>
        (await runIn(from.namespace, 'sh', '-c', `head -c 5000000 /dev/zero | socat -u - TCP:${far.address}:9002`))
          .exitCode === 0,
    );
    await until('all of it', () => statSync(`${file}.received`).size === 5_000_000);
    await addFault(tools, plan, { kind: 'partition', a: 'east', b: 'west' });
    expect(await pings(from.namespace, far.address)).toBe(false);
    expect(await delayWan(tools, plan, 20, () => Promise.reject(new Error('started twice')))).toBe(how);
    for (const name of [file, `${file}.received`]) rmSync(name);
  });
});

/** Counts the pings from `source` that arrive in a namespace, told apart from their answers. */
async function countPings(namespace: string, source: string): Promise<() => Promise<number>> {
  const script = `table ip probe { chain input { type filter hook input priority 0; ip saddr ${source} icmp type echo-request counter; }; }`;
  await runIn(namespace, 'nft', script);
  return async () =>
    Number(/packets (\d+)/.exec((await runIn(namespace, 'nft', 'list', 'table', 'ip', 'probe')).stdout)?.[1]);
}

describe('a fault', () => {
  test('a blackhole swallows what goes to and from a node, in one direction or both, inside its LAN too', async () => {
    await build(['east', 'west'], 2);
    const [east, mate, west] = [node('east', 1), node('east', 2), node('west', 1)];
    const arrived = await countPings(west.namespace, east.address);
    const reached = async () => [
      await pings(west.namespace, east.address),
      await pings(mate.namespace, east.address),
      await pings(west.namespace, mate.address),
    ];
    expect(await reached()).toEqual([true, true, true]);
    for (const direction of ['both', 'in', 'out'] as const) {
      await addFault(tools, plan, { kind: 'blackhole', target: 'east-1', direction });
      expect(await observeFaults(tools, plan)).toEqual([{ kind: 'blackhole', target: 'east-1', direction }]);
      expect(await reached()).toEqual([false, false, true]);
      const before = await arrived();
      await pings(east.namespace, west.address);
      expect((await arrived()) - before).toBe(direction === 'in' ? 1 : 0);
    }
    expect((await runIn(east.namespace, 'ip', '-br', 'link', 'show', 'eth0')).stdout).toContain('UP');
    await healFaults(tools, plan, 'east-1');
    expect(await observeFaults(tools, plan)).toEqual([]);
    expect(await reached()).toEqual([true, true, true]);
  });

  test('a partition separates two clusters with their control planes, and no others', async () => {
    await build(['east', 'west', 'north'], 1);
    const from = node('east', 1).namespace;
    await addFault(tools, plan, { kind: 'partition', a: 'east', b: 'west' });
    const reached = async () => [
      await pings(from, node('west', 1).address),
      await pings(from, clusterOf(plan, 'west').controlPlane.wanAddress),
      await pings(node('west', 1).namespace, clusterOf(plan, 'east').controlPlane.wanAddress),
      await pings(from, node('north', 1).address),
      await pings(node('west', 1).namespace, clusterOf(plan, 'north').controlPlane.wanAddress),
    ];
    expect(await reached()).toEqual([false, false, false, true, true]);
    await addFault(tools, plan, { kind: 'partition', a: 'west', b: 'east' });
    expect(await observeFaults(tools, plan)).toHaveLength(1);
    await healFaults(tools, plan);
    expect(await reached()).toEqual([true, true, true, true, true]);
  });

  test('loss takes away some packets but not all', async () => {
    await build(['east'], 2);
    // Neighbours know each other before the fault, so that a lost ARP request does not stand for all packets.
    expect(await pings(node('east', 1).namespace, node('east', 2).address)).toBe(true);
    await addFault(tools, plan, { kind: 'loss', target: 'east-2', percent: 30 });
    const { stdout } = await runIn(
      node('east', 1).namespace,
      'ping',
      '-q',
      '-i0.005',
      '-c80',
      '-W0.3',
      node('east', 2).address,
    );
    const received = Number(/(\d+) received/.exec(stdout)?.[1]);
    expect(received).toBeGreaterThan(0);
    expect(received).toBeLessThan(80);
  });

  test('a node without power loses everything in its kernel and every process, and comes back empty', async () => {
    await build(['east', 'west'], 2);
    const dead = node('east', 1);
    const pod = podNamespace(plan.name, dead.name, 'abc');
    const neighbour = podNamespace(plan.name, node('east', 2).name, 'abc');
    for (const name of [pod, neighbour]) execFileSync('ip', ['netns', 'add', name]);
    startIn(dead.namespace, 'sleep', '300');
    startIn(pod, 'sleep', '300');
    const alive = startIn(neighbour, 'sleep', '300');
    await until('all run', () => processesIn([dead.namespace, pod, neighbour]).length === 3);
    await runIn(dead.namespace, 'ip', 'route', 'add', '10.99.0.0/16', 'dev', 'eth0');
    expect(await killNode(tools, plan, dead)).toEqual({ processes: 2, namespaces: 2 });
    expect(await killNode(tools, plan, dead)).toEqual({ processes: 0, namespaces: 0 });
    expect(await pings(node('west', 1).namespace, dead.address)).toBe(false);
    expect(identify(alive)).toBeDefined();
    expect(await reviveNode(tools, plan, dead)).toBe(true);
    expect(await reviveNode(tools, plan, dead)).toBe(false);
    await until('the node answers', () => pings(node('west', 1).namespace, dead.address));
    expect((await runIn(dead.namespace, 'ip', 'route')).stdout).not.toContain('10.99.0.0/16');
    expect((await run(['ip', 'netns', 'list'])).stdout).not.toContain(`${pod}\n`);
  });
});
