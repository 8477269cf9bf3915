import { expect, test } from '@jest/globals';
import { isNewer } from '../../../src/commands/upgrade/versions.ts';

test.each([
  ['0.2.0', '0.1.9', true],
  ['0.1.10', '0.1.9', true],
  ['1.0', '0.9.9', true],
  ['v1.0.0', '1.0.0', false],
  ['1.0.0', '1.0.0-rc1', true],
  ['1.0.0-rc1', '1.0.0', false],
  ['1.0.0-rc.10', '1.0.0-rc.9', true],
  ['1.0.0-rc', '1.0.0-1', true],
  ['1.0.0-rc.1', '1.0.0-rc', true],
  ['1.0.0+a', '1.0.0', false],
  ['devel', '1.0.0', false],
  ['1.0.0', 'devel', false],
])('%s is newer than %s: %s', (one, other, expected) => {
  expect(isNewer(one, other)).toBe(expected);
});
