import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  canonicalAddress,
  canonicalCidr,
  cidrRange,
  cidrContains,
  cidrsOverlap,
  firstAddress,
  ipFamily,
  isIpAddress,
  minimalCidrs,
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
    '1..2.3/8',
    '.1.2.3/8',
    '1.2.3.4./8',
    '1.2.3.4.5/8',
    '10.0.0.00/8',
    '10.0.0.0/',
    '10.0.0.0/3x',
    '10.0.0.0/-1',
    '10.0.0.0:0/8',
    '/8',
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

describe('prefixes as ranges', () => {
  const prefix = fc
    .oneof(fc.tuple(fc.ipV4(), fc.nat(32)), fc.tuple(fc.ipV6(), fc.nat(128)))
    .map(([ip, n]) => `${ip}/${n}`);
  /** In few bits, so that prefixes meet. */
  const narrow = fc
    .tuple(fc.nat(3), fc.nat(255), fc.integer({ min: 8, max: 32 }))
    .map(([a, b, n]) => `10.${a}.${b}.7/${n}`);

  test('meet where the prefixes do', () => {
    fc.assert(
      fc.property(fc.oneof(prefix, narrow), fc.oneof(prefix, narrow), (a, b) => {
        const [one, other] = [cidrRange(a)!, cidrRange(b)!];
        expect(one.first <= other.last && other.first <= one.last).toBe(cidrsOverlap(a, b));
      }),
    );
  });

  test('have as many addresses as the prefix', () => {
    fc.assert(
      fc.property(prefix, (text) => {
        const { first, last } = cidrRange(text)!;
        const bits = (ipFamily(text) === 4 ? 32 : 128) - parseCidr(text)!.prefixLength;
        expect(BigInt(last) - BigInt(first) + 1n).toBe(1n << BigInt(bits));
      }),
    );
  });

  test('junk has none', () =>
    expect(['10.0.0.0', 'x/8', '10.0.0.0/33'].map(cidrRange)).toEqual([undefined, undefined, undefined]));

  test('the minimal ones cover the same, none covers another, in numeric order', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(prefix, narrow), { maxLength: 12 }), (texts) => {
        const minimal = minimalCidrs(texts);
        const canonical = [...new Set(texts.map((text) => canonicalCidr(text)!))];
        const outer = canonical.filter((one) => !canonical.some((other) => other !== one && cidrContains(other, one)));
        expect([...minimal].toSorted()).toEqual(outer.toSorted());
        const firsts = minimal.map((text) => cidrRange(text)!.first);
        expect(firsts.every((first, index) => index === 0 || firsts[index - 1]! < first)).toBe(true);
      }),
    );
  });
});
