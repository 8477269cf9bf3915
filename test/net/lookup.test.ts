import { describe, expect, test } from '@jest/globals';
import { linkOfAddress, lookupRoute } from '../../src/net/lookup.ts';
import type { NodeLink, NodeNetwork } from '../../src/net/nodenetwork.ts';

function link(name: string, addresses: readonly string[] = [], up = true): NodeLink {
  return { name, kind: '', mtuBytes: 1500, up, addresses, rxBytes: 0, txBytes: 0, rxDropped: 0, txDropped: 0 };
}

/** A gateway: cables in table 100, refusals in 150. */
const GATEWAY: Pick<NodeNetwork, 'links' | 'rules' | 'routes'> = {
  links: [link('eth0', ['172.31.0.11/24']), link('ipsec0'), link('vx-submariner', ['240.31.0.11/8'])],
  rules: [
    { priority: 32_766, table: 254 },
    { priority: 0, table: 255 },
    { priority: 100, table: 100 },
    { priority: 50, table: 50, incomingLink: 'vx-submariner' },
    { priority: 51, table: 101, incomingLink: 'lo' },
    { priority: 60, table: 60, from: '10.130.9.0/24' },
    { priority: 61, table: 60, fwmark: '0x42' },
    { priority: 150, table: 150 },
  ],
  routes: [
    { destination: '10.131.0.0/16', table: 100, link: 'ipsec0' },
    { destination: '10.131.0.0/16', table: 150, type: 'unreachable' },
    { destination: '10.132.0.0/16', table: 150, type: 'unreachable' },
    { destination: '10.131.7.0/24', table: 50, link: 'eth0' },
    { destination: '10.131.8.1/32', table: 101, link: 'submariner' },
    { destination: '10.131.0.0/16', table: 60, link: 'eth0', via: '172.31.0.1' },
    { destination: '0.0.0.0/0', table: 254, link: 'eth0', via: '172.31.0.1', metric: 100 },
    { destination: '10.140.0.0/16', table: 254, link: 'eth0', metric: 20 },
    { destination: '10.140.0.0/16', table: 254, link: 'ipsec0', metric: 10 },
    { destination: '10.141.0.0/16', table: 254, link: 'dead0' },
  ],
};

describe('a packet follows', () => {
  test.each([
    ['the first table that knows its destination', { destination: '10.131.2.3' }, 'ipsec0', 100],
    ['a refusal, when no cable has a route', { destination: '10.132.2.3' }, 'unreachable', 150],
    ['a rule for the link it came by', { destination: '10.131.7.3', incomingLink: 'vx-submariner' }, 'eth0', 50],
    ['not that rule from another link', { destination: '10.131.7.3', incomingLink: 'eth0' }, 'ipsec0', 100],
    ['a rule for what the node itself sends', { destination: '10.131.8.1' }, 'submariner', 101],
    ['not that rule when it came in', { destination: '10.131.8.1', incomingLink: 'eth0' }, 'ipsec0', 100],
    ['a rule for its source', { destination: '10.131.2.3', source: '10.130.9.4' }, 'eth0', 60],
    ['not that rule without a source', { destination: '10.131.2.3' }, 'ipsec0', 100],
    ['the smallest metric', { destination: '10.140.1.1' }, 'ipsec0', 254],
    ['the default route', { destination: '8.8.8.8' }, 'eth0', 254],
  ])('%s', (_, packet, way, table) => {
    const routed = lookupRoute(GATEWAY, packet);
    expect(routed.kind === 'route' && [routed.route.type ?? routed.route.link, routed.rule.table]).toEqual([
      way,
      table,
    ]);
  });

  test('nothing, when it is at its destination', () => {
    expect(lookupRoute(GATEWAY, { destination: '240.31.0.11' })).toEqual({ kind: 'local', link: 'vx-submariner' });
    expect(linkOfAddress(GATEWAY.links, '240.31.0.1')).toBeUndefined();
  });

  test('no route over a link that is down', () => {
    const down = { ...GATEWAY, links: [...GATEWAY.links, link('dead0', [], false)] };
    expect(lookupRoute(down, { destination: '10.141.0.1' })).toMatchObject({ route: { destination: '0.0.0.0/0' } });
    expect(lookupRoute({ links: [], rules: [], routes: [] }, { destination: '1.2.3.4' })).toEqual({ kind: 'none' });
  });
});
