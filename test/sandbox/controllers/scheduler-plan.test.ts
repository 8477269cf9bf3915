import { describe, expect, test } from '@jest/globals';
import { planPlacements } from '../../../src/sandbox/controllers/scheduler-plan.ts';
import { node, pod, replicaSet } from './objects.ts';

const nodes = [node('n-1'), node('n-2'), node('n-3')];

/** Pod to node, or to the reason. */
function placements(...args: Parameters<typeof planPlacements>): Record<string, string> {
  return Object.fromEntries(
    planPlacements(...args).map((placement) => [
      placement.pod.metadata.name ?? '',
      'node' in placement ? placement.node : placement.reason,
    ]),
  );
}

describe('scheduler', () => {
  test('spreads the pods of one owner over the nodes, beside what runs there already', () => {
    const owner = replicaSet(3);
    const placed = [pod('old', { owner, node: 'n-1' }), pod('other', { node: 'n-2' })];
    expect(placements([...placed, pod('a', { owner }), pod('b', { owner }), pod('c', { owner })], nodes)).toEqual({
      a: 'n-3',
      b: 'n-2',
      c: 'n-1',
    });
  });

  test('follows nodeSelector and required node affinity', () => {
    const bySelector = pod('a', { spec: { nodeSelector: { 'kubernetes.io/hostname': 'n-2' } } });
    const terms = [
      { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'NotIn', values: ['n-1', 'n-2'] }] },
    ];
    const affinity = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } };
    expect(placements([bySelector, pod('b', { spec: { affinity } })], nodes)).toEqual({ a: 'n-2', b: 'n-3' });
  });

  test('keeps off cordoned and tainted nodes unless the pod tolerates them', () => {
    const tainted = node('n-1', { spec: { taints: [{ key: 'gpu', value: 'yes', effect: 'NoSchedule' }] } });
    const cordoned = node('n-2', { spec: { unschedulable: true } });
    const tolerant = pod('b', { spec: { tolerations: [{ key: 'gpu', operator: 'Equal', value: 'yes' }] } });
    expect(placements([pod('a'), tolerant], [tainted, cordoned])).toEqual({
      a: '0/2 nodes are available: 1 node(s) had untolerated taint {gpu: yes}, 1 node(s) had untolerated taint {node.kubernetes.io/unschedulable: }.',
      b: 'n-1',
    });
  });

  test('passes over a node that has not reported yet', () => {
    expect(placements([pod('a')], [{ ...node('n-1'), status: {} }, node('n-2')])).toEqual({ a: 'n-2' });
  });

  test('leaves placed, ended and deleted pods alone', () => {
    const pods = [pod('a', { node: 'n-1' }), pod('b', { phase: 'Failed' }), pod('c', { terminating: true })];
    expect(planPlacements(pods, nodes)).toEqual([]);
  });

  test('says when there is no node at all', () => {
    expect(placements([pod('a')], [])).toEqual({ a: '0/0 nodes are available.' });
  });
});
