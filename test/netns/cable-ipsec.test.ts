import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createDriver } from '../../src/engine/drivers/index.ts';
import type { CableDriver, DesiredCables } from '../../src/engine/drivers/driver.ts';
import { parseSas } from '../../src/engine/drivers/ipsec-observation.ts';
import { findDaemon } from '../../src/host/daemon.ts';
import { connectVici } from '../../src/host/vici/client.ts';
import { CableTestbed, forever, until, type TestGateway } from './cable-testbed.ts';
import { kernelFacts } from './kernel-facts.ts';

let bed: CableTestbed;
const drivers: CableDriver[] = [];

function build(count: number): readonly TestGateway[] {
  bed = new CableTestbed(count);
  for (const gateway of bed.gateways) drivers.push(createDriver('ipsec', gateway.dependencies));
  return bed.gateways;
}

beforeEach(() => {
  drivers.length = 0;
});

afterEach(async () => {
  await bed.close();
});

const folderOf = (gateway: TestGateway): string => path.join(gateway.dependencies.stateDir, 'charon');

/** Name and SPIs of each child: new ones mean that something was negotiated anew. */
async function spis(gateway: TestGateway): Promise<readonly string[]> {
  const client = await connectVici(path.join(folderOf(gateway), 'charon.vici'));
  const events = await client.stream('list-sas', 'list-sa');
  client.close();
  const words = JSON.stringify(events).match(/"(name|spi-in|spi-out)":"[^"]+"/g) ?? [];
  return words.join(' ').split(/ (?="name")/);
}

const pairsOf = (sas: readonly string[]): ReadonlySet<string> => new Set(sas.map((sa) => sa.replace(/ .*/s, '')));

/**
 * Each pair of `before` still has one of its SAs. When both sides began at once some have two, of which charon ends one by
 * itself ten seconds later.
 */
function expectKept(before: readonly string[], after: readonly string[]): void {
  expect(pairsOf(after.filter((sa) => before.includes(sa)))).toEqual(pairsOf(before));
}

function expectUndisturbed(before: readonly string[], after: readonly string[]): void {
  expectKept(before, after);
  expect(after.filter((sa) => !before.includes(sa))).toEqual([]);
}

async function connected(driver: CableDriver, cables: number): Promise<boolean> {
  const seen = await driver.connections();
  return seen.length === cables && seen.every(({ message }) => message.startsWith('4 of 4'));
}

async function join(desired?: (gateway: TestGateway) => Promise<DesiredCables>) {
  const wanted = desired ?? ((gateway: TestGateway) => bed.desired(gateway, drivers));
  for (const driver of drivers) await driver.start(forever);
  const loops = bed.gateways.map((gateway, index) => bed.keepSynced(drivers[index]!, () => wanted(gateway)));
  for (const driver of drivers) {
    await until('all cables are connected', () => connected(driver, bed.gateways.length - 1), 20_000);
  }
  await until('everything is made', () => loops.every((loop) => loop.synced()));
  return loops;
}

test('three gateways carry everything encrypted; the WAN never sees an inner packet, before, during and after', async () => {
  const gateways = build(3);
  const [a, b] = gateways;
  for (const [index, gateway] of gateways.entries()) {
    const { guardedCidrs, cniAddress } = await bed.desired(gateway, drivers);
    await drivers[index]!.start(forever);
    await drivers[index]!.sync({ cables: [], guardedCidrs, cniAddress, lookup: 'all' }, forever);
  }
  const stopCapture = await bed.capture();
  const stopPings = [bed.pinger(a!.podNamespace, b!.podAddress), bed.pinger(b!.podNamespace, a!.serviceAddress)];
  expect(await bed.ping(a!.podNamespace, b!.podAddress)).toBe(false);
  const loops = await join();
  await until('all pods reach each other', () => bed.allReach());
  const [cable] = await drivers[0]!.connections();
  expect(cable).toMatchObject({ cableName: 'submariner-cable-c2-198-18-0-2', status: 'connected' });
  expect(Math.min(cable!.rxBytes!, cable!.txBytes!)).toBeGreaterThan(0);
  expect(bed.ip(a!, 'route', 'get', b!.podAddress)).toContain(`dev ipsec0 table 100 src ${a!.cniAddress}`);
  for (const loop of loops) await loop.stop();
  for (const [index, gateway] of gateways.entries()) {
    const { guardedCidrs, cniAddress } = await bed.desired(gateway, drivers);
    await drivers[index]!.sync({ cables: [], guardedCidrs, cniAddress, lookup: 'all' }, forever);
  }
  expect(await bed.ping(a!.podNamespace, b!.podAddress)).toBe(false);
  for (const stop of stopPings) expect((await stop()).answered).toBeGreaterThan(0);
  const captured = await stopCapture();
  expect(captured.inner).toBe(0);
  expect(captured.tunnel).toBeGreaterThan(50);

  for (const driver of drivers) await driver.cleanup();
  const stopControl = await bed.capture();
  await bed.ping(a!.podNamespace, b!.podAddress);
  expect((await stopControl()).inner).toBeGreaterThan(0);
}, 60_000);

