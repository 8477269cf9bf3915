import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseNetconf } from '../../src/host/netconf.ts';
import { ExpectedError } from '../../src/runtime/errors.ts';

// As `ip -N -d -j netconf show` of iproute2 6.1 prints it.
const OUTPUT =
  '[{"family":"inet","interface":"lo","forwarding":false,"rp_filter":"off","mc_forwarding":false,"proxy_neigh":false,' +
  '"ignore_routes_with_linkdown":false},{"family":"inet","interface":"eth0.7","forwarding":true,"rp_filter":"strict",' +
  '"mc_forwarding":false,"proxy_neigh":false,"ignore_routes_with_linkdown":false},{"family":"inet","interface":"all",' +
  '"forwarding":true,"rp_filter":"loose","mc_forwarding":false,"proxy_neigh":false,"ignore_routes_with_linkdown":false},' +
  '{"family":"inet6","interface":"lo","forwarding":true,"mc_forwarding":false,"proxy_neigh":false}]';

test('forwarding and reverse path filter of every link, as sysctls', () => {
  expect(Object.fromEntries(parseNetconf(OUTPUT))).toEqual({
    'net.ipv4.conf.lo.forwarding': '0',
    'net.ipv4.conf.lo.rp_filter': '0',
    'net.ipv4.conf.eth0/7.forwarding': '1',
    'net.ipv4.conf.eth0/7.rp_filter': '1',
    'net.ipv4.conf.all.forwarding': '1',
    'net.ipv4.conf.all.rp_filter': '2',
    'net.ipv4.ip_forward': '1',
  });
});

test('what is not understood is left out, so that sysctl is asked', () => {
  expect(
    parseNetconf('[{"family":"inet","interface":"lo","rp_filter":"new","forwarding":1},{"interface":7}]').size,
  ).toBe(0);
});

test('junk gives nothing or an error in words', () => {
  const read = (text: string): void => {
    try {
      parseNetconf(text);
    } catch (error) {
      expect(error).toBeInstanceOf(ExpectedError);
    }
  };
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), read));
});
