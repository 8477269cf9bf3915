import { describe, expect, test } from '@jest/globals';
import type { DaemonSet, Pod } from '../../../src/kube/objects.ts';
import { REVISION_LABEL, planDaemonSet, type DaemonSetPlan } from '../../../src/sandbox/controllers/daemonset-plan.ts';
import { daemonSet, node, pod } from './objects.ts';

const nodes = [node('n-1'), node('n-2'), node('n-3')];

function names(pods: readonly Pod[]): readonly (string | undefined)[] {
  return pods.map((one) => one.metadata.name);
}

/** The pods a plan creates, as the API server would return them. */
function created(plan: DaemonSetPlan, ready = true): readonly Pod[] {
  return plan.create.map((one) => {
    const made = pod(`agent-${one.spec.nodeName ?? ''}`, { ready, node: one.spec.nodeName ?? '' });
    return {
      ...made,
      metadata: {
        ...made.metadata,
        labels: one.metadata.labels ?? {},
        ownerReferences: one.metadata.ownerReferences ?? [],
      },
    };
  });
}

function running(set: DaemonSet): readonly Pod[] {
  return created(planDaemonSet(set, nodes, []));
}

describe('DaemonSet', () => {
  test('wants one pod on every node, with the labels of the template, owned by it', () => {
    const plan = planDaemonSet(daemonSet(), nodes, []);
    expect(plan.create.map((one) => one.spec.nodeName)).toEqual(['n-1', 'n-2', 'n-3']);
    expect(plan.create[0]?.metadata).toMatchObject({
      generateName: 'agent-',
      namespace: 'default',
      labels: { app: 'agent' },
      ownerReferences: [{ kind: 'DaemonSet', name: 'agent', uid: 'uid-agent', controller: true }],
    });
    expect(plan.status).toMatchObject({
      desiredNumberScheduled: 3,
      currentNumberScheduled: 0,
      numberReady: 0,
      numberUnavailable: 3,
      observedGeneration: 3,
    });
  });

  test('is content once they run', () => {
    const set = daemonSet();
    const plan = planDaemonSet(set, nodes, running(set));
    expect([plan.create, plan.remove]).toEqual([[], []]);
    expect(plan.status).toMatchObject({
      desiredNumberScheduled: 3,
      currentNumberScheduled: 3,
      updatedNumberScheduled: 3,
      numberReady: 3,
      numberUnavailable: 0,
    });
  });

  test('follows the labels of nodes in both directions', () => {
    const set = daemonSet({
      template: { metadata: { labels: { app: 'agent' } }, spec: { nodeSelector: { gateway: 'true' }, containers: [] } },
    });
    const labelled = node('n-2', { labels: { gateway: 'true' } });
    const first = planDaemonSet(set, [node('n-1'), labelled], []);
    expect(first.create.map((one) => one.spec.nodeName)).toEqual(['n-2']);
    const later = planDaemonSet(set, [node('n-1'), node('n-2')], created(first));
    expect(names(later.remove)).toEqual(['agent-n-2']);
    expect(later.status).toMatchObject({ desiredNumberScheduled: 0, numberMisscheduled: 1 });
  });

  test('stays on lost and cordoned nodes, and starts there too', () => {
    const lost = node('n-1', {
      ready: 'Unknown',
      spec: { taints: [{ key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }] },
    });
    const cordoned = node('n-2', { spec: { unschedulable: true } });
    expect(planDaemonSet(daemonSet(), [lost, cordoned], []).create).toHaveLength(2);
  });

  test('a taint against scheduling keeps new pods off but drives none out', () => {
    const set = daemonSet();
    const tainted = node('n-1', { spec: { taints: [{ key: 'x', effect: 'NoSchedule' }] } });
    expect(planDaemonSet(set, [tainted], []).create).toEqual([]);
    expect(planDaemonSet(set, [tainted], running(set).slice(0, 1)).remove).toEqual([]);
    const expelling = node('n-1', { spec: { taints: [{ key: 'x', effect: 'NoExecute' }] } });
    expect(planDaemonSet(set, [expelling], running(set).slice(0, 1)).remove).toHaveLength(1);
  });

  test('waits for a pod that is on its way out before it starts another', () => {
    const set = daemonSet();
    const leaving = running(set).map((one) => ({
      ...one,
      metadata: { ...one.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
    }));
    expect(planDaemonSet(set, nodes, leaving)).toMatchObject({ create: [], remove: [] });
  });

  test('removes ended pods and duplicates, the oldest stays', () => {
    const set = daemonSet();
    const labels = {
      [REVISION_LABEL]: planDaemonSet(set, nodes, []).create[0]?.metadata.labels?.[REVISION_LABEL] ?? '',
    };
    const pods = [
      pod('young', { owner: set, node: 'n-1', labels }),
      pod('old', { owner: set, node: 'n-1', labels, age: 60 }),
      pod('failed', { owner: set, node: 'n-2', labels, phase: 'Failed' }),
    ];
    const plan = planDaemonSet(set, [node('n-1')], pods);
    expect(new Set(names(plan.remove))).toEqual(new Set(['failed', 'young']));
    expect(plan.create).toEqual([]);
  });

  test('a new template replaces one pod after the other, broken ones at once', () => {
    const before = running(daemonSet());
    const set = daemonSet({
      template: { metadata: { labels: { app: 'agent' } }, spec: { containers: [{ name: 'agent', image: 'agent:2' }] } },
    });
    expect(names(planDaemonSet(set, nodes, before).remove)).toEqual(['agent-n-1']);
    const twoBroken = before.map((one, index) =>
      index === 0 ? one : { ...one, status: { phase: 'Running', conditions: [] } },
    );
    expect(names(planDaemonSet(set, nodes, twoBroken).remove)).toEqual(['agent-n-2', 'agent-n-3']);
    expect(planDaemonSet(set, nodes, before).status).toMatchObject({ updatedNumberScheduled: 0, numberReady: 3 });
  });

  test('maxUnavailable may be a share, OnDelete waits for the operator', () => {
    const template = {
      metadata: { labels: { app: 'agent' } },
      spec: { containers: [{ name: 'agent', image: 'agent:2' }] },
    };
    const before = running(daemonSet());
    const fast = daemonSet({
      template,
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '60%' } },
    });
    expect(planDaemonSet(fast, nodes, before).remove).toHaveLength(2);
    expect(planDaemonSet(daemonSet({ template, updateStrategy: { type: 'OnDelete' } }), nodes, before).remove).toEqual(
      [],
    );
  });

  test('does nothing any more once it is deleted', () => {
    const set = daemonSet();
    const deleted = { ...set, metadata: { ...set.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
    expect(planDaemonSet(deleted, nodes, [])).toMatchObject({ create: [], remove: [] });
  });
});
