import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CidrIndex, prefixLengths } from '../../src/engine/overlap.ts';
import { canonicalCidr, cidrsOverlap } from '../../src/net/cidr.ts';

const cidr = fc
  .tuple(
    fc.constantFrom('10.0.', '10.128.', '172.16.'),
    fc.nat(3),
    fc.constantFrom(0, 64, 128),
    fc.integer({ min: 0, max: 32 }),
  )
  .map(([net, third, fourth, length]) => canonicalCidr(`${net}${third}.${fourth}/${length}`)!);
const cidr6 = fc
  .tuple(fc.nat(3), fc.integer({ min: 0, max: 128 }))
  .map(([word, length]) => canonicalCidr(`fd00:${word}::/${length}`)!);

test('finds an overlap exactly when there is one, and names who has it', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(cidr, cidr6), { maxLength: 12 }), fc.oneof(cidr, cidr6), (held, asked) => {
      const index = new CidrIndex(prefixLengths([...held, asked]));
      for (const one of held) index.add(one, `of ${one}`);
      const found = index.find(asked);
      expect(found !== undefined).toBe(held.some((one) => cidrsOverlap(one, asked)));
      if (found === undefined) return;
      expect(found.holder).toBe(`of ${found.cidr}`);
      expect(cidrsOverlap(found.cidr, asked)).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test('junk is neither held nor found', () => {
  const index = new CidrIndex(prefixLengths(['10.0.0.0/8', 'junk', '/8']));
  index.add('junk', 'x');
  expect(index.find('junk')).toBeUndefined();
  expect(index.find('10.0.0.0/8')).toBeUndefined();
});
