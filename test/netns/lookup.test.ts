import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import { observeNodeNetwork } from '../../src/host/nodenetwork.ts';
import { parseJsonList } from '../../src/host/ip.ts';
import { lookupRoute } from '../../src/net/lookup.ts';
import { Namespaces } from './namespaces.ts';

const spaces = new Namespaces();
const RUNS = Number(globalThis.process.env['RANDOM_RUNS'] ?? 8);
const LINKS = ['la', 'lb', 'lc'] as const;

beforeAll(() => {
  spaces.add('n');
  for (const [index, name] of LINKS.entries()) {
    spaces.ip(
      'n',
      `link add ${name} type veth peer name p${name}\naddr add 172.18.${index}.1/24 dev ${name}\nlink set ${name} up\nlink set p${name} up`,
    );
  }
  spaces.sh('n', 'sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0');
  for (const name of LINKS) spaces.sh('n', `sysctl -qw net.ipv4.conf.${name}.rp_filter=0`);
});
afterAll(() => spaces.remove());

const octet = fc.constantFrom(0, 1, 2);
const route = fc
  .record({
    table: fc.constantFrom('main', '100', '150'),
    prefix: fc.oneof(
      octet.map((a) => `10.${a}.0.0/16`),
      fc.tuple(octet, octet).map(([a, b]) => `10.${a}.${b}.0/24`),
      fc.constant('10.0.0.0/8'),
    ),
    way: fc.constantFrom(...LINKS.map((name) => `dev ${name}`), 'unreachable', 'blackhole'),
    metric: fc.constantFrom(0, 5, 9),
  })
  .map(({ table, prefix, way, metric }) => {
    const target = way.startsWith('dev') ? `${prefix} ${way}` : `${way} ${prefix}`;
    return `route replace ${target} table ${table} metric ${metric + 1}`;
  });
const rule = fc
  .record({
    pref: fc.integer({ min: 1, max: 5 }),
    what: fc.constantFrom('', 'iif la', 'iif lb', 'iif lo', 'from 10.9.1.0/24', 'to 10.1.0.0/16', 'fwmark 7'),
    table: fc.constantFrom('100', '150'),
  })
  .map(({ pref, what, table }) => `rule add pref ${pref} ${what} lookup ${table}`.replaceAll('  ', ' '));
const packet = fc.record({
  destination: fc.tuple(octet, octet).map(([a, b]) => `10.${a}.${b}.7`),
  source: fc.constantFrom('10.9.1.5', '10.9.2.5'),
  incomingLink: fc.constantFrom('la', 'lb', undefined),
});

/** What the kernel does: the link it would send by, or `refused`. */
function kernelSays(words: string): string {
  const answer = spaces.sh('n', `ip -j route get ${words} 2>&1 || true`);
  if (!answer.trim().startsWith('[')) return 'refused';
  const [first] = parseJsonList(answer, 'ip route get');
  return typeof first?.['dev'] === 'string' ? first['dev'] : 'refused';
}

test('a packet is routed as the kernel routes it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(route, { maxLength: 10 }),
      fc.uniqueArray(rule, { maxLength: 4, selector: (text) => text.split(' ')[3] }),
      fc.array(packet, { minLength: 6, maxLength: 10 }),
      async (routes, rules, packets) => {
        spaces.ip('n', [...routes, ...rules].join('\n'));
        try {
          const network = await observeNodeNetwork(spaces.runner('n'));
          for (const one of packets) {
            const { destination, source, incomingLink } = one;
            const words =
              incomingLink === undefined ? destination : `${destination} from ${source} iif ${incomingLink}`;
            const ours = lookupRoute(
              network,
              incomingLink === undefined ? { destination } : { destination, source, incomingLink },
            );
            const way = ours.kind === 'route' ? (ours.route.type ?? ours.route.link ?? '') : 'refused';
            expect([words, ['unreachable', 'blackhole'].includes(way) ? 'refused' : way]).toEqual([
              words,
              kernelSays(words),
            ]);
          }
        } finally {
          for (const table of ['100', '150']) spaces.sh('n', `ip route flush table ${table} 2>/dev/null || true`);
          spaces.sh('n', 'for p in 1 2 3 4 5; do while ip rule del pref $p 2>/dev/null; do :; done; done');
          spaces.sh('n', 'ip route flush root 10.0.0.0/8');
        }
      },
    ),
    { numRuns: RUNS, endOnFailure: true },
  );
}, 600_000);
