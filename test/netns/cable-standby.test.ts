import path from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { CableDriver } from '../../src/engine/drivers/driver.ts';
import { createDriver } from '../../src/engine/drivers/index.ts';
import { findDaemon } from '../../src/host/daemon.ts';
import { forever, until, type TestGateway } from './cable-testbed.ts';
import { StandbyTestbed, type Which } from './standby-testbed.ts';
import { Stream } from './stream.ts';
import { kernelFacts } from './kernel-facts.ts';
import { patient } from './patience.ts';

let bed: StandbyTestbed;
let drivers: CableDriver[];
let loops: ReturnType<StandbyTestbed['keepSynced']>[];
let stream: Stream | undefined;

afterEach(async () => {
  await stream?.stop();
  stream = undefined;
  await bed.close();
});

/** All three gateways with warm cables, under engines that look whenever a driver or `look` says so. */
async function build(name: string, prepare: () => void = () => undefined): Promise<void> {
  bed = new StandbyTestbed();
  prepare();
  const gateways = [bed.a, bed.b1, bed.b2];
  drivers = gateways.map((gateway) => createDriver(name, gateway.dependencies));
  for (const driver of drivers) await driver.start(forever);
  loops = gateways.map((gateway, index) => bed.keepSynced(drivers[index]!, () => bed.wanted(gateway, drivers)));
  for (const [index, driver] of drivers.entries()) {
    await until(
      'all cables are connected',
      async () => {
        const seen = await driver.connections();
        return seen.length === (index === 0 ? 2 : 1) && seen.every(({ status }) => status === 'connected');
      },
      30_000,
    );
  }
  await until('the pod of the worker is reached', () => bed.ping(bed.a.podNamespace, bed.workerPodAddress));
  await until('probes answer', () => allProbesAnswer());
}

async function probe(from: TestGateway, to: TestGateway): Promise<boolean> {
  return bed.ping(from.namespace, to.cniAddress, from.cniAddress);
}

async function allProbesAnswer(): Promise<boolean> {
  const { a, b1, b2 } = bed;
  const pairs = [
    [a, b1],
    [a, b2],
    [b1, a],
    [b2, a],
  ] as const;
  for (const [from, to] of pairs) if (!(await probe(from, to))) return false;
  return true;
}

function look(): void {
  for (const loop of loops) loop.trigger();
}

/** The way of a packet that comes in by a link, or of one of the gateway itself. */
function way(gateway: TestGateway, from: string, to: string, link?: string): string {
  const by = link === undefined ? [] : ['iif', link];
  return bed.ip(gateway, 'route', 'get', to, 'from', from, ...by);
}

async function more(count = 40): Promise<void> {
  const now = stream!.answered;
  await until('the stream goes on', () => stream!.answered >= now + count, 20_000);
}

/** Makes a gateway of B the active one, for B's nodes and for the engines of its gateways. */
async function handTo(to: Which): Promise<void> {
  bed.hand(to);
  look();
  await until('only the active gateway looks all packets up', () => {
    const rules = [bed.b1, bed.b2].map((gateway) => bed.ip(gateway, 'rule', 'show', 'pref', '100').trim());
    const standby = rules.map((rule) => rule.includes('iif vx-submariner'));
    return !rules.join('').includes('\n') && standby.join() === [to === 'b2', to === 'b1'].join();
  });
  bed.settle();
}

/** Makes a cable of A carry. */
async function carry(name: string, by: Which): Promise<void> {
  bed.carrier = by;
  look();
  await until(`the cable to ${by} carries`, () => carried(name, by));
}

function carried(name: string, by: Which): boolean {
  return way(bed.a, bed.a.cniAddress, bed.workerPodAddress).includes(EXITS[name]!(by));
}

/** How a gateway enters the cable to another one. */
const EXITS: Readonly<Record<string, (to: Which | 'a') => string>> = {
  vxlan: (to) => `via 241.18.0.${{ a: 1, b1: 2, b2: 3 }[to]} dev vxlan-tunnel`,
  wireguard: (to) => `dev ${to === 'b2' ? 'submariner1' : 'submariner'} table 10`,
  ipsec: (to) => `dev ${to === 'b2' ? 'ipsec1' : 'ipsec0'} table 10`,
};

