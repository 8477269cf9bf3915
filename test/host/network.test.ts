import { describe, expect, test } from '@jest/globals';
import { convergeNetwork, observeNetwork, PlanError } from '../../src/host/network.ts';
import { diffNetwork } from '../../src/net/diff.ts';
import { ROUTEAGENT_OWNERSHIP } from '../../src/net/ownership.ts';
import { describePlan } from '../../src/net/plan.ts';
import { EMPTY_STATE, type NetworkState } from '../../src/net/state.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { FakeHost } from '../fakes/host.ts';

const DESIRED: NetworkState = {
  links: [
    {
      name: 'vx-submariner',
      kind: 'vxlan',
      mtuBytes: 1450,
      up: true,
      vxlan: { vni: 100, udpPort: 4800, local: '172.18.0.3', device: 'eth0', learning: false },
    },
  ],
  addresses: [{ link: 'vx-submariner', address: '240.18.0.3/8' }],
  neighbours: [{ link: 'vx-submariner', mac: '00:00:00:00:00:00', remote: '172.18.0.4' }],
  routes: [
    { destination: '10.9.0.0/16', table: 254, via: '240.18.0.4', link: 'vx-submariner', source: '10.1.0.1' },
    { destination: '10.8.0.0/16', table: 150, type: 'unreachable' },
  ],
  rules: [{ priority: 150, table: 150 }],
  sysctls: [
    { key: 'net.ipv4.ip_forward', value: '1' },
    { key: 'net.ipv4.conf.vx-submariner.rp_filter', value: '2' },
  ],
  ruleset: {
    table: 'submariner-routeagent',
    sets: [{ name: 'remote', type: 'ipv4_addr', interval: true, elements: ['10.9.0.0/16', '10.8.0.0/16'] }],
    chains: [
      { name: 'forward', hook: { type: 'filter', hook: 'forward', priority: 0 }, rules: ['ip daddr @remote accept'] },
    ],
  },
};

function node(): FakeHost {
  const host = new FakeHost();
  host.addLink('eth0', ['172.18.0.3/16']);
  host.addLink('cni0', ['10.1.0.1/24'], 'bridge');
  host.do('ip route add default via 172.18.0.1 dev eth0');
  host.do('ip route add 10.77.0.0/16 via 172.18.0.9 dev eth0 proto 4');
  host.do('ip route add 10.78.0.0/16 dev eth0 table 99 proto 154');
  host.do('ip rule add pref 99 lookup 99');
  host.nft.run('table inet other {\n\tchain x {\n\t\taccept\n\t}\n}\n');
  return host;
}

const OWN = /vx-submariner|submariner-routeagent|table 150|rule 150|proto 154 metric 0 dev - /;
const converge = (host: FakeHost, desired: NetworkState) =>
  convergeNetwork({ runner: host, logger: silentLogger }, ROUTEAGENT_OWNERSHIP, desired);
const remaining = async (host: FakeHost, desired: NetworkState): Promise<string> =>
  describePlan(diffNetwork(desired, await observeNetwork(host, ROUTEAGENT_OWNERSHIP, desired)));

describe('the four laws', () => {
  test('apply, observe, diff gives an empty plan', async () => {
    const host = node();
    const plan = await converge(host, DESIRED);
    expect(describePlan(plan).split('\n')).toEqual([
      '+ link vx-submariner vxlan vni 100 port 4800 local 172.18.0.3 dev eth0 mtu 1450 up',
      '+ address 240.18.0.3/8 dev vx-submariner',
      '~ sysctl net.ipv4.ip_forward=1 (was 0)',
      '~ sysctl net.ipv4.conf.vx-submariner.rp_filter=2',
      '+ fdb 00:00:00:00:00:00 dst 172.18.0.4 dev vx-submariner',
      '+ nft table inet submariner-routeagent (1 sets, 1 chains, 1 rules)',
      '+ rule pref 150 lookup 150',
      '+ route 10.9.0.0/16 via 240.18.0.4 dev vx-submariner src 10.1.0.1 table 254',
      '+ route unreachable 10.8.0.0/16 table 150',
    ]);
    expect(await remaining(host, DESIRED)).toBe('');
  });

  test('leftovers go, foreign objects stay', async () => {
    const host = node();
    const foreign = host.snapshot();
    await converge(host, DESIRED);
    host.do('ip route add 10.66.0.0/16 via 240.18.0.4 dev vx-submariner proto 154');
    host.do('ip rule add pref 150 lookup 150');
    expect(host.snapshot(OWN)).toEqual(foreign);
    await converge(host, EMPTY_STATE);
    expect(host.snapshot()).toEqual(foreign);
  });

  test.each([
    ['from nothing', EMPTY_STATE, DESIRED],
    ['to nothing', DESIRED, EMPTY_STATE],
    [
      'to another underlay address',
      DESIRED,
      {
        ...DESIRED,
        links: DESIRED.links.map((link) => ({ ...link, vxlan: { ...link.vxlan!, local: '172.18.0.77' } })),
        addresses: [{ link: 'vx-submariner', address: '240.18.0.77/8' }],
      },
    ],
  ])('failure sweep %s: whichever command fails, it converges and harms nobody', async (_name, from, to) => {
    const count = node();
    count.countWritesOnly();
    await converge(count, from);
    const before = count.operations;
    await converge(count, to);
    const total = count.operations - before;
    expect(total).toBeGreaterThanOrEqual(5);
    for (let n = 1; n <= total; n += 1) {
      const host = node();
      const foreign = host.snapshot();
      host.countWritesOnly();
      await converge(host, from);
      host.failAt(n);
      await expect(converge(host, to)).rejects.toThrow(PlanError);
      for (let round = 0; round < 3 && (await remaining(host, to)) !== ''; round += 1) await converge(host, to);
      expect(await remaining(host, to)).toBe('');
      expect(host.snapshot(OWN)).toEqual(foreign);
    }
  });
});

