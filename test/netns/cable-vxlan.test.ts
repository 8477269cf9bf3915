import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createDriver } from '../../src/engine/drivers/index.ts';
import { CableTestbed, forever, run, until, type TestGateway } from './cable-testbed.ts';

let bed: CableTestbed;

beforeEach(() => {
  bed = new CableTestbed(3);
});

afterEach(() => bed.close());

async function connect() {
  const drivers = bed.gateways.map((gateway) => createDriver('vxlan', gateway.dependencies));
  for (const driver of drivers) await driver.start(forever);
  for (const gateway of bed.gateways) {
    await drivers[gateway.index - 1]!.sync(await bed.desired(gateway, drivers), forever);
  }
  return drivers;
}

test('three gateways carry pods and Services both ways, with the pod address of the node as source', async () => {
  const drivers = await connect();
  const stop = await bed.capture();
  await until('all pods reach each other', () => bed.allReach());
  const captured = await stop();
  expect(captured.inner).toBe(0);
  expect(captured.tunnel).toBeGreaterThan(0);
  const [a, b] = bed.gateways;
  expect(bed.ip(a!, 'route', 'get', b!.podAddress)).toContain(`src ${a!.cniAddress}`);
  const seen = await drivers[0]!.connections();
  expect(seen.map(({ cableName, status }) => [cableName, status])).toEqual([
    ['submariner-cable-c2-198-18-0-2', 'connected'],
    ['submariner-cable-c3-198-18-0-3', 'connected'],
  ]);
  expect(bed.ip(a!, '-o', 'link', 'show', 'vxlan-tunnel')).toContain('mtu 1450');
});

/** Packets that came to a gateway from the WAN since it was made. */
function received(gateway: TestGateway): number {
  const [link] = JSON.parse(bed.ip(gateway, '-s', '-j', 'link', 'show', 'wan')) as [
    { readonly stats64: { readonly rx: { readonly packets: number } } },
  ];
  return link.stats64.rx.packets;
}

test('what is for one gateway is sent to no other', async () => {
  await connect();
  await until('all pods reach each other', () => bed.allReach());
  const [a, b, c] = bed.gateways;
  const before = { b: received(b!), c: received(c!) };
  const ping = ['ping', '-n', '-q', '-c', '50', '-i', '0.01', b!.podAddress];
  expect(run('ip', 'netns', 'exec', a!.podNamespace, ...ping)).toContain('50 received');
  expect(received(b!) - before.b).toBeGreaterThanOrEqual(50);
  // Neighbour discovery and the like, now and then.
  expect(received(c!) - before.c).toBeLessThan(30);
});

test('a new process changes nothing, removes the cable that went, and cleans up to the last object', async () => {
  const [a] = bed.gateways;
  bed.addForeign(a!);
  const before = bed.snapshot(a!);
  const drivers = await connect();
  const connected = bed.snapshot(a!);
  const again = createDriver('vxlan', a!.dependencies);
  await again.start(forever);
  await again.sync(await bed.desired(a!, drivers), forever);
  expect(bed.snapshot(a!)).toBe(connected);
  await again.sync(await bed.desired(a!, drivers, [bed.gateways[2]!]), forever);
  expect(bed.ip(a!, 'route', 'show', 'table', '100')).not.toContain(bed.gateways[1]!.subnets[1]!);
  expect((await again.connections()).map(({ cableName }) => cableName)).toEqual(['submariner-cable-c3-198-18-0-3']);
  await until('the third cluster is still reached', () => bed.ping(a!.podNamespace, bed.gateways[2]!.podAddress));
  await createDriver('vxlan', a!.dependencies).cleanup();
  expect(bed.snapshot(a!)).toBe(before);
});

test('a gateway whose VTEP address is taken is named; the others are connected', async () => {
  const [a, b] = bed.gateways;
  const driver = createDriver('vxlan', a!.dependencies);
  const good = bed.cable(a!, b!);
  const bad = { ...good, name: 'submariner-cable-c9-10-18-0-2', remoteClusterId: 'c9', remotePrivateIp: '10.18.0.2' };
  const clash = { ...bad, usingIp: '192.0.2.9', remoteSubnets: ['10.99.0.0/16'] };
  await driver.sync({ cables: [good, clash], guardedCidrs: [], cniAddress: a!.cniAddress, lookup: 'all' }, forever);
  const seen = await driver.connections();
  expect(seen.map(({ status }) => status).toSorted()).toEqual(['connected', 'error']);
  expect(seen.find(({ status }) => status === 'error')?.message).toContain('241.18.0.2');
});
