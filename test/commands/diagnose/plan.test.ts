import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { chooseTargets, planTraffic, type TrafficCluster } from '../../../src/commands/diagnose/traffic/plan.ts';

function cluster(clusterId: string, nodes: number, withPods = true): TrafficCluster {
  const other = clusterId === 'east' ? 'west' : 'east';
  return {
    clusterId,
    nodes: Array.from({ length: nodes }, (_, index) => ({
      name: `${clusterId}-${index + 1}`,
      podAddress: withPods ? `10.${clusterId.length}.${index + 1}.2` : undefined,
    })),
    gateways: [{ cluster: other, node: `${other}-1`, address: '10.9.9.9' }],
    tunnels: { from: `${clusterId}-1`, to: [{ cluster: other, node: `${other}-1`, address: '172.16.0.1' }] },
  };
}

const ways = (clusters: readonly TrafficCluster[]): readonly string[] =>
  planTraffic(clusters).flatMap(({ from, sends }) =>
    sends.map(({ to, target }) => {
      const what = ['icmp', 'pathMtu', 'tcp', 'udp'].filter((kind) => kind in target).join('+');
      return `${from.kind} ${from.node} -> ${to.kind} ${to.node}: ${what}`;
    }),
  );

describe('the plan of test packets', () => {
  test('from nodes and pods to gateways and pods of the other cluster', () => {
    expect(ways([cluster('east', 1), cluster('west', 2)])).toEqual([
      'node east-1 -> gateway west-1: icmp+pathMtu',
      'node east-1 -> pod west-1: icmp+tcp',
      'node east-1 -> pod west-2: icmp+tcp',
      'node east-1 -> underlay west-1: pathMtu',
      'pod east-1 -> pod west-1: tcp+udp',
      'pod east-1 -> pod west-2: tcp+udp',
      'node west-1 -> gateway east-1: icmp+pathMtu',
      'node west-1 -> pod east-1: icmp+tcp',
      'node west-1 -> underlay east-1: pathMtu',
      'pod west-1 -> pod east-1: tcp+udp',
      'node west-2 -> gateway east-1: icmp+pathMtu',
      'node west-2 -> pod east-1: icmp+tcp',
      'pod west-2 -> pod east-1: tcp+udp',
    ]);
  });

  test('without pods, and with a cluster that is only known, to gateways', () => {
    expect(ways([cluster('east', 2, false)])).toEqual([
      'node east-1 -> gateway west-1: icmp+pathMtu',
      'node east-1 -> underlay west-1: pathMtu',
      'node east-2 -> gateway west-1: icmp+pathMtu',
    ]);
  });

  test('names of targets are unique for each source', () => {
    for (const { sends } of planTraffic([cluster('east', 5), cluster('west', 5)])) {
      const ids = sends.map(({ target }) => target.id);
      expect(new Set(ids).size).toBe(ids.length);
    }
  });

  test('few destinations a source, but every one is somebody’s as soon as there are half as many sources', () => {
    const sizes = fc.record({ targets: fc.integer({ min: 1, max: 40 }), sources: fc.integer({ min: 1, max: 40 }) });
    fc.assert(
      fc.property(sizes, ({ targets, sources }) => {
        const all = Array.from({ length: targets }, (_, index) => index);
        const chosen = Array.from({ length: sources }, (_, index) => chooseTargets(all, index));
        for (const one of chosen) expect(one.length).toBe(Math.min(3, targets));
        if (sources * 2 >= targets - 1) expect(new Set(chosen.flat()).size).toBe(targets);
      }),
    );
  });
});
