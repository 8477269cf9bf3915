import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createDriver } from '../../src/engine/drivers/index.ts';
import { CableTestbed, forever, until } from './cable-testbed.ts';
import { kernelFacts } from './kernel-facts.ts';

let bed: CableTestbed;

beforeEach(() => {
  bed = new CableTestbed(2);
});

afterEach(async () => {
  await bed.close();
});

test('each driver takes over from every other: port, links, routes, and nothing of the former stays', async () => {
  const [a] = bed.gateways;
  const links = { vxlan: 'vxlan-tunnel', ipsec: 'ipsec0', wireguard: 'submariner' };
  for (const name of ['vxlan', 'ipsec', 'wireguard', 'vxlan', 'wireguard', 'ipsec', 'vxlan'] as const) {
    const drivers = bed.gateways.map((gateway) => createDriver(name, gateway.dependencies));
    for (const driver of drivers) await driver.start(forever);
    const loops = bed.gateways.map((gateway, index) =>
      bed.keepSynced(drivers[index]!, () => bed.desired(gateway, drivers)),
    );
    await until(`pods reach each other through ${name}`, () => bed.allReach(), 20_000);
    for (const loop of loops) await loop.stop();
    // An xfrm link is shown as ipsec0@NONE.
    const shown = bed.ip(a!, '-o', 'link');
    const present = Object.values(links).filter((link) => new RegExp(`^\\d+: ${link}[@:]`, 'm').test(shown));
    expect(present).toEqual([links[name]]);
    expect(bed.ip(a!, 'rule').includes('lookup 220')).toBe(name === 'ipsec' && !kernelFacts().esp);
    expect(bed.nft(a!, 'list', 'ruleset').includes('submariner-cable')).toBe(name !== 'vxlan');
    expect(bed.ip(a!, 'route', 'show', 'table', '100').match(/dev (\S+)/g)).toEqual(
      bed.gateways[1]!.subnets.map(() => `dev ${links[name]}`),
    );
  }
  await createDriver('vxlan', a!.dependencies).cleanup();
}, 90_000);
