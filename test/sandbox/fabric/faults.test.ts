import { describe, expect, test } from '@jest/globals';
import { parseFaults, renderFaults, type Fault } from '../../../src/sandbox/fabric/faults.ts';
import { planSandbox } from '../../../src/sandbox/plan.ts';

const plan = planSandbox({ name: 'demo', clusters: ['east', 'west'], nodes: 2, gateways: 1 });

describe('faults', () => {
  test('are read back from what they were written as', () => {
    const faults: readonly Fault[] = [
      { kind: 'blackhole', target: 'east-1', direction: 'out' },
      { kind: 'loss', target: 'west-2', percent: 20 },
      { kind: 'partition', a: 'east', b: 'west' },
      { kind: 'blackhole', target: 'control-plane.west', direction: 'both' },
    ];
    expect(parseFaults(renderFaults(plan, faults))).toEqual(expect.arrayContaining([...faults]));
    expect(parseFaults(renderFaults(plan, faults))).toHaveLength(faults.length);
    expect(parseFaults(renderFaults(plan, []))).toEqual([]);
  });

  test('concern the right ports in the right direction', () => {
    const script = renderFaults(plan, [{ kind: 'blackhole', target: 'east-2', direction: 'in' }]);
    expect(script).toContain('oifname { n1-2 } drop');
    expect(script).not.toContain('iifname');
    expect(renderFaults(plan, [{ kind: 'blackhole', target: 'control-plane.west', direction: 'out' }])).toContain(
      'iifname { c2-lan, c2-wan } drop',
    );
  });

  test('are refused for names and numbers that make no sense', () => {
    expect(() => renderFaults(plan, [{ kind: 'blackhole', target: 'east-3', direction: 'in' }])).toThrow(
      expect.objectContaining({ hint: 'It has: east-1, east-2, west-1, west-2.' }),
    );
    expect(() => renderFaults(plan, [{ kind: 'partition', a: 'east', b: 'north' }])).toThrow('no cluster "north"');
    for (const percent of [0, 101, 2.5, Number.NaN]) {
      expect(() => renderFaults(plan, [{ kind: 'loss', target: 'east-1', percent }])).toThrow('from 1 to 100');
    }
  });
});
