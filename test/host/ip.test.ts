import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  linkAddWords,
  linkState,
  parseFdb,
  parseJsonList,
  parseLinks,
  parseRoutes,
  parseRules,
  routeWords,
  ruleWords,
} from '../../src/host/ip.ts';
import { ExpectedError } from '../../src/runtime/errors.ts';

/** Taken from iproute2 6.1 on kernel 6.18. */
const LINKS = `[{"ifindex":4,"ifname":"vx-submariner","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1450,"qdisc":"noqueue","operstate":"UNKNOWN","group":"default","txqlen":1000,"link_type":"ether","address":"22:66:aa:e8:ee:29","broadcast":"ff:ff:ff:ff:ff:ff","promiscuity":0,"linkinfo":{"info_kind":"vxlan","info_data":{"id":100,"local":"172.18.0.3","link":"e0","port_range":{"low":0,"high":0},"port":4800,"learning":false,"ttl":0,"df":"unset","ageing":300}},"addr_info":[{"family":"inet","local":"240.18.0.3","prefixlen":8,"scope":"global","label":"vx-submariner"},{"family":"inet6","local":"fe80::2066:aaff:fee8:ee29","prefixlen":64,"scope":"link","tentative":true}]}]`;
const ROUTES = `[{"type":"7","dst":"10.1.0.0/16","protocol":"154","flags":[]},{"dst":"10.2.0.0/16","gateway":"240.1.2.3","dev":"vx-submariner","protocol":"154","prefsrc":"172.18.0.3","flags":[]},{"dst":"10.3.0.0/16","dev":"vx-submariner","protocol":"154","scope":"253","prefsrc":"172.18.0.3","metric":20,"flags":[],"metrics":[{"mtu":1300}]},{"dst":"10.4.0.1","gateway":"9.9.9.9","dev":"vx-submariner","protocol":"154","flags":["onlink"]},{"type":"2","dst":"10.5.0.1","dev":"lo","flags":[]}]`;
const RULES = `[{"priority":0,"src":"all","table":"255"},{"priority":151,"src":"1.2.3.4","dst":"10.0.0.0","dstlen":8,"fwmark":"0x10","fwmask":"0xff","table":"150"},{"priority":200,"src":"all","action":"blackhole"}]`;
const FDB = `[{"mac":"00:00:00:00:00:00","dst":"172.18.0.4","flags":["self"],"state":"permanent"},{"mac":"33:33:00:00:00:01","flags":["self"],"state":"permanent"},{"mac":"56:67:64:f3:52:ba","dst":"172.18.0.9","flags":["self"],"state":""}]`;

describe('what the tools print', () => {
  test('links', () => {
    const [link] = parseLinks(LINKS);
    expect(link).toMatchObject({ index: 4, addresses: ['240.18.0.3/8'] });
    expect(linkState(link!)).toEqual({
      name: 'vx-submariner',
      kind: 'vxlan',
      mtuBytes: 1450,
      up: true,
      mac: '22:66:aa:e8:ee:29',
      vxlan: { vni: 100, udpPort: 4800, local: '172.18.0.3', device: 'e0', learning: false },
    });
  });

  test('routes', () => {
    expect(parseRoutes(150, ROUTES)).toEqual([
      { destination: '10.1.0.0/16', table: 150, scope: 'global', type: 'unreachable' },
      {
        destination: '10.2.0.0/16',
        table: 150,
        link: 'vx-submariner',
        via: '240.1.2.3',
        source: '172.18.0.3',
        scope: 'global',
      },
      {
        destination: '10.3.0.0/16',
        table: 150,
        link: 'vx-submariner',
        source: '172.18.0.3',
        metric: 20,
        scope: 'link',
        mtuBytes: 1300,
      },
      { destination: '10.4.0.1/32', table: 150, link: 'vx-submariner', via: '9.9.9.9', scope: 'global', onlink: true },
    ]);
  });

  test('rules', () => {
    expect(parseRules(RULES)).toEqual([
      { priority: 0, table: 255 },
      { priority: 151, table: 150, from: '1.2.3.4/32', to: '10.0.0.0/8', fwmark: '0x10/0xff' },
    ]);
  });

  test('FDB entries with a remote that were not learned', () => {
    expect(parseFdb('vx', FDB)).toEqual([{ link: 'vx', mac: '00:00:00:00:00:00', remote: '172.18.0.4' }]);
  });
});