test('a failing read is an error and changes nothing', async () => {
  for (let n = 1; n <= 6; n += 1) {
    const host = node();
    await converge(host, DESIRED);
    const before = host.snapshot();
    host.failAt(n);
    await expect(converge(host, EMPTY_STATE)).rejects.toThrow();
    expect(host.snapshot()).toEqual(before);
  }
});

describe('what fails', () => {
  test('independent steps go on, dependent ones are skipped, all of it is listed', async () => {
    const host = node();
    host.countWritesOnly();
    host.failAt(1);
    const failure = await converge(host, DESIRED).catch((error: unknown) => error);
    expect(
      (failure as PlanError).failures.map(({ step, reason }) => `${step.split(' ').slice(0, 3).join(' ')}: ${reason}`),
    ).toEqual([
      '+ link vx-submariner: RTNETLINK answers: Operation not permitted',
      '+ address 240.18.0.3/8: not tried, link vx-submariner is not ready',
      '~ sysctl net.ipv4.conf.vx-submariner.rp_filter=2: not tried, link vx-submariner is not ready',
      '+ fdb 00:00:00:00:00:00: not tried, link vx-submariner is not ready',
      '+ route 10.9.0.0/16: not tried, link vx-submariner is not ready',
    ]);
    expect(
      await remaining(host, {
        ...DESIRED,
        links: [],
        addresses: [],
        neighbours: [],
        sysctls: [],
        routes: DESIRED.routes.slice(1),
      }),
    ).toBe('');
  });

  test("another owner's route to the same prefix is not overwritten", async () => {
    const host = node();
    host.do('ip route add 10.9.0.0/16 via 172.18.0.9 dev eth0 proto 4');
    await expect(converge(host, DESIRED)).rejects.toThrow(
      '10.9.0.0/16 via 240.18.0.4 dev vx-submariner src 10.1.0.1 table 254: RTNETLINK answers: File exists',
    );
    expect(host.snapshot().filter((line) => line.includes('10.9.0.0/16 table 254'))).toEqual([
      'route unicast 10.9.0.0/16 table 254 proto 4 metric 0 dev eth0 via 172.18.0.9 src -',
    ]);
  });
});

describe('changes', () => {
  test('one more prefix touches only its own objects', async () => {
    const host = node();
    await converge(host, DESIRED);
    const more: NetworkState = {
      ...DESIRED,
      routes: [...DESIRED.routes, { destination: '10.7.0.0/16', table: 150, type: 'unreachable' }],
      ruleset: {
        ...DESIRED.ruleset!,
        sets: [{ ...DESIRED.ruleset!.sets[0]!, elements: ['10.7.0.0/16', '10.8.0.0/16', '10.9.0.0/16'] }],
      },
    };
    expect(describePlan(await converge(host, more)).split('\n')).toEqual([
      '+ nft set inet submariner-routeagent remote 10.7.0.0/16',
      '+ route unreachable 10.7.0.0/16 table 150',
    ]);
    expect(await remaining(host, more)).toBe('');
  });

  test('a route changes its kind in place', async () => {
    const host = node();
    await converge(host, DESIRED);
    const refused: NetworkState = {
      ...DESIRED,
      routes: [{ destination: '10.9.0.0/16', table: 254, type: 'unreachable' }, DESIRED.routes[1]!],
    };
    expect(describePlan(await converge(host, refused))).toBe('~ route unreachable 10.9.0.0/16 table 254');
    expect(describePlan(await converge(host, DESIRED))).toBe(
      '~ route 10.9.0.0/16 via 240.18.0.4 dev vx-submariner src 10.1.0.1 table 254',
    );
  });

  test.each<[string, (host: FakeHost) => void]>([
    ['a rule added', (host) => host.nft.addRule('submariner-routeagent', 'forward', 'drop')],
    ['a chain flushed', (host) => host.nft.flushChain('submariner-routeagent', 'forward')],
  ])('a foreign edit of our table is undone: %s', async (_name, edit) => {
    const host = node();
    await converge(host, DESIRED);
    edit(host);
    expect(describePlan(await converge(host, DESIRED))).toBe(
      '~ nft table inet submariner-routeagent (1 sets, 1 chains, 1 rules)',
    );
    expect(await remaining(host, DESIRED)).toBe('');
  });

  test('a changed address in one subnet keeps its routes', async () => {
    const host = node();
    await converge(host, DESIRED);
    const renumbered = { ...DESIRED, addresses: [{ link: 'vx-submariner', address: '240.18.0.9/8' }] };
    expect(describePlan(await converge(host, renumbered)).split('\n')).toEqual([
      '- address 240.18.0.3/8 dev vx-submariner',
      '+ address 240.18.0.9/8 dev vx-submariner',
      '~ route 10.9.0.0/16 via 240.18.0.4 dev vx-submariner src 10.1.0.1 table 254',
    ]);
    expect(await remaining(host, renumbered)).toBe('');
  });
});
