import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createFabric, destroyFabric } from '../../src/sandbox/fabric/fabric.ts';
import { addFault, healFaults, observeFaults } from '../../src/sandbox/fabric/faults.ts';
import { continuePrograms, observePauses, signalProgram } from '../../src/sandbox/fabric/programs.ts';
import { acceptConnections, observeRefusal, refuseConnections } from '../../src/sandbox/fabric/refusals.ts';
import { clusterOf, nodeOf, type SandboxPlan } from '../../src/sandbox/plan.ts';
import { identify } from '../../src/sandbox/processes.ts';
import { pings, runIn, startIn, testPlan, tools, until } from './sandbox-testbed.ts';

jest.setTimeout(60_000);
let plan: SandboxPlan;

beforeEach(async () => {
  plan = testPlan(['east', 'west'], 2);
  await createFabric(tools, plan);
});

afterEach(async () => void (await destroyFabric(tools, plan.name, { graceMs: 0 })));

const node = (cluster: string, number: number) => nodeOf(clusterOf(plan, cluster), String(number));
const servers = () => [clusterOf(plan, 'east').controlPlane, clusterOf(plan, 'west').controlPlane] as const;

/** A TCP or UDP server of one answer in a namespace, and a question to it from another. */
async function answering(protocol: 'TCP' | 'UDP', namespace: string, port: number): Promise<void> {
  startIn(namespace, 'socat', `${protocol}-LISTEN:${port},fork,reuseaddr`, 'EXEC:cat');
  const flag = protocol === 'TCP' ? '-ltn' : '-lun';
  await until('the server listens', async () => (await runIn(namespace, 'ss', flag)).stdout.includes(`:${port} `));
}

async function asks(protocol: 'TCP' | 'UDP', namespace: string, address: string, port: number): Promise<boolean> {
  const command = `echo here | socat -T0.4 -t0.4 - ${protocol}:${address}:${port}${protocol === 'TCP' ? ',connect-timeout=0.5' : ''}`;
  return (await runIn(namespace, 'sh', '-c', command)).stdout === 'here\n';
}

describe('a fault of some packets', () => {
  test('beyond the LAN leaves the LAN and the API server there alone; of tunnels, everything but UDP and ESP', async () => {
    const [east, mate, west] = [node('east', 1), node('east', 2), node('west', 1)];
    await answering('UDP', west.namespace, 4500);
    const [own, far] = servers();
    const seen = async () => ({
      lan: await pings(east.namespace, mate.address),
      api: await pings(east.namespace, own.lanAddress),
      broker: await pings(east.namespace, far.wanAddress),
      wan: await pings(west.namespace, east.address),
      cables: await asks('UDP', east.namespace, west.address, 4500),
    });
    const well = { lan: true, api: true, broker: true, wan: true, cables: true };
    expect(await seen()).toEqual(well);
    for (const direction of ['both', 'in', 'out'] as const) {
      const target = { kind: 'blackhole', target: 'east-1', direction } as const;
      await addFault(tools, plan, { ...target, only: 'wan' });
      expect(await seen()).toEqual({ ...well, broker: false, wan: false, cables: false });
      await addFault(tools, plan, { ...target, only: 'tunnels' });
      expect(await observeFaults(tools, plan)).toEqual([{ ...target, only: 'tunnels' }]);
      expect(await seen()).toEqual({ ...well, cables: false });
    }
    await healFaults(tools, plan, 'east-1');
    expect(await seen()).toEqual(well);
  });

  test('a cut is between two nodes of a LAN and nobody else', async () => {
    const [east, mate, west] = [node('east', 1), node('east', 2), node('west', 1)];
    const seen = async () => [
      await pings(east.namespace, mate.address),
      await pings(mate.namespace, east.address),
      await pings(west.namespace, east.address),
      await pings(mate.namespace, clusterOf(plan, 'east').controlPlane.lanAddress),
    ];
    await addFault(tools, plan, { kind: 'cut', a: 'east-1', b: 'east-2' });
    expect(await seen()).toEqual([false, false, true, true]);
    await addFault(tools, plan, { kind: 'cut', a: 'east-2', b: 'east-1' });
    expect(await observeFaults(tools, plan)).toHaveLength(1);
    await healFaults(tools, plan, 'east-2');
    expect(await seen()).toEqual([true, true, true, true]);
  });

  test('a WAN that loses everything loses nothing inside a cluster; one that loses some does not lose all', async () => {
    const [east, mate, west] = [node('east', 1), node('east', 2), node('west', 1)];
    await addFault(tools, plan, { kind: 'loss', target: 'wan', percent: 100 });
    const [, far] = servers();
    expect([
      await pings(east.namespace, mate.address),
      await pings(east.namespace, west.address),
      await pings(east.namespace, far.wanAddress),
    ]).toEqual([true, false, false]);
    await addFault(tools, plan, { kind: 'loss', target: 'wan', percent: 30 });
    expect(await observeFaults(tools, plan)).toEqual([{ kind: 'loss', target: 'wan', percent: 30 }]);
    const { stdout } = await runIn(east.namespace, 'ping', '-q', '-i0.005', '-c200', '-W0.3', west.address);
    const received = Number(/(\d+) received/.exec(stdout)?.[1]);
    // Each way loses 30 %: 49 % come back.
    expect(received).toBeGreaterThan(50);
    expect(received).toBeLessThan(150);
    await healFaults(tools, plan, 'wan');
    expect(await pings(east.namespace, west.address)).toBe(true);
  });
});