/** Folders of the daemons of the two slots, below the state folder. */
const DAEMONS: Readonly<Record<string, readonly [string, string]>> = {
  wireguard: ['wireguard', 'wireguard1'],
  ipsec: ['charon', 'charon1'],
};

const killable = Object.entries(DAEMONS).filter(([name]) => name !== 'wireguard' || !kernelFacts().wireguard);

describe.each(killable)('two gateways of one cluster, a daemon of %s is killed', (name, folders) => {
  const daemon = (gateway: TestGateway, slot: number): number | undefined =>
    findDaemon(path.join(gateway.dependencies.stateDir, folders[slot]!))?.pid;

  async function killDaemon(gateway: TestGateway, slot: number): Promise<void> {
    const pid = daemon(gateway, slot)!;
    process.kill(pid, 'SIGKILL');
    await until('another one runs', () => (daemon(gateway, slot) ?? pid) !== pid);
  }

  test.each([0, 1])(
    'slot %d is made anew at once, the other one is not disturbed, nothing is in clear',
    async (slot) => {
      await build(name);
      const { a, b1, b2 } = bed;
      const [own, other] = slot === 0 ? ([b1, b2] as const) : ([b2, b1] as const);
      const [mine, others] = slot === 0 ? (['b1', 'b2'] as const) : (['b2', 'b1'] as const);
      await carry(name, others);
      await handTo(others);
      const stopCapture = await bed.capture();
      stream = await Stream.start(a.podNamespace, bed.workerPod, bed.workerPodAddress);
      await more();
      const kept = daemon(a, 1 - slot);
      await killDaemon(a, slot);
      await until('the probe through it answers', () => probe(a, own), 20_000);
      await until('the probe of the gateway at its other end answers', () => probe(own, a), 20_000);
      expect(await probe(a, other)).toBe(true);
      await more();
      const seen = await stream.stop();
      expect(seen).toMatchObject({ answered: seen.sent, tcpAnswered: seen.tcpSent, tcpEnd: '' });
      expect(daemon(a, 1 - slot)).toBe(kept);

      // Now what it carries: the route is there again as soon as its cable is.
      await carry(name, mine);
      await handTo(mine);
      stream = await Stream.start(a.podNamespace, bed.workerPod, bed.workerPodAddress);
      await more();
      // The other end is the side that otherwise leaves the beginning to its peer.
      for (const [gateway, instance] of [
        [a, slot],
        [own, 0],
      ] as const) {
        await killDaemon(gateway, instance);
        await more();
      }
      const hurt = await stream.stop();
      expect(hurt).toMatchObject({ tcpAnswered: hurt.tcpSent, tcpEnd: '' });
      expect(hurt.longestGapMs).toBeLessThan(patient(5000));
      if (process.env['CABLE_TEST_LOG'] !== undefined) console.log(name, slot, hurt);
      const captured = await stopCapture();
      expect(captured.inner).toBe(0);
      expect(captured.tunnel).toBeGreaterThan(0);
    },
    120_000,
  );
});

