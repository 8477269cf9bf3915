import { describe, expect, test } from '@jest/globals';
import { linkMetrics } from '../../src/host/linkmetrics.ts';
import { parseAllRoutes, parseLinkCounters } from '../../src/host/nodenetwork.ts';
import { renderMetrics } from '../../src/runtime/metrics.ts';

const ADDR = JSON.stringify([
  {
    ifname: 'ipsec0',
    mtu: 1400,
    flags: ['POINTOPOINT', 'UP'],
    linkinfo: { info_kind: 'tun' },
    addr_info: [{ local: '100.66.0.0', prefixlen: 32, scope: 'global' }],
    stats64: { rx: { bytes: 4536, dropped: 1 }, tx: { bytes: 4680, dropped: 2 } },
  },
  { ifname: 'eth0', mtu: 1500, flags: [], addr_info: [] },
]);

describe('parseLinkCounters', () => {
  test('links with what they carried', () => {
    expect(parseLinkCounters(ADDR)).toEqual([
      {
        name: 'ipsec0',
        kind: 'tun',
        mtuBytes: 1400,
        up: true,
        addresses: ['100.66.0.0/32'],
        rxBytes: 4536,
        txBytes: 4680,
        rxDropped: 1,
        txDropped: 2,
      },
      {
        name: 'eth0',
        kind: '',
        mtuBytes: 1500,
        up: false,
        addresses: [],
        rxBytes: 0,
        txBytes: 0,
        rxDropped: 0,
        txDropped: 0,
      },
    ]);
  });

  test('as metrics, of own links only', () => {
    const text = renderMetrics(linkMetrics(parseLinkCounters(ADDR), ['ipsec0', 'submariner']));
    expect(text).toContain('submariner_link_receive_bytes_total{link="ipsec0"} 4536\n');
    expect(text).toContain('submariner_link_transmit_dropped_total{link="ipsec0"} 2\n');
    expect(text).toContain('submariner_link_up{link="ipsec0"} 1\n');
    expect(text).not.toContain('eth0');
  });
});

describe('parseAllRoutes', () => {
  test('routes of every table, the main one last named; local ones and IPv6 left out', () => {
    const output = JSON.stringify([
      { type: '1', dst: 'default', gateway: '10.0.0.254', dev: 'eth0', protocol: '3', scope: '0', flags: [] },
      { type: '7', dst: '10.9.0.0/16', table: '150', protocol: '154', scope: '0', flags: [] },
      { type: '1', dst: '10.131.0.0/16', table: '100', dev: 'ipsec0', protocol: '153', scope: '253', flags: [] },
      { type: '2', dst: '127.0.0.1', table: '255', dev: 'lo', protocol: '2', scope: '254', flags: [] },
      { type: '1', dst: 'fe80::/64', dev: 'eth0', protocol: '2', scope: '0', flags: [] },
    ]);
    expect(parseAllRoutes(output)).toEqual([
      { destination: '10.131.0.0/16', table: 100, link: 'ipsec0', scope: 'link' },
      { destination: '10.9.0.0/16', table: 150, scope: 'global', type: 'unreachable' },
      { destination: '0.0.0.0/0', table: 254, via: '10.0.0.254', link: 'eth0', scope: 'global' },
    ]);
  });
});