describe('an API server that refuses', () => {
  test('ends the connections there are and takes no new ones, from everywhere or from other networks only', async () => {
    const cluster = clusterOf(plan, 'east');
    const { namespace, lanAddress, wanAddress } = cluster.controlPlane;
    await answering('TCP', namespace, 6443);
    const [near, far] = [node('east', 1).namespace, node('west', 1).namespace];
    const seen = async () => ({
      near: await asks('TCP', near, lanAddress, 6443),
      far: await asks('TCP', far, wanAddress, 6443),
    });
    /** A connection that says nothing, as a watch does; resolves to whether it has ended. */
    const idle = async (from: string, address: string): Promise<() => boolean> => {
      const connected = async () => (await runIn(from, 'ss', '-Htn', 'state', 'established')).stdout.includes(':6443');
      const pid = startIn(from, 'socat', '-u', `TCP:${address}:6443`, '-');
      await until('it is connected', connected);
      return () => identify(pid) === undefined;
    };
    const [nearEnded, farEnded] = [await idle(near, lanAddress), await idle(far, wanAddress)];
    await refuseConnections(tools, cluster, { only: 'wan' });
    expect(await seen()).toEqual({ near: true, far: false });
    await until('the far one ends', farEnded);
    expect(nearEnded()).toBe(false);
    expect(await observeRefusal(tools, cluster)).toEqual({
      kind: 'refused',
      target: 'control-plane.east',
      only: 'wan',
    });
    await refuseConnections(tools, cluster);
    await until('the near one ends too', nearEnded);
    expect(await seen()).toEqual({ near: false, far: false });
    expect(await asks('TCP', namespace, '127.0.0.1', 6443)).toBe(true);
    await acceptConnections(tools, cluster);
    expect(await observeRefusal(tools, cluster)).toBeUndefined();
    expect(await seen()).toEqual({ near: true, far: true });
    await acceptConnections(tools, cluster);
  });
});

describe('a program', () => {
  test('is killed or paused by its name, on its node only; an unknown one is told from those that run', async () => {
    const [east, mate] = [node('east', 1), node('east', 2)];
    const pids = [startIn(east.namespace, 'sleep', '300'), startIn(mate.namespace, 'sleep', '300')];
    await until('both run', () => pids.every((pid) => identify(pid) !== undefined));
    await until('it can be paused', () => {
      try {
        return signalProgram(plan, east, 'sleep', 'SIGSTOP') === 1;
      } catch {
        return false;
      }
    });
    await until('it is paused', () => observePauses(plan).length === 1);
    expect(observePauses(plan)).toEqual([{ kind: 'paused', target: 'east-1', program: 'sleep' }]);
    expect(() => signalProgram(plan, east, 'charon', 'SIGKILL')).toThrow(
      expect.objectContaining({ message: 'no program "charon" runs on east-1', hint: 'It runs: sleep.' }),
    );
    continuePrograms(plan, east);
    await until('it goes on', () => observePauses(plan).length === 0);
    expect(signalProgram(plan, east, 'sleep', 'SIGKILL')).toBe(1);
    await until('it is dead', () => identify(pids[0]!) === undefined);
    expect(identify(pids[1]!)).toBeDefined();
  });
});
