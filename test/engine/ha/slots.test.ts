import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { GATEWAY_SLOTS, type ClusterGateways } from '../../../src/api/gateways.ts';
import type { EndpointSpec } from '../../../src/api/types.ts';
import { assignSlots } from '../../../src/engine/ha/slots.ts';

function spec(cableName: string, hostname = cableName): EndpointSpec {
  return {
    cluster_id: 'east',
    cable_name: cableName,
    hostname,
    subnets: ['10.0.0.0/16'],
    private_ip: '172.31.0.11',
    public_ip: '',
    nat_enabled: false,
    backend: 'vxlan',
  };
}

/** `a:0 b:1` */
function shown({ gateways }: ClusterGateways): string {
  return gateways.map(({ slot, spec }) => `${spec.cable_name}:${slot}`).join(' ');
}

function announced(text: string): ClusterGateways | undefined {
  if (text === '') return undefined;
  const gateways = text.split(' ').map((item) => {
    const [name = '', slot] = item.split(':');
    return { slot: Number(slot), spec: spec(name) };
  });
  return { term: 1, gateways };
}

describe('slots', () => {
  test.each<[rule: string, before: string, present: string, active: string, after: string, waiting: string]>([
    ['the first gateway', '', 'a', 'a', 'a:0', ''],
    ['the active one first, then in name order', '', 'c b a', 'b', 'b:0 a:1', 'c'],
    ['who has one keeps it', 'b:0 a:1', 'a b c', 'a', 'b:0 a:1', 'c'],
    ['a free one goes to who waits', 'b:1', 'a b', 'b', 'a:0 b:1', ''],
    ['the one of a gateway that is gone goes to who waits', 'a:0 b:1', 'b d c', 'b', 'c:0 b:1', 'd'],
    ['a gateway that is gone leaves a hole when nobody waits', 'a:0 b:1', 'b', 'b', 'b:1', ''],
    ['the active one takes the last slot when it has none', 'a:0 b:1', 'a b c', 'c', 'a:0 c:1', 'b'],
    ['the active one takes a free slot before anybody is put out', 'b:1', 'a b c', 'c', 'c:0 b:1', 'a'],
    ['an active one that is not there', 'a:0', 'a b', 'z', 'a:0 b:1', ''],
    ['a slot of a later release', 'a:7 b:1', 'a b', 'a', 'a:0 b:1', ''],
    ['nobody there', 'a:0', '', 'a', '', ''],
  ])('%s', (_, before, present, active, after, waiting) => {
    const specs = present
      .split(' ')
      .filter(Boolean)
      .map((name) => spec(name));
    const assignment = assignSlots(announced(before), specs, { active, term: 2 });
    expect([shown(assignment.announced), assignment.waiting.join(' ')]).toEqual([after, waiting]);
    expect(assignment.announced.term).toBe(2);
  });

  test('announce gateways as they are now', () => {
    const assignment = assignSlots(announced('a:1'), [spec('a', 'renamed')], { active: 'a', term: 2 });
    expect(assignment.announced.gateways).toEqual([{ slot: 1, spec: spec('a', 'renamed') }]);
  });

  test('in any course of events: nobody twice, the active one always, no slot free while somebody waits, the same again', () => {
    const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1 });
    fc.assert(
      fc.property(fc.array(fc.tuple(names, fc.nat()), { minLength: 1, maxLength: 8 }), (steps) => {
        let before: ClusterGateways | undefined;
        for (const [present, pick] of steps) {
          const active = present[pick % present.length]!;
          const { announced, waiting } = assignSlots(
            before,
            present.map((name) => spec(name)),
            { active, term: 1 },
          );
          const holders = announced.gateways.map(({ spec }) => spec.cable_name);
          expect([...holders, ...waiting].sort()).toEqual([...present].sort());
          expect(holders).toContain(active);
          expect(new Set(announced.gateways.map(({ slot }) => slot)).size).toBe(holders.length);
          if (waiting.length > 0) expect(holders).toHaveLength(GATEWAY_SLOTS);
          const again = assignSlots(
            announced,
            present.toReversed().map((name) => spec(name)),
            { active, term: 1 },
          );
          expect(again.announced).toEqual(announced);
          for (const { slot, spec } of before?.gateways ?? []) {
            const kept = announced.gateways.find((one) => one.spec.cable_name === spec.cable_name);
            if (kept !== undefined) expect(kept.slot).toBe(slot);
          }
          before = announced;
        }
      }),
    );
  });
});
