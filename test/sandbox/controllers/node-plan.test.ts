import { describe, expect, test } from '@jest/globals';
import {
  desiredTaints,
  lastHeardMs,
  lostConditions,
  podsToEvict,
  podsToMark,
} from '../../../src/sandbox/controllers/node-plan.ts';
import { node, pod } from './objects.ts';

const NOW = '2026-01-01T00:01:00Z';
const unreachable = (timeAdded = NOW) => [
  { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute', timeAdded },
  { key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule', timeAdded },
];

describe('node lifecycle', () => {
  test('a node was heard of when its Lease was renewed, it reported, or it came into being', () => {
    const fresh = node('n');
    expect(lastHeardMs(fresh, undefined)).toBe(Date.parse('2026-01-01T00:00:00Z'));
    const unset = { type: 'Ready', status: 'True', lastHeartbeatTime: null } as const;
    expect(lastHeardMs({ ...fresh, status: { conditions: [unset] } }, undefined)).toBe(
      Date.parse('2026-01-01T00:00:00Z'),
    );
    expect(lastHeardMs(fresh, { metadata: {}, spec: { renewTime: '2026-01-01T00:00:30.500000Z' } })).toBe(
      Date.parse('2026-01-01T00:00:30.500Z'),
    );
  });

  test('a silent node becomes Unknown once', () => {
    const conditions = lostConditions(node('n'), NOW) ?? [];
    expect(conditions).toMatchObject([
      { type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown', lastTransitionTime: NOW },
    ]);
    expect(lostConditions({ ...node('n'), status: { conditions } }, NOW)).toBeUndefined();
  });

  test('taints follow readiness; those of others stay', () => {
    const foreign = { key: 'gpu', effect: 'NoSchedule' };
    expect(desiredTaints(node('n', { ready: 'Unknown', spec: { taints: [foreign] } }), NOW)).toEqual([
      foreign,
      ...unreachable(),
    ]);
    expect(
      desiredTaints(node('n', { ready: 'Unknown', spec: { taints: unreachable('earlier') } }), NOW),
    ).toBeUndefined();
    expect(desiredTaints(node('n', { ready: 'False' }), NOW)?.[0]?.key).toBe('node.kubernetes.io/not-ready');
    expect(desiredTaints(node('n', { spec: { taints: [foreign, ...unreachable()] } }), NOW)).toEqual([foreign]);
    expect(desiredTaints(node('n'), NOW)).toBeUndefined();
    expect(desiredTaints({ ...node('n'), status: {} }, NOW)).toBeUndefined();
  });

  test('pods of a lost node are no longer ready', () => {
    const pods = [
      pod('here', { node: 'n' }),
      pod('not-ready', { node: 'n', ready: false }),
      pod('there', { node: 'm' }),
    ];
    expect(podsToMark(node('n', { ready: 'Unknown' }), pods).map((one) => one.metadata.name)).toEqual(['here']);
    expect(podsToMark(node('n'), pods)).toEqual([]);
  });

  test('pods leave a lost node when their patience ends: 300 s, as told, or never', () => {
    const lost = node('n', { spec: { taints: unreachable() } });
    const patient = pod('daemon', {
      node: 'n',
      spec: { tolerations: [{ key: 'node.kubernetes.io/unreachable', operator: 'Exists' }] },
    });
    const hasty = pod('hasty', {
      node: 'n',
      spec: {
        tolerations: [
          { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 },
        ],
      },
    });
    const pods = [
      patient,
      hasty,
      pod('plain', { node: 'n' }),
      pod('leaving', { node: 'n', terminating: true }),
      pod('there', { node: 'm' }),
    ];
    const evicted = (seconds: number) =>
      podsToEvict(lost, pods, Date.parse(NOW) + seconds * 1000).map((one) => one.metadata.name);
    expect(evicted(4)).toEqual([]);
    expect(evicted(5)).toEqual(['hasty']);
    expect(evicted(300)).toEqual(['hasty', 'plain']);
  });
});
