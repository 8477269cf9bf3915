import { describe, expect, test } from '@jest/globals';
import { faultRequest } from '../../../src/commands/sandbox/fault.ts';
import type { FaultFlags } from '../../../src/commands/sandbox/flags.ts';

const flags = (given: Partial<FaultFlags>): FaultFlags => ({ name: 'lab', direction: 'both', ...given });

describe('what is asked for', () => {
  test.each<readonly [string, Partial<FaultFlags>, object]>([
    ['', { wanLoss: 30 }, { of: 'wan', fault: { kind: 'wan-loss', percent: 30 } }],
    ['', { partition: ['east', 'west'] }, { of: 'wan', fault: { kind: 'partition', a: 'east', b: 'west' } }],
    ['', { heal: true }, { of: 'wan', fault: { kind: 'heal' } }],
    ['east', { api: 'refuse' }, { of: 'cluster', cluster: 'east', fault: { kind: 'api', how: 'refuse' } }],
    [
      'east',
      { api: 'blackhole', only: 'wan' },
      { of: 'cluster', cluster: 'east', fault: { kind: 'api', how: 'blackhole', only: 'wan' } },
    ],
    ['east', { heal: true }, { of: 'cluster', cluster: 'east', fault: { kind: 'heal' } }],
    ['east 1', { kill: true }, { of: 'node', fault: { kind: 'kill' } }],
    ['east 1', { blackhole: true }, { fault: { kind: 'blackhole', direction: 'both' } }],
    [
      'east 1',
      { blackhole: true, direction: 'in', only: 'tunnels' },
      { fault: { kind: 'blackhole', direction: 'in', only: 'tunnels' } },
    ],
    ['east 1', { loss: 5 }, { fault: { kind: 'loss', percent: 5 } }],
    ['east 1', { cut: '2' }, { fault: { kind: 'cut', from: '2' } }],
    ['east 1', { killProcess: 'charon' }, { fault: { kind: 'kill-process', program: 'charon' } }],
    ['east 1', { pauseProcess: 'engine' }, { fault: { kind: 'pause-process', program: 'engine' } }],
    ['east 1', { heal: true }, { of: 'node', cluster: 'east', node: '1', fault: { kind: 'heal' } }],
  ])('sandbox fault %s with %j', (args, given, expected) => {
    expect(faultRequest(args === '' ? [] : args.split(' '), flags(given))).toMatchObject(expected);
  });

  test.each<readonly [string, Partial<FaultFlags>, string]>([
    ['', {}, '--wan-loss, --partition or --heal'],
    ['', { kill: true }, 'name a cluster or a node'],
    ['', { partition: ['east'] }, 'two clusters'],
    ['', { partition: ['east', 'east'] }, 'two clusters'],
    ['east', {}, '--api or --heal'],
    ['east', { blackhole: true }, 'or name a node'],
    ['east', { api: 'refuse', only: 'tunnels' }, 'no tunnels'],
    ['east 1', {}, '--kill-process'],
    ['east 1', { wanLoss: 3 }, 'what is to happen to 1'],
    ['east 1', { kill: true, only: 'wan' }, '--only goes with'],
    ['east 1', { loss: 3, direction: 'in' }, '--direction goes with'],
  ])('sandbox fault %s with %j is refused', (args, given, message) => {
    expect(() => faultRequest(args === '' ? [] : args.split(' '), flags(given))).toThrow(message);
  });
});