test('a new process adopts charon and disturbs nothing; another cluster comes and goes beside; clean-up leaves the foreign', async () => {
  const [a, b, c] = build(3);
  bed.addForeign(a!);
  const before = bed.snapshot(a!);
  const loops = await join();
  const state = bed.snapshot(a!);
  const [charon, sas] = [findDaemon(folderOf(a!)), await spis(a!)];
  await loops[0]!.stop();
  const stopPings = bed.pinger(a!.podNamespace, b!.podAddress);

  const again = createDriver('libreswan', a!.dependencies);
  await again.start(forever);
  await again.sync(await bed.desired(a!, drivers), forever);
  expect(findDaemon(folderOf(a!))).toEqual(charon);
  expectUndisturbed(sas, await spis(a!));
  expect(bed.snapshot(a!)).toBe(state);

  await loops[2]!.stop();
  await drivers[2]!.sync(await bed.desired(c!, drivers, [b!]), forever);
  await again.sync(await bed.desired(a!, drivers, [b!]), forever);
  expect((await again.connections()).map(({ cableName }) => cableName)).toEqual(['submariner-cable-c2-198-18-0-2']);
  const sasOfB = await spis(a!);
  expectUndisturbed(
    sas.filter((sa) => !sa.includes('submariner-cable-c3')),
    sasOfB,
  );
  expect(sasOfB.some((sa) => sa.includes('submariner-cable-c2-198-18-0-2-1-1'))).toBe(true);

  const log = (): string => readFileSync(`${folderOf(a!)}/charon.log`, 'utf8');
  expect(log()).not.toContain('vici client');
  const talkative = createDriver('libreswan', { ...a!.dependencies, ipsec: { forceEncaps: true, debug: true } });
  await talkative.start(forever);
  await talkative.sync(await bed.desired(a!, drivers, [b!]), forever);
  expect(findDaemon(folderOf(a!))).toEqual(charon);
  expectUndisturbed(sasOfB, await spis(a!));
  await until('charon says more', async () => log().includes('vici client'));
  const pings = await stopPings();
  expect(pings.answered).toBeGreaterThanOrEqual(pings.sent - 1);

  await createDriver('ipsec', a!.dependencies).cleanup();
  expect(findDaemon(folderOf(a!))).toBeUndefined();
  expect(bed.snapshot(a!)).toBe(before);
}, 60_000);

test('a killed charon is noticed and started again, and nothing leaves in clear meanwhile', async () => {
  const [a, b] = build(2);
  const loops = await join();
  const charon = findDaemon(folderOf(a!))!;
  const stopCapture = await bed.capture();
  const stopPings = bed.pinger(a!.podNamespace, b!.podAddress);
  process.kill(charon.pid, 'SIGKILL');
  await until('another charon runs', () => (findDaemon(folderOf(a!))?.pid ?? charon.pid) !== charon.pid);
  await until('the cable is connected', () => connected(drivers[0]!, 1), 20_000);
  await until('pods reach each other', () => bed.allReach(), 20_000);
  await stopPings();
  const captured = await stopCapture();
  expect(captured.inner).toBe(0);
  expect(captured.tunnel).toBeGreaterThan(0);
  for (const loop of loops) await loop.stop();
  await drivers[0]!.cleanup();
  expect(bed.ip(a!, 'rule')).not.toContain('lookup 220');
}, 60_000);

test('a peer behind a cut WAN is noticed by DPD, and is there again when the WAN is', async () => {
  const [, b] = build(2);
  await join();
  bed.setWan(b!, 'down');
  for (const driver of drivers) {
    await until('the cable is lost', async () => (await driver.connections())[0]?.status === 'connecting', 20_000);
  }
  await until(
    'the reason is told',
    async () => (await drivers[0]!.connections())[0]?.message.endsWith('the peer does not answer'),
    20_000,
  );
  bed.setWan(b!, 'up');
  for (const driver of drivers) await until('the cable is back', () => connected(driver, 1), 30_000);
  await until('pods reach each other', () => bed.allReach());
}, 90_000);

