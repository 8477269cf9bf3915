import * as fc from 'fast-check';
import type { Ownership } from '../../src/net/ownership.ts';
import type { LinkState, NetworkState, RouteState, RuleState } from '../../src/net/state.ts';

/** An owner for random states. */
export const OWN: Ownership = {
  protocol: 200,
  nftTable: 'ours',
  tables: [70, 254],
  rulePriorities: [70, 71],
  links: ['vx0', 'vx1'],
};

const link = (name: string): fc.Arbitrary<LinkState> =>
  fc
    .record({
      local: fc.constantFrom('172.18.0.3', '172.18.0.4'),
      mtu: fc.constantFrom(1400, 1450),
      learning: fc.boolean(),
      mac: fc.constantFrom('02:53:00:00:00:01', '02:53:00:00:00:02', undefined),
    })
    .map(({ local, mtu, learning, mac }) => ({
      name,
      kind: 'vxlan',
      mtuBytes: mtu,
      up: true,
      ...(mac === undefined ? {} : { mac }),
      vxlan: { vni: name === 'vx0' ? 1 : 2, udpPort: 4800, local, learning },
    }));

const prefix = fc.nat(7).map((n) => `10.${n}.0.0/16`);
const onLink = (name: string): fc.Arbitrary<Omit<RouteState, 'destination'>> =>
  fc.constantFrom<Omit<RouteState, 'destination'>>(
    { table: 254, link: name },
    { table: 70, via: '240.0.0.9', link: name },
    { table: 70, link: name, source: '172.18.0.3', metric: 7 },
    { table: 70, type: 'unreachable' },
    { table: 254, type: 'unreachable' },
  );

const RULES: readonly RuleState[] = [
  { priority: 70, table: 70 },
  { priority: 70, table: 70, incomingLink: 'vx0' },
  { priority: 70, table: 70, incomingLink: 'lo' },
  { priority: 71, table: 70 },
];

/** Any state a caller may want: everything stands on a link that is wanted too. */
export const state: fc.Arbitrary<NetworkState> = fc
  .record({
    vx0: fc.option(link('vx0'), { nil: undefined }),
    vx1: fc.option(link('vx1'), { nil: undefined }),
    hosts: fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { maxLength: 3 }),
    remotes: fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { maxLength: 3 }),
    routes: fc.array(fc.tuple(prefix, onLink('vx0')), { maxLength: 6 }),
    others: fc.array(fc.tuple(prefix, onLink('vx1')), { maxLength: 6 }),
    rules: fc.shuffledSubarray([...RULES]),
    elements: fc.uniqueArray(prefix, { maxLength: 4 }),
    table: fc.boolean(),
  })
  .map(({ vx0, vx1, hosts, remotes, routes, others, rules, elements, table }) => {
    const routesOf = (present: LinkState | undefined, list: typeof routes): readonly RouteState[] =>
      list
        .map(([destination, rest]) => ({ destination, ...rest }))
        .filter((route) => route.link === undefined || present !== undefined);
    const wanted = new Map(
      [...routesOf(vx0, routes), ...routesOf(vx1, others)].map((route) => [
        `${route.destination} ${route.table} ${route.metric}`,
        route,
      ]),
    );
    const links = [vx0, vx1].filter((item) => item !== undefined);
    return {
      links,
      addresses: links.flatMap(({ name }) => [...hosts, 77].map((n) => ({ link: name, address: `240.0.0.${n}/8` }))),
      neighbours: links.flatMap(({ name }) =>
        remotes.map((n) => ({ link: name, mac: '00:00:00:00:00:00', remote: `172.18.0.${n}` })),
      ),
      routes: [...wanted.values()],
      rules,
      sysctls: links.map(({ name }) => ({ key: `net.ipv4.conf.${name}.rp_filter`, value: '2' })),
      ...(table
        ? {
            ruleset: {
              table: 'ours',
              sets: [{ name: 's', type: 'ipv4_addr' as const, interval: true, elements }],
              chains: [{ name: 'c', rules: ['ip saddr @s accept'] }],
            },
          }
        : {}),
    };
  });
