import { expect, test } from '@jest/globals';
import { vtepMac } from '../../src/net/vtep.ts';

test('the MAC of a VTEP is locally administered, no multicast, and ends in its address', () => {
  expect(vtepMac('240.31.0.12')).toBe('02:53:f0:1f:00:0c');
  expect(vtepMac('241.255.255.254')).toBe('02:53:f1:ff:ff:fe');
  expect(Number.parseInt(vtepMac('240.1.2.3').slice(0, 2), 16) % 4).toBe(2);
});
