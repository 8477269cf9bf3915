import { describe, expect, test } from '@jest/globals';
import type { Pod } from '../../../src/kube/objects.ts';
import { planDeployment } from '../../../src/sandbox/controllers/deployment-plan.ts';
import { planReplicaSet } from '../../../src/sandbox/controllers/replicaset-plan.ts';
import type { ReplicaSet, RollingDeployment } from '../../../src/sandbox/controllers/workload-types.ts';
import { deployment, pod, replicaSet } from './objects.ts';

const NOW = '2026-01-01T00:00:00Z';

interface World {
  readonly sets: readonly ReplicaSet[];
  readonly least: number;
  readonly most: number;
  readonly rounds: number;
}

/** Lets every pod a ReplicaSet asks for be available in the next round, until the plan is empty. */
function rollOut(wanted: RollingDeployment, from: readonly ReplicaSet[]): World {
  let sets = from;
  const totals: number[] = [];
  for (let rounds = 0; rounds < 50; rounds += 1) {
    const plan = planDeployment(wanted, sets, NOW);
    const scaled = sets.map((set) => {
      const change = plan.scale.find(({ replicaSet }) => replicaSet === set);
      return change === undefined ? set : { ...set, spec: { ...set.spec, replicas: change.replicas } };
    });
    const made = plan.create.map((set) => ({
      ...set,
      metadata: { ...set.metadata, uid: `uid-${set.metadata.name ?? ''}` },
    }));
    if (plan.create.length + plan.scale.length === 0) {
      return { sets, least: Math.min(...totals), most: Math.max(...totals), rounds };
    }
    sets = [...scaled, ...made].map((set) => {
      const replicas = set.spec.replicas ?? 0;
      return { ...set, status: { replicas, readyReplicas: replicas, availableReplicas: replicas } };
    });
    totals.push(sets.reduce((total, set) => total + (set.spec.replicas ?? 0), 0));
  }
  throw new Error('the roll-out does not end');
}

function sizes(sets: readonly ReplicaSet[]): readonly (number | undefined)[] {
  return sets.map((set) => set.spec.replicas);
}

describe('Deployment', () => {
  test('starts as one ReplicaSet that carries the template and its hash', () => {
    const [set] = planDeployment(deployment(3), [], NOW).create;
    const hash = set?.metadata.labels?.['pod-template-hash'] ?? '';
    expect(set).toMatchObject({
      metadata: {
        name: `web-${hash}`,
        annotations: { 'deployment.kubernetes.io/revision': '1' },
        ownerReferences: [{ uid: 'uid-web' }],
      },
      spec: { replicas: 3, selector: { matchLabels: { app: 'web', 'pod-template-hash': hash } } },
    });
    expect(set?.spec.template?.metadata?.labels).toEqual({ app: 'web', 'pod-template-hash': hash });
  });

  test('a new template rolls out within maxSurge and maxUnavailable', () => {
    const first = rollOut(deployment(4), []);
    const changed = deployment(4, {
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image: 'web:2' }] } },
    });
    const second = rollOut(changed, first.sets);
    expect(sizes(second.sets)).toEqual([0, 4]);
    expect([second.least, second.most].every((total) => total >= 3 && total <= 5)).toBe(true);
    expect(second.sets[1]?.metadata.annotations).toEqual({ 'deployment.kubernetes.io/revision': '2' });
  });

  test('never goes below what is available when the new pods do not come up', () => {
    const first = rollOut(deployment(4), []);
    const changed = deployment(4, {
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image: 'broken' }] } },
    });
    const plan = planDeployment(changed, first.sets, NOW);
    expect(plan.create[0]?.spec.replicas).toBe(1);
    const stuck = plan.create.map((set) => ({ ...set, status: { replicas: 1, availableReplicas: 0 } }));
    const old = first.sets.map((set) => ({
      ...set,
      spec: { ...set.spec, replicas: 3 },
      status: { replicas: 3, availableReplicas: 3 },
    }));
    const sets = [...old, ...stuck];
    expect(planDeployment(changed, sets, NOW).scale.filter(({ replicaSet }) => replicaSet === sets[0])).toEqual([]);
  });

  test('Recreate stops all old pods before the first new one', () => {
    const first = rollOut(deployment(2), []);
    const changed = deployment(2, {
      strategy: { type: 'Recreate' },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image: 'web:2' }] } },
    });
    const plan = planDeployment(changed, first.sets, NOW);
    expect(plan.create[0]?.spec.replicas).toBe(0);
    expect(plan.scale.map(({ replicas }) => replicas)).toEqual([0]);
    expect(sizes(rollOut(changed, first.sets).sets)).toEqual([0, 2]);
  });

  test('scales the newest ReplicaSet', () => {
    const first = rollOut(deployment(2), []);
    expect(sizes(rollOut(deployment(5), first.sets).sets)).toEqual([5]);
    expect(sizes(rollOut(deployment(0), first.sets).sets)).toEqual([0]);
  });

  test('says how far it is as kubectl rollout status reads it', () => {
    const { sets } = rollOut(deployment(2), []);
    const { status } = planDeployment(deployment(2), sets, NOW);
    expect(status).toMatchObject({
      observedGeneration: 2,
      replicas: 2,
      updatedReplicas: 2,
      readyReplicas: 2,
      availableReplicas: 2,
      unavailableReplicas: 0,
    });
    expect(status['conditions']).toMatchObject([
      { type: 'Available', status: 'True', reason: 'MinimumReplicasAvailable', lastTransitionTime: NOW },
      { type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable' },
    ]);
  });

  test('forgets empty ReplicaSets beyond the history limit, the oldest first', () => {
    const { sets } = rollOut(deployment(1), []);
    const old = [1, 2, 3].map((revision) => ({
      ...replicaSet(0),
      metadata: {
        ...replicaSet(0).metadata,
        name: `web-old-${revision}`,
        annotations: { 'deployment.kubernetes.io/revision': String(revision) },
        ownerReferences: sets[0]?.metadata.ownerReferences ?? [],
      },
    }));
    const plan = planDeployment(deployment(1, { revisionHistoryLimit: 1 }), [...old, ...sets], NOW);
    expect(plan.remove.map((set) => set.metadata.name)).toEqual(['web-old-1', 'web-old-2']);
  });
});

describe('ReplicaSet', () => {
  const names = (pods: readonly Pod[]) => pods.map((one) => one.metadata.name);

  test('creates what is missing and replaces ended pods', () => {
    const owner = replicaSet(3);
    const pods = [
      pod('a', { owner }),
      pod('b', { owner, phase: 'Failed' }),
      pod('c', { owner, terminating: true }),
      pod('stranger'),
    ];
    const plan = planReplicaSet(owner, pods);
    expect(plan.create).toHaveLength(2);
    expect(names(plan.remove)).toEqual(['b']);
    expect(plan.status).toMatchObject({ replicas: 1, readyReplicas: 1 });
  });

  test('removes the least useful pods first', () => {
    const owner = replicaSet(1);
    const pods = [
      pod('old', { owner, node: 'n', age: 9 }),
      pod('young', { owner, node: 'n' }),
      pod('broken', { owner, node: 'n', ready: false, age: 9 }),
      pod('waiting', { owner, age: 9 }),
    ];
    expect(names(planReplicaSet(owner, pods).remove)).toEqual(['waiting', 'broken', 'young']);
  });
});
