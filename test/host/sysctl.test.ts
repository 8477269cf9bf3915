import { expect, test } from '@jest/globals';
import { sysctlFile } from '../../src/host/sysctl.ts';

test('a key is a path, in which a slash stands for a dot within a name', () => {
  expect(sysctlFile('net.ipv4.conf.all.rp_filter', '/x')).toBe('/x/net/ipv4/conf/all/rp_filter');
  expect(sysctlFile('net.ipv4.conf.eth0/100.forwarding', '/x')).toBe('/x/net/ipv4/conf/eth0.100/forwarding');
});
