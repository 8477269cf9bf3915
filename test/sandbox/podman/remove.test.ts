import { expect, test } from '@jest/globals';
import { mountsBelow } from '../../../src/sandbox/podman/remove.ts';

test('only mounts below the folder are found, the deepest first', () => {
  const line = (point: string): string => `36 35 98:0 / ${point} rw,noatime - ext3 /dev/root rw`;
  const points = [
    '/',
    '/s/podman',
    '/s/podman/storage',
    '/s/podmanner/x',
    '/s/podman/storage/a\\040b/merged',
    '/other',
  ];
  expect(mountsBelow(points.map(line).join('\n'), '/s/podman')).toEqual([
    '/s/podman/storage/a b/merged',
    '/s/podman/storage',
  ]);
});
