import { describe, expect, test } from '@jest/globals';
import { desiredIpsecNetwork, type EspPlace } from '../../../src/engine/drivers/ipsec-network.ts';
import { syncNetwork } from '../../../src/engine/drivers/network-sync.ts';
import { desiredVxlan, vtepProblems } from '../../../src/engine/drivers/vxlan-network.ts';
import { desiredWireguardNetwork, type SlotDevice } from '../../../src/engine/drivers/wireguard-device.ts';
import { createDriver } from '../../../src/engine/drivers/index.ts';
import type { CableLookup, DesiredCables } from '../../../src/engine/drivers/driver.ts';
import { describePlan, diffNetwork } from '../../../src/net/diff.ts';
import { EMPTY_STATE, type NetworkState } from '../../../src/net/state.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { FakeHost } from '../../fakes/host.ts';
import { NOTHING, cableTo, desiredOf, standbyTo } from './cables.ts';

const UNDERLAY = { link: 'wan', mtuBytes: 1500 };
const VXLAN_LOCAL = { privateIp: '198.18.0.1', udpPort: 4500, underlay: UNDERLAY };

/** Which of the links a charon got is chance. */
const USERLAND: EspPlace = {
  place: 'userland',
  mtuBytes: 1400,
  links: new Map([
    [0, 'ipsec1'],
    [1, 'ipsec0'],
  ]),
};

const KERNEL: EspPlace = {
  place: 'kernel',
  mtuBytes: 1400,
  links: new Map([
    [0, 'ipsec0'],
    [1, 'ipsec1'],
  ]),
};

const wireguard = (kind: 'tun' | 'wireguard'): readonly SlotDevice[] =>
  [0, 1].map((slot) => ({ slot, kind, mtuBytes: 1420 }));

interface Kind {
  readonly name: string;
  readonly desired: (cables: DesiredCables) => NetworkState;
  /** Links that are there before: a program or the driver makes them. */
  readonly made?: { readonly kind: string; readonly links: readonly string[] };
}

const KINDS: readonly Kind[] = [
  { name: 'vxlan', desired: (cables) => desiredVxlan(cables, VXLAN_LOCAL) },
  {
    name: 'ipsec, userland',
    made: { kind: 'tun', links: ['ipsec0', 'ipsec1'] },
    desired: (cables) => desiredIpsecNetwork(cables, USERLAND, '198.18.0.1'),
  },
  {
    name: 'ipsec, kernel',
    desired: (cables) => desiredIpsecNetwork(cables, KERNEL, '198.18.0.1'),
  },
  {
    name: 'wireguard, userland',
    made: { kind: 'tun', links: ['submariner', 'submariner1'] },
    desired: (cables) => desiredWireguardNetwork(cables, wireguard('tun'), '198.18.0.1'),
  },
  {
    name: 'wireguard, kernel',
    made: { kind: 'wireguard', links: ['submariner', 'submariner1'] },
    desired: (cables) => desiredWireguardNetwork(cables, wireguard('wireguard'), '198.18.0.1'),
  },
];

const FOREIGN = [
  'link add flannel.1 mtu 1450 type vxlan id 1 dstport 8472 local 198.18.0.1 nolearning',
  'route add 192.0.2.0/24 via 198.18.0.254 dev wan proto 4',
  'route add 192.0.2.0/24 dev wan table 150 proto 154',
  'rule add pref 77 lookup 77',
  'rule add pref 150 lookup 150 protocol 154',
];

function stage(kind: Kind): FakeHost {
  const host = new FakeHost();
  host.addLink('wan', ['198.18.0.1/24']);
  host.addLink('cni0', ['10.130.1.1/24']);
  for (const line of FOREIGN) host.do(`ip ${line}`);
  for (const link of kind.made?.links ?? []) host.addLink(link, [], kind.made?.kind, 1500);
  return host;
}

const sync = async (host: FakeHost, desired: NetworkState): Promise<void> =>
  syncNetwork({ runner: host, logger: silentLogger }, desired);