test('preferred server: identities by pair, only the client initiates', async () => {
  const [a, b] = build(2);
  await join(async (gateway) => {
    const other = gateway === a ? b! : a!;
    const configs = [
      { 'preferred-server': String(gateway === b) },
      { 'preferred-server': String(other === b) },
    ] as const;
    const cable = bed.cable(gateway, other, configs);
    return { cables: [cable], guardedCidrs: other.subnets, cniAddress: gateway.cniAddress, lookup: 'all' };
  });
  await until('pods reach each other', () => bed.allReach());
  const client = await connectVici(path.join(folderOf(a!), 'charon.vici'));
  const ids = parseSas(await client.stream('list-sas', 'list-sa')).map(
    ({ localId, remoteId }) => `${localId} ${remoteId}`,
  );
  client.close();
  expect(ids.toSorted()).toEqual([
    '198.18.0.1-0-0 198.18.0.2-0-0',
    '198.18.0.1-0-1 198.18.0.2-1-0',
    '198.18.0.1-1-0 198.18.0.2-0-1',
    '198.18.0.1-1-1 198.18.0.2-1-1',
  ]);
}, 60_000);

test('one more CIDR adds its pairs and leaves the others alone', async () => {
  const [a, b] = build(2);
  const more = new Map<TestGateway, readonly string[]>();
  const loops = await join(async (gateway) => {
    const other = gateway === a ? b! : a!;
    const cable = bed.cable(gateway, other);
    const localSubnets = [...gateway.subnets, ...(more.get(gateway) ?? [])];
    const remoteSubnets = [...other.subnets, ...(more.get(other) ?? [])];
    return {
      cables: [{ ...cable, localSubnets, remoteSubnets }],
      guardedCidrs: remoteSubnets,
      cniAddress: undefined,
      lookup: 'all',
    };
  });
  const sas = await spis(a!);
  more.set(b!, ['10.77.0.0/16']);
  for (const loop of loops) loop.trigger();
  await until('six pairs', async () => (await drivers[0]!.connections())[0]?.message.startsWith('6 of 6'), 20_000);
  const after = await spis(a!);
  expect(pairsOf(after).size).toBe(6);
  expectKept(sas, after);
}, 60_000);

test('another key: no cable, no packet in clear', async () => {
  const [a, b] = build(2);
  drivers[1] = createDriver('ipsec', { ...b!.dependencies, psk: 'another' });
  const stopCapture = await bed.capture();
  for (const driver of drivers) await driver.start(forever);
  for (const [index, gateway] of bed.gateways.entries()) {
    bed.keepSynced(drivers[index]!, () => bed.desired(gateway, drivers));
  }
  const log = path.join(folderOf(a!), 'charon.log');
  await until('authentication failed', async () => (await a!.runner.run('cat', [log])).stdout.includes('AUTH_FAILED'));
  expect(await bed.ping(a!.podNamespace, b!.podAddress)).toBe(false);
  const [cable] = await drivers[0]!.connections();
  expect(cable).toMatchObject({ status: 'connecting' });
  expect(cable!.message).toContain('the pre-shared keys of the clusters differ');
  const text = (await a!.runner.run('cat', [log])).stdout;
  expect(text.match(/initiating IKE_SA/g)!.length).toBeLessThanOrEqual(16); // four rounds of at most four, not a tight loop
  const captured = await stopCapture();
  expect(captured.inner).toBe(0);
  expect(captured.tunnel).toBeGreaterThan(0);
}, 60_000);

test('a taken port is named with its owner; the guard stands all the same', async () => {
  const [a, b] = build(2);
  const holder = spawn('ip', ['netns', 'exec', a!.namespace, 'socat', '-u', 'UDP-LISTEN:4500', 'STDOUT'], {
    stdio: 'ignore',
  });
  try {
    await until('the port is taken', async () =>
      (await a!.runner.run('ss', ['-Huln', 'sport = :4500'])).stdout.includes(':4500'),
    );
    const taken = /UDP port 4500 of this node is taken by socat \(process \d+\)/;
    await expect(drivers[0]!.start(forever)).rejects.toThrow(taken);
    await expect(drivers[0]!.sync(await bed.desired(a!, drivers), forever)).rejects.toThrow(taken);
    expect(bed.nft(a!, 'list', 'table', 'inet', 'submariner-cable')).toContain(b!.subnets[0]!);
  } finally {
    const ended = new Promise((resolve) => holder.once('close', resolve));
    holder.kill();
    await ended;
  }
  await drivers[0]!.start(forever);
  expect(drivers[0]!.description).toContain(kernelFacts().esp ? 'kernel ESP' : 'kernel-libipsec');
}, 60_000);
