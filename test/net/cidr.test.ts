import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  canonicalAddress,
  canonicalCidr,
  cidrContains,
  cidrsOverlap,
  firstAddress,
  ipFamily,
  isIpAddress,
  parseCidr,
} from '../../src/net/cidr.ts';

describe('canonicalCidr', () => {
  test.each([
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['255.255.255.255/32', '255.255.255.255/32'],
    ['2001:DB8::1/32', '2001:db8::/32'],
    ['::/0', '::/0'],
  ])('%s is %s', (text, canonical) => expect(canonicalCidr(text)).toBe(canonical));

  test.each([
    '',
    '10.0.0.0',
    '10.0.0/8',
    '10.0.0.0/33',
    '256.0.0.0/8',
    '010.0.0.0/8',
    '::/129',
    '10.0.0.0/8/8',
    'x/8',
    ' 10.0.0.0/8',
    'fe80::1%eth0/64',
  ])('%j is not a prefix', (text) => expect(canonicalCidr(text)).toBeUndefined());
});

describe('relations', () => {
  test.each([
    ['10.0.0.0/8', '10.9.0.0/16', true, true],
    ['10.9.0.0/16', '10.0.0.0/8', false, true],
    ['10.0.0.0/16', '10.1.0.0/16', false, false],
    ['10.0.0.0/16', '10.0.0.0/16', true, true],
    ['2001:db8::/32', '2001:db8:1::/48', true, true],
    ['0.0.0.0/0', '::/0', false, false],
    ['junk', '10.0.0.0/8', false, false],
  ])('%s and %s: contains %s, overlaps %s', (a, b, contains, overlaps) => {
    expect(cidrContains(a, b)).toBe(contains);
    expect(cidrsOverlap(a, b)).toBe(overlaps);
    expect(cidrsOverlap(b, a)).toBe(overlaps);
  });

  test('an address is inside its prefix', () => {
    expect(cidrContains('10.9.0.0/16', '10.9.255.255')).toBe(true);
    expect(cidrContains('10.9.0.0/16', '10.10.0.0')).toBe(false);
  });

  test('first usable address', () => {
    expect(firstAddress('10.9.0.0/16')).toBe('10.9.0.1');
    expect(firstAddress('10.9.0.7/32')).toBe('10.9.0.7');
    expect(firstAddress('2001:db8::/64')).toBe('2001:db8::1');
    expect(firstAddress('junk')).toBeUndefined();
  });
});

describe('any text', () => {
  test('never throws, and the canonical form is a fixed point', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(140)).map(([ip, n]) => `${ip}/${n}`),
        ),
        (text) => {
          const canonical = canonicalCidr(text);
          isIpAddress(text);
          firstAddress(text);
          if (canonical === undefined) return;
          expect(canonicalCidr(canonical)).toBe(canonical);
          expect(parseCidr(canonical)).toEqual(parseCidr(text));
          expect(cidrContains(canonical, text)).toBe(true);
          expect(ipFamily(canonical)).toBe(parseCidr(text)?.family);
        },
      ),
    );
  });

  test('every address fast-check makes is one, and keeps its value', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
        expect(isIpAddress(address)).toBe(true);
        expect(canonicalAddress(canonicalAddress(address)!)).toBe(canonicalAddress(address));
      }),
    );
  });
});