describe('any output', () => {
  const parsers = [
    parseLinks,
    parseRules,
    (text: string) => parseRoutes(1, text),
    (text: string) => parseFdb('x', text),
  ];

  test('is read or refused with an error for operators, never anything else', () => {
    const value = fc.oneof(
      fc.string(),
      fc.json(),
      fc.array(fc.object()).map((list) => JSON.stringify(list)),
    );
    fc.assert(
      fc.property(value, (text) => {
        for (const parse of parsers) {
          try {
            expect(Array.isArray(parse(text))).toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(ExpectedError);
          }
        }
      }),
    );
  });

  test('with damaged fields still gives well-typed objects', () => {
    const field = fc.constantFrom(
      'ifname',
      'dst',
      'dev',
      'gateway',
      'mtu',
      'flags',
      'metrics',
      'linkinfo',
      'addr_info',
      'priority',
      'table',
      'src',
      'mac',
      'type',
    );
    const damaged = fc.dictionary(
      field,
      fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.array(fc.anything()), fc.object()),
    );
    fc.assert(
      fc.property(fc.array(damaged), (list) => {
        const text = JSON.stringify(list, (_key, value: unknown) =>
          typeof value === 'bigint' ? String(value) : value,
        );
        for (const route of parseRoutes(1, text))
          expect([typeof route.destination, typeof (route.via ?? '')]).toEqual(['string', 'string']);
        for (const rule of parseRules(text))
          expect([typeof rule.priority, typeof rule.table]).toEqual(['number', 'number']);
        for (const link of parseLinks(text))
          expect([typeof link.name, typeof link.mtuBytes]).toEqual(['string', 'number']);
        for (const entry of parseFdb('x', text))
          expect([typeof entry.mac, typeof entry.remote]).toEqual(['string', 'string']);
      }),
    );
  });

  test('nothing at all is an empty list, noise is not', () => {
    expect(parseJsonList('', 'x')).toEqual([]);
    expect(parseJsonList('[\n', 'x')).toEqual([]);
    expect(() => parseJsonList('Segmentation fault', 'ip x')).toThrow(
      'The output of `ip x` is not JSON: Segmentation fault',
    );
    expect(() => parseJsonList('{}', 'ip x')).toThrow('not a list');
  });
});

describe('what the tools are told', () => {
  test('links', () => {
    const vxlan = { vni: 1000, udpPort: 4500, local: '198.18.0.1', device: 'wan', learning: false };
    expect(linkAddWords({ name: 'v', kind: 'vxlan', mtuBytes: 1450, up: true, vxlan })?.join(' ')).toBe(
      'link add v mtu 1450 type vxlan id 1000 dstport 4500 local 198.18.0.1 dev wan nolearning',
    );
    expect(linkAddWords({ name: 'ipsec0', kind: 'tun', mtuBytes: 1400, up: true })).toBeUndefined();
    const xfrm = { name: 'ipsec0', kind: 'xfrm', ifId: 0x53756200, mtuBytes: 1400, up: true } as const;
    expect(linkAddWords(xfrm)?.join(' ')).toBe('link add ipsec0 mtu 1400 type xfrm if_id 1400201728');
    const shown =
      '[{"ifname":"ipsec0","ifindex":7,"mtu":1400,"flags":["UP"],"linkinfo":{"info_kind":"xfrm","info_data":{"if_id":"0x53756200"}}}]';
    expect(parseLinks(shown).map(linkState)).toEqual([xfrm]);
  });

  test('routes; removal names the protocol only where the table is shared', () => {
    const route = {
      destination: '10.0.0.0/8',
      via: '1.2.3.4',
      link: 'e',
      source: '5.6.7.8',
      metric: 5,
      mtuBytes: 1300,
      onlink: true,
    };
    expect(routeWords('replace', { ...route, table: 100 }, 153).join(' ')).toBe(
      'route replace 10.0.0.0/8 via 1.2.3.4 dev e table 100 metric 5 proto 153 src 5.6.7.8 mtu 1300 onlink',
    );
    expect(routeWords('del', { ...route, table: 100 }, 153).join(' ')).toBe(
      'route del 10.0.0.0/8 via 1.2.3.4 dev e table 100 metric 5',
    );
    expect(routeWords('del', { destination: '10.0.0.0/8', table: 254, type: 'unreachable' }, 154).join(' ')).toBe(
      'route del unreachable 10.0.0.0/8 table 254 proto 154',
    );
  });

  test('rules', () => {
    expect(ruleWords('add', { priority: 9, table: 8, from: '1.0.0.0/8', fwmark: '0x1/0xf' }, 154).join(' ')).toBe(
      'rule add pref 9 from 1.0.0.0/8 fwmark 0x1/0xf lookup 8 protocol 154',
    );
    expect(ruleWords('del', { priority: 9, table: 8 }, 154).join(' ')).toBe('rule del pref 9 lookup 8');
  });
});
