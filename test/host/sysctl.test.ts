import { expect, test } from '@jest/globals';
import { createRunner } from '../../src/host/command.ts';
import { observeSysctls, sysctlFile } from '../../src/host/sysctl.ts';
import { silentLogger } from '../../src/runtime/logger.ts';

test('a key is a path, in which a slash stands for a dot within a name', () => {
  expect(sysctlFile('net.ipv4.conf.all.rp_filter', '/x')).toBe('/x/net/ipv4/conf/all/rp_filter');
  expect(sysctlFile('net.ipv4.conf.eth0/100.forwarding', '/x')).toBe('/x/net/ipv4/conf/eth0.100/forwarding');
});

test('values read without a program are those that sysctl prints; keys that are not there are left out', async () => {
  const keys = [
    'net.ipv4.ip_forward',
    'net.ipv4.conf.lo.rp_filter',
    'net.ipv4.tcp_rmem',
    'net.ipv4.conf.no-such.rp_filter',
  ];
  const here = createRunner({ logger: silentLogger });
  const elsewhere = { ...here, here: false };
  const values = await observeSysctls(here, keys);
  expect(values.map(({ key }) => key)).toEqual(keys.slice(0, 3));
  expect(values).toEqual(await observeSysctls(elsewhere, keys));
});

test('without a program none is started', async () => {
  const run = () => Promise.reject(new Error('a program was started'));
  expect(await observeSysctls({ run, here: true }, ['net.ipv4.ip_forward'])).toHaveLength(1);
  await expect(observeSysctls({ run }, ['net.ipv4.ip_forward'])).rejects.toThrow('a program was started');
});
