import { expect, test } from '@jest/globals';
import { tunLinksOf } from '../../src/host/tun.ts';

test('a process without a tun link has none, and one that is gone neither', () => {
  expect(tunLinksOf(process.pid)).toEqual([]);
  expect(tunLinksOf(2 ** 22 + 1)).toEqual([]);
});
