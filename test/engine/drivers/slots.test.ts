import { describe, expect, test } from '@jest/globals';
import { hostAddress, linkAddress } from '../../../src/engine/drivers/link-address.ts';
import { portsOfSlots, slotsFrom, slotsOf } from '../../../src/engine/drivers/slots.ts';
import { cableTo, standbyTo } from './cables.ts';

describe('slots', () => {
  test.each([
    [4500, 2, { 'udp-port-1': '4501' }],
    [65_534, 2, { 'udp-port-1': '65535' }],
    [65_535, 1, {}],
  ])('from UDP port %d there are %d, and these are told', (udpPort, slots, told) => {
    expect(slotsFrom(udpPort)).toBe(slots);
    expect(portsOfSlots(udpPort, slots)).toEqual(told);
  });

  test('cables are in their slot; the first slot is there also without cables', () => {
    expect([...slotsOf([])]).toEqual([[0, []]]);
    const [first, second, third] = [cableTo(2), standbyTo(2), cableTo(3)];
    expect([...slotsOf([first, second, third])]).toEqual([
      [0, [first, third]],
      [1, [second]],
    ]);
    expect([...slotsOf([second]).keys()]).toEqual([0, 1]);
  });
});

test.each([
  ['198.18.0.7', '241.18.0.7'],
  ['fd00::1', undefined],
  ['junk', undefined],
])('the address of %s on its cables is %s', (privateIp, address) => {
  expect(linkAddress(privateIp)).toBe(address);
  expect(hostAddress('submariner', privateIp)).toEqual(
    address === undefined ? [] : [{ link: 'submariner', address: `${address}/32` }],
  );
});
