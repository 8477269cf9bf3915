import { describe, expect, test } from '@jest/globals';
import { parseFaults, renderFaults, samePlace, type NetworkFault } from '../../../src/sandbox/fabric/fault-rules.ts';
import { planSandbox } from '../../../src/sandbox/plan.ts';

const plan = planSandbox({ name: 'demo', clusters: ['east', 'west'], nodes: 2, gateways: 1 });

describe('faults', () => {
  test('are read back from what they were written as', () => {
    const faults: readonly NetworkFault[] = [
      { kind: 'blackhole', target: 'east-1', direction: 'out' },
      { kind: 'loss', target: 'west-2', percent: 20 },
      { kind: 'partition', a: 'east', b: 'west' },
      { kind: 'blackhole', target: 'control-plane.west', direction: 'both' },
      { kind: 'blackhole', target: 'east-2', direction: 'in', only: 'tunnels' },
      { kind: 'loss', target: 'wan', percent: 30 },
      { kind: 'loss', target: 'east-2', percent: 1, only: 'wan' },
      { kind: 'cut', a: 'east-1', b: 'east-2' },
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

  test('of some packets name what is left out', () => {
    const blackhole = { kind: 'blackhole', direction: 'both' } as const;
    const wan = renderFaults(plan, [{ ...blackhole, target: 'east-1', only: 'wan' }]);
    expect(wan).toContain('iifname { n1-1 } ip daddr != 172.31.0.0/24 drop');
    expect(wan).toContain('oifname { n1-1 } ip saddr != 172.31.0.0/24 drop');
    expect(renderFaults(plan, [{ ...blackhole, target: 'east-1', only: 'tunnels' }])).toContain(
      'iifname { n1-1 } ip daddr != 172.31.0.0/24 ip protocol { udp, esp } drop',
    );
    const api = renderFaults(plan, [{ ...blackhole, target: 'control-plane.east', only: 'wan' }]);
    expect(api).toContain('iifname { c1-wan } drop');
    expect(api).not.toContain('c1-lan');
  });

  test('at one place and of one kind replace each other', () => {
    const cut = { kind: 'cut', a: 'east-1', b: 'east-2' } as const;
    expect(samePlace(cut, { kind: 'cut', a: 'east-2', b: 'east-1' })).toBe(true);
    expect(samePlace(cut, { kind: 'partition', a: 'east-1', b: 'east-2' })).toBe(false);
    const loss = { kind: 'loss', target: 'east-1', percent: 5 } as const;
    expect(samePlace(loss, { ...loss, percent: 9, only: 'wan' })).toBe(true);
    expect(samePlace(loss, { ...loss, target: 'wan' })).toBe(false);
  });

  test('are refused for names and numbers that make no sense', () => {
    expect(() => renderFaults(plan, [{ kind: 'blackhole', target: 'east-3', direction: 'in' }])).toThrow(
      expect.objectContaining({ hint: 'It has: east-1, east-2, west-1, west-2.' }),
    );
    expect(() => renderFaults(plan, [{ kind: 'partition', a: 'east', b: 'north' }])).toThrow('no cluster "north"');
    expect(() => renderFaults(plan, [{ kind: 'cut', a: 'east-1', b: 'west-1' }])).toThrow('no node "west-1"');
    for (const percent of [0, 101, 2.5, Number.NaN]) {
      expect(() => renderFaults(plan, [{ kind: 'loss', target: 'east-1', percent }])).toThrow('from 1 to 100');
    }
  });
});