describe.each(KINDS)('the network of $name', (kind) => {
  const two = kind.desired(desiredOf(cableTo(2, { probeIp: '10.131.1.1' }), standbyTo(2), cableTo(3)));

  test('is made, and then nothing is left to do', async () => {
    const host = stage(kind);
    await sync(host, two);
    const after = host.snapshot();
    host.countWritesOnly();
    const before = host.operations;
    await sync(host, two);
    expect(host.snapshot()).toEqual(after);
    expect(host.operations).toBe(before);
    expect(after.join('\n')).toContain('10.131.0.0/16 table 100');
  });

  test('leftovers of a former process go, what is foreign stays', async () => {
    const host = stage(kind);
    const before = stage({ name: 'nothing', desired: kind.desired }).snapshot();
    await sync(host, two);
    await sync(host, kind.desired(desiredOf(cableTo(3))));
    const text = host.snapshot().join('\n');
    expect(text).not.toContain('10.131.0.0/16');
    expect(text).toContain('10.132.0.0/16');
    await sync(host, EMPTY_STATE);
    expect(host.snapshot()).toEqual(before);
  });

  test('whichever command fails, the next runs repair it', async () => {
    const reference = stage(kind);
    await sync(reference, two);
    const probe = stage(kind);
    probe.countWritesOnly();
    await sync(probe, two);
    expect(probe.operations).toBeGreaterThan(3);
    for (let n = 1; n <= probe.operations; n += 1) {
      const host = stage(kind);
      host.countWritesOnly();
      host.failAt(n);
      await expect(sync(host, two)).rejects.toThrow();
      await sync(host, two);
      expect(host.snapshot()).toEqual(reference.snapshot());
    }
  });
});

describe('two gateways of one cluster', () => {
  const [first, second] = [cableTo(2, { probeIp: '10.131.1.1' }), standbyTo(2)];
  const of = (carrier: 1 | 2, lookup: CableLookup = 'all'): NetworkState => {
    const cables = [
      { ...first, carries: carrier === 1 },
      { ...second, carries: carrier === 2 },
    ];
    return desiredVxlan({ ...desiredOf(...cables), lookup }, VXLAN_LOCAL);
  };
  const plan = (from: NetworkState, to: NetworkState): readonly string[] =>
    describePlan(diffNetwork(to, from)).split('\n');

  test('each is probed through its own cable, before anything else is looked up; one carries', () => {
    const { routes, rules } = of(1);
    expect(routes.map(({ table, destination, via }) => [table, destination, via])).toEqual([
      [100, '100.66.0.0/16', '241.18.0.2'],
      [100, '10.131.0.0/16', '241.18.0.2'],
      [101, '10.131.1.1/32', '241.18.0.2'],
      [101, '10.131.100.1/32', '241.18.0.102'],
    ]);
    expect(rules).toEqual([
      { priority: 99, table: 101, incomingLink: 'lo' },
      { priority: 100, table: 100 },
    ]);
    const ready = desiredVxlan(desiredOf(second), VXLAN_LOCAL);
    expect(ready.routes.map(({ table }) => table)).toEqual([101]);
    expect(ready.rules).toEqual([{ priority: 99, table: 101, incomingLink: 'lo' }]);
  });

  test('a switch replaces routes in place and does nothing else', () => {
    expect(plan(of(1), of(2))).toEqual([
      '~ route 100.66.0.0/16 via 241.18.0.102 dev vxlan-tunnel src 10.130.1.1 metric 100 table 100',
      '~ route 10.131.0.0/16 via 241.18.0.102 dev vxlan-tunnel src 10.130.1.1 metric 100 table 100',
    ]);
  });

  test('the rule of the new role is there before that of the former one goes', () => {
    const [all, transit] = ['pref 100 lookup 100', 'pref 100 iif vx-submariner lookup 100'];
    expect(plan(of(1), of(1, 'transit'))).toEqual([`+ rule ${transit}`, `- rule ${all}`]);
    expect(plan(of(1, 'transit'), of(1))).toEqual([`+ rule ${all}`, `- rule ${transit}`]);
  });

  test('an address that is not its cluster’s is not believed', () => {
    for (const probeIp of ['10.130.1.1', '8.8.8.8', 'fd00::1', 'junk']) {
      expect(desiredVxlan(desiredOf({ ...first, probeIp }), VXLAN_LOCAL).rules).toEqual([
        { priority: 100, table: 100 },
      ]);
    }
  });

  test('from role to role and back, whichever command fails on the way', async () => {
    const roles = [of(1), of(2, 'transit'), of(2), of(1, 'transit')];
    for (let n = 1; n <= 30; n += 1) {
      const host = stage({ name: 'vxlan', desired: () => EMPTY_STATE });
      host.countWritesOnly();
      host.failAt(n);
      for (const role of [...roles, ...roles.toReversed()]) await sync(host, role).catch(() => undefined);
      await sync(host, of(1));
      const reference = stage({ name: 'vxlan', desired: () => EMPTY_STATE });
      await sync(reference, of(1));
      expect(host.snapshot()).toEqual(reference.snapshot());
    }
  });
});

