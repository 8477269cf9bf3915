import { describe, expect, test } from '@jest/globals';
import { endpointSpec } from '../harness.ts';
import { lossOf } from '../../../src/commands/diagnose/shots/judge.ts';
import type { ShotResult } from '../../../src/commands/diagnose/shots/model.ts';
import { planShots, rulesAt, type ShotCluster } from '../../../src/commands/diagnose/shots/plan.ts';
import type { EndpointSpec } from '../../../src/api/types.ts';
import { counterScript, parseCounters } from '../../../src/host/prober/count.ts';

function cluster(id: string, nodes: number, config: Readonly<Record<string, string>> = {}): ShotCluster {
  const endpoint = { ...endpointSpec(id, '1.1.1.1'), backend_config: config } as unknown as EndpointSpec;
  return {
    clusterId: id,
    gateway: `${id}-1`,
    nodes: Array.from({ length: nodes }, (_, k) => ({ name: `${id}-${k + 1}`, address: `10.0.${id.length}.${k + 1}` })),
    endpoint,
    reached: new Map([['west', '198.51.100.7']]),
  };
}

const lines = (clusters: readonly ShotCluster[]): readonly string[] =>
  planShots(clusters).map(
    ({ from, to, port, purpose }) => `${from.node} -> ${to.node} ${to.address}:${port} ${purpose}`,
  );

describe('the plan', () => {
  test('nodes and their gateway, gateways among each other, at the addresses and ports they use', () => {
    expect(
      lines([cluster('east', 2), cluster('west', 1, { 'udp-port': '4501', 'natt-discovery-port': '4499' })]),
    ).toEqual([
      'east-2 -> east-1 10.0.4.1:4800 overlay',
      'east-1 -> east-2 10.0.4.2:4800 overlay',
      'east-1 -> west-1 198.51.100.7:4501 tunnel',
      'east-1 -> west-1 198.51.100.7:4499 NAT discovery',
      'west-1 -> east-1 10.0.4.1:4500 tunnel',
      'west-1 -> east-1 10.0.4.1:4490 NAT discovery',
    ]);
  });

  test('nothing without a gateway that can send', () => {
    expect(lines([{ ...cluster('east', 3), gateway: undefined }])).toEqual([]);
    expect(lines([{ ...cluster('east', 3), gateway: 'gone' }, cluster('west', 1)])).toEqual([]);
  });

  test('every counter sees the packets of one shot only', () => {
    const shots = planShots([cluster('east', 3), cluster('west', 3)]);
    expect(new Set(shots.map(({ bytes }) => bytes)).size).toBe(shots.length);
    const here = rulesAt(shots, { cluster: 'east', node: 'east-1' });
    expect(new Set(here.map(({ id }) => id)).size).toBe(here.length);
    expect(rulesAt(shots, { cluster: 'west', node: 'east-1' })).toEqual([]);
  });
});

describe('the place where packets are lost', () => {
  const [shot] = planShots([cluster('east', 2)]);
  const result: ShotResult = { shot: shot!, sent: 5, left: 5, arrived: 5, accepted: 5, failure: '' };

  test.each([
    [{}, undefined],
    [{ left: 0, arrived: 0, accepted: 0 }, 'do not leave node east-2'],
    [{ arrived: 0, accepted: 0 }, 'do not arrive at 10.0.4.1: blocked on the way'],
    [{ accepted: 0 }, 'arrive, but a filter of node east-1 itself drops them'],
    [{ arrived: 3, accepted: 3 }, '2 of 5 packets from 10.0.4.2 to 10.0.4.1 were lost'],
    [{ failure: 'no exec', left: null, arrived: null, accepted: null }, 'could not be tried: no exec'],
    [{ left: null }, undefined],
  ])('%j', (change, expected) => {
    const loss = lossOf({ ...result, ...change });
    if (expected === undefined) expect(loss).toBeUndefined();
    else expect(loss).toContain(expected);
  });
});

test('the table that counts drops nothing and goes with its owner', () => {
  const rules = [
    { id: 's0-left', hook: 'postrouting' as const, port: 4500, bytes: 101 },
    { id: 's1-arrived', hook: 'prerouting' as const, port: 4800, bytes: 102 },
  ];
  const script = counterScript('t', rules);
  expect(script).toContain('add table inet t { flags owner; }');
  expect(script).toContain('udp dport 4500 udp length 81 counter comment "s0-left"');
  expect(script).not.toMatch(/drop|reject|accept;.*drop/);
  const listing =
    'udp dport 4500 udp length 81 counter packets 3 bytes 303 comment "s0-left"\n counter packets 0 bytes 0 comment "x"';
  expect(parseCounters(listing)).toEqual({ 's0-left': 3, x: 0 });
});
