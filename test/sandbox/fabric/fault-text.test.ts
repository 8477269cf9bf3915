import { expect, test } from '@jest/globals';
import { describeFault, type Fault } from '../../../src/sandbox/fabric/fault-text.ts';

test.each<readonly [Fault, string]>([
  [{ kind: 'blackhole', target: 'east-1', direction: 'both' }, 'east-1 loses every packet'],
  [
    { kind: 'blackhole', target: 'east-1', direction: 'in', only: 'tunnels' },
    'east-1 loses every packet of its tunnels that comes in',
  ],
  [{ kind: 'loss', target: 'east-1', percent: 5, only: 'wan' }, 'east-1 loses 5 % of its packets beyond its LAN'],
  [{ kind: 'partition', a: 'east', b: 'west' }, 'east and west are cut off from each other'],
  [{ kind: 'cut', a: 'east-1', b: 'east-2' }, 'east-1 and east-2 are cut off from each other'],
  [{ kind: 'paused', target: 'east-1', program: 'engine' }, 'engine on east-1 does nothing any more'],
  [{ kind: 'refused', target: 'control-plane.east' }, 'control-plane.east refuses connections'],
  [
    { kind: 'refused', target: 'control-plane.east', only: 'wan' },
    'control-plane.east refuses connections from other networks',
  ],
])('%j in words', (fault, text) => {
  expect(describeFault(fault)).toBe(text);
});