describe.each(Object.keys(EXITS))('two gateways of one cluster, cable driver %s', (name) => {
  const exit = EXITS[name]!;

  test('a switch there and back, on either side, loses no packet and no connection, and nothing is in clear', async () => {
    await build(name);
    const stopCapture = await bed.capture();
    stream = await Stream.start(bed.a.podNamespace, bed.workerPod, bed.workerPodAddress);
    await more();
    for (const to of ['b2', 'b1'] as const) {
      await carry(name, to);
      await more();
      await handTo(to);
      await more();
    }
    const seen = await stream.stop();
    expect(seen).toMatchObject({ answered: seen.sent, tcpAnswered: seen.tcpSent, tcpEnd: '' });
    expect(seen.sent).toBeGreaterThan(150);
    const captured = await stopCapture();
    expect(captured.inner).toBe(0);
    expect(captured.tunnel).toBeGreaterThan(2 * seen.sent);
  }, 120_000);

  test('each probe goes through its own cable, and what the other cable brings is taken and forwarded', async () => {
    await build(name);
    const { a, b1, b2 } = bed;
    expect(way(a, a.cniAddress, b1.cniAddress)).toContain(exit('b1'));
    expect(way(a, a.cniAddress, b2.cniAddress)).toContain(exit('b2'));
    expect(way(b2, b2.cniAddress, a.cniAddress)).toContain(exit('a'));
    // Pods of the standby go through the active gateway, as everybody's; what others send to the standby goes on.
    expect(way(b2, b2.podAddress, a.podAddress, 'cni0')).toContain('dev vx-submariner');
    expect(way(b2, bed.workerPodAddress, a.podAddress, 'vx-submariner')).toContain(exit('a'));
    expect(await bed.ping(b2.podNamespace, a.podAddress)).toBe(true);
    // There through b2, back through b1.
    await carry(name, 'b2');
    for (const address of [bed.workerPodAddress, b1.podAddress, b2.podAddress]) {
      expect([address, await bed.ping(a.podNamespace, address)]).toEqual([address, true]);
    }
    bed.setWan(b1, 'down');
    expect(await probe(a, b1)).toBe(false);
    expect(await probe(a, b2)).toBe(true);
    bed.setWan(b1, 'up');
    bed.setWan(b2, 'down');
    await until('the probe through b1 answers', () => probe(a, b1));
    expect(await probe(a, b2)).toBe(false);
  }, 120_000);

  test('a new process takes both over and disturbs nothing; the second goes when no cable wants it; clean-up', async () => {
    let before = '';
    await build(name, () => {
      bed.addForeign(bed.a);
      before = bed.snapshot(bed.a);
    });
    stream = await Stream.start(bed.a.podNamespace, bed.workerPod, bed.workerPodAddress);
    await more();
    await loops[0]!.stop();
    const state = bed.snapshot(bed.a);
    const again = createDriver(name, bed.a.dependencies);
    await again.start(forever);
    expect(again.slots).toBe(2);
    await again.sync(await bed.wanted(bed.a, drivers), forever);
    expect(bed.snapshot(bed.a)).toBe(state);
    expect((await again.connections()).map(({ status }) => status)).toEqual(['connected', 'connected']);
    await more();

    const { cables, ...rest } = await bed.wanted(bed.a, drivers);
    await again.sync({ ...rest, cables: cables.filter(({ slot }) => slot === 0) }, forever);
    expect((await again.connections()).map(({ cableName }) => cableName)).toEqual([cables[0]!.name]);
    expect(bed.snapshot(bed.a)).not.toMatch(/(?: |dev )(?:submariner1|ipsec1)[: ]|10\.246\.0\.1 /);
    await more();
    const seen = await stream.stop();
    expect(seen).toMatchObject({ answered: seen.sent, tcpAnswered: seen.tcpSent, tcpEnd: '' });

    await again.sync(await bed.wanted(bed.a, drivers), forever);
    await createDriver(name, bed.a.dependencies).cleanup();
    expect(bed.snapshot(bed.a)).toBe(before);
  }, 120_000);
});

const userlandOnly = kernelFacts().esp ? test.skip : test;

userlandOnly(
  'routes follow the links of the charons, whichever got which name',
  async () => {
    await build('ipsec');
    const { a, b1, b2 } = bed;
    await loops[0]!.stop();
    const charons = ['charon', 'charon1'].map((folder) => path.join(a.dependencies.stateDir, folder));
    for (const folder of charons) process.kill(findDaemon(folder)!.pid, 'SIGKILL');
    await until('both links are gone', () => !bed.ip(a, '-o', 'link').includes('ipsec'));
    // The first charon now gets ipsec1, the second ipsec2, which is not one of ours, until ipsec0 was cleared away.
    bed.ip(a, 'tuntap', 'add', 'dev', 'ipsec0', 'mode', 'tun');
    bed.keepSynced(drivers[0]!, () => bed.wanted(a, drivers));
    await until('probes answer', () => allProbesAnswer(), 30_000);
    const linkTo = (address: string): string => /dev (ipsec[01])\b/.exec(way(a, a.cniAddress, address))?.[1] ?? 'none';
    expect([linkTo(b1.cniAddress), linkTo(b2.cniAddress)].toSorted()).toEqual(['ipsec0', 'ipsec1']);
    expect(await bed.ping(a.podNamespace, bed.workerPodAddress)).toBe(true);
    bed.carrier = 'b2';
    await drivers[0]!.sync(await bed.wanted(a, drivers), forever);
    expect(linkTo(bed.workerPodAddress)).toBe(linkTo(b2.cniAddress));
    expect(await bed.ping(a.podNamespace, bed.workerPodAddress)).toBe(true);
  },
  120_000,
);