describe('plans', () => {
  test('of a VXLAN cable', () => {
    const plan = diffNetwork(desiredVxlan(desiredOf(cableTo(2)), VXLAN_LOCAL), EMPTY_STATE);
    expect(describePlan(plan).split('\n')).toEqual([
      '+ link vxlan-tunnel vxlan vni 1000 port 4500 local 198.18.0.1 dev wan address 02:53:f1:12:00:01 mtu 1450 up',
      '+ address 241.18.0.1/8 dev vxlan-tunnel',
      '~ sysctl net.ipv4.conf.vxlan-tunnel.rp_filter=2',
      '~ sysctl net.ipv4.conf.vxlan-tunnel.forwarding=1',
      '~ sysctl net.ipv4.neigh.vxlan-tunnel.retrans_time_ms=200',
      '+ fdb 00:00:00:00:00:00 dst 198.18.0.2 dev vxlan-tunnel',
      '+ fdb 02:53:f1:12:00:02 dst 198.18.0.2 dev vxlan-tunnel',
      '+ rule pref 100 lookup 100',
      '+ route 100.66.0.0/16 via 241.18.0.2 dev vxlan-tunnel src 10.130.1.1 metric 100 table 100',
      '+ route 10.131.0.0/16 via 241.18.0.2 dev vxlan-tunnel src 10.130.1.1 metric 100 table 100',
    ]);
  });

  test('of kernel ESP: an xfrm link a slot, and packets without a transform dropped elsewhere', () => {
    const state = desiredIpsecNetwork(desiredOf(cableTo(2)), KERNEL, '198.18.0.1');
    expect(state.ruleset?.chains[0]?.rules).toEqual([
      'ip daddr @guarded oifname != { "ipsec0", "ipsec1", "vx-submariner" } rt ipsec missing drop comment "never in clear"',
    ]);
    expect(state.ruleset?.sets[0]?.elements).toEqual(['100.66.0.0/16', '10.131.0.0/16']);
    expect(state.links).toEqual([
      { name: 'ipsec0', kind: 'xfrm', ifId: 0x53756200, mtuBytes: 1400, up: true },
      { name: 'ipsec1', kind: 'xfrm', ifId: 0x53756201, mtuBytes: 1400, up: true },
    ]);
    expect(state.addresses).toEqual(['ipsec0', 'ipsec1'].map((link) => ({ link, address: '241.18.0.1/32' })));
    expect(state.routes[0]).toEqual({ destination: '100.66.0.0/16', table: 100, link: 'ipsec0', source: '10.130.1.1' });
  });

  test('of userland ESP: the service CIDR gets an address where it has cables, the pod CIDR has one', () => {
    const state = desiredIpsecNetwork(desiredOf(cableTo(2)), USERLAND, '198.18.0.1');
    expect(state.addresses).toEqual([
      { link: 'ipsec1', address: '241.18.0.1/32' },
      { link: 'ipsec1', address: '100.65.0.0/32' },
      { link: 'ipsec0', address: '241.18.0.1/32' },
    ]);
  });

  test('guards stand without cables, and nothing stands without guards', () => {
    const guarded = { ...NOTHING, guardedCidrs: ['10.131.0.0/16', 'fd00::/64', 'junk'] };
    const state = desiredWireguardNetwork(guarded, wireguard('tun'), '198.18.0.1');
    expect(state.ruleset?.sets[0]?.elements).toEqual(['10.131.0.0/16']);
    expect(state.ruleset?.chains[0]?.rules[0]).toContain(
      'oifname != { "submariner", "submariner1", "vx-submariner" } drop',
    );
    expect(desiredWireguardNetwork(NOTHING, wireguard('tun'), '198.18.0.1').ruleset).toBeUndefined();
    expect(desiredVxlan(guarded, VXLAN_LOCAL)).toEqual(EMPTY_STATE);
  });

  test('VTEP addresses that are not unique are problems of the later cable', () => {
    const clash = cableTo(9, { remotePrivateIp: '10.18.0.2' });
    const own = cableTo(8, { remotePrivateIp: '192.18.0.1' });
    const six = cableTo(7, { remotePrivateIp: 'fd00::1' });
    const problems = vtepProblems([clash, cableTo(2), own, six], '198.18.0.1');
    expect([...problems.keys()].toSorted()).toEqual([six.name, own.name, clash.name].toSorted());
    expect(problems.get(clash.name)).toContain('cluster c2 (198.18.0.2)');
    expect(problems.get(own.name)).toContain('this gateway');
  });
});

test('there are three drivers under four names', () => {
  const dependencies = {
    runner: new FakeHost(),
    logger: silentLogger,
    stateDir: '/nonexistent',
    privateIp: '198.18.0.1',
    udpPort: 4500,
    psk: 'key',
  };
  const names = ['ipsec', 'libreswan', 'wireguard', 'vxlan'].map((name) => createDriver(name, dependencies).name);
  expect(names).toEqual(['libreswan', 'libreswan', 'wireguard', 'vxlan']);
  expect(() => createDriver('openvpn', dependencies)).toThrow('there is no cable driver "openvpn"');
});
