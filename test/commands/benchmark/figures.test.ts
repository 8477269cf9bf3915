import { describe, expect, test } from '@jest/globals';
import {
  coresUsed,
  latencyItems,
  throughputItems,
  type Run,
  type Way,
} from '../../../src/commands/benchmark/figures.ts';
import { waysBetween, waysWithin } from '../../../src/commands/benchmark/plan.ts';
import type { Peer } from '../../../src/commands/peers/peer.ts';
import type { CpuUse, LatencyReport, ThroughputReport } from '../../../src/host/prober/measurements.ts';

const cpu = (machine: string, busy: number, idle = 0.5, own = 0.1): CpuUse => ({ machine, cores: 4, busy, idle, own });
const node = (cluster: string, name: string, gateway: boolean) => ({ cluster, node: name, gateway });

const WAYS: readonly Way[] = waysBetween(peer('east'), peer('west'));

function peer(id: string, more: Partial<Peer> = {}): Peer {
  const nodes = [
    { name: `${id}-1`, gateway: true, address: '1' },
    { name: `${id}-2`, gateway: true, address: '2' },
    { name: `${id}-3`, gateway: false, address: '3' },
  ];
  return { name: `ctx-${id}`, clusterId: id, nodes, activeGateway: `${id}-2`, ...more } as unknown as Peer;
}

function carried(way: Way, gbits: number, more: Partial<ThroughputReport> = {}): Run<ThroughputReport> {
  const report = {
    bytes: 1,
    seconds: 1,
    streams: 1,
    bitsPerSecond: gbits * 1e9,
    client: cpu('a', 1.5),
    server: cpu('b', 2.5),
    ...more,
  };
  return { way, report, failure: '' };
}

describe('the ways', () => {
  test('between clusters: the active gateways’ nodes, pods on them, pods on others', () => {
    expect(WAYS).toEqual([
      { network: 'host', from: node('east', 'east-2', true), to: node('west', 'west-2', true) },
      { network: 'pods', from: node('east', 'east-2', true), to: node('west', 'west-2', true) },
      { network: 'pods', from: node('east', 'east-3', false), to: node('west', 'west-3', false) },
    ]);
  });

  test('a cluster of gateways only has no other pods; within it nothing can be measured', () => {
    const single = peer('east', { nodes: [{ name: 'east-1', gateway: true, address: '' }] });
    expect(waysBetween(single, peer('west')).map(({ network }) => network)).toEqual(['host', 'pods']);
    expect(() => waysWithin(single)).toThrow('no ready node beside its gateways');
    expect(() => waysBetween(peer('east', { nodes: [] }), peer('west'))).toThrow('no gateway node that is ready');
  });

  test('within a cluster: to the gateway', () => {
    expect(waysWithin(peer('east')).map(({ network, from, to }) => [network, from.node, to.node])).toEqual([
      ['host', 'east-3', 'east-2'],
      ['pods', 'east-3', 'east-2'],
    ]);
  });
});

describe('throughput', () => {
  test('is compared with that of the nodes themselves', () => {
    const items = throughputItems([carried(WAYS[0]!, 8), carried(WAYS[1]!, 2), carried(WAYS[2]!, 1)]);
    expect(items.map(({ ofHost }) => ofHost)).toEqual([null, 0.25, 0.125]);
    expect(items.map(({ coresPerGbit }) => coresPerGbit)).toEqual([0.375, 1.5, 3]);
  });

  test('without figures of the nodes there is no ratio, and no invented one', () => {
    const failed = { way: WAYS[0]!, report: undefined, failure: 'no TCP handshake within 10 s' };
    const [host, pods] = throughputItems([failed, carried(WAYS[1]!, 2)]);
    expect(host).toMatchObject({ bitsPerSecond: null, ofHost: null, failure: 'no TCP handshake within 10 s' });
    expect(pods).toMatchObject({ bitsPerSecond: 2e9, ofHost: null });
  });

  test('one machine is counted once, and said', () => {
    expect(coresUsed(cpu('a', 3), cpu('b', 2))).toBe(4);
    expect(coresUsed(cpu('a', 3), cpu('a', 3))).toBe(2.5);
    expect(coresUsed(cpu('a', 0.2), cpu('b', 0.5))).toBe(0);
    const [item] = throughputItems([carried(WAYS[1]!, 1, { server: cpu('a', 1.5) })]);
    expect(item!.remarks).toEqual(['both ends are on one machine']);
  });

  test('what spoils the figures is said', () => {
    const [limited] = throughputItems([carried(WAYS[1]!, 1, { client: cpu('a', 1, 0, 0.95) })]);
    expect(limited!.remarks).toEqual([expect.stringContaining('prober of the sender used 0.9')]);
    const [busy] = throughputItems([carried(WAYS[1]!, 1, { server: cpu('b', 4, 3) })]);
    expect(busy!.remarks).toEqual([
      'the machine of the receiver was busy before (3.0 of 4 cores): the figures say little',
    ]);
  });
});

test('latency is compared by its median', () => {
  const took = (way: Way, p50: number): Run<LatencyReport> => {
    const rttMs = { count: 1, min: p50, mean: p50, p50, p90: p50, p99: p50, p999: p50, max: p50, stdDev: 0 };
    return { way, report: { rttMs, perSecond: 1, bytes: 1, streams: 1 }, failure: '' };
  };
  const items = latencyItems([took(WAYS[0]!, 0.5), took(WAYS[1]!, 1)]);
  expect(items.map(({ timesHost }) => timesHost)).toEqual([null, 2]);
  const failed = { way: WAYS[0]!, report: undefined, failure: 'x' };
  expect(latencyItems([failed, took(WAYS[1]!, 1)])[1]).toMatchObject({ timesHost: null, perSecond: 1 });
});
