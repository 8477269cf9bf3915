import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import type { Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { attemptAll } from './attempts.ts';
import { deleteExactly, inNamespaceOf, writeStatus, type Controller } from './controller.ts';
import { planDaemonSet } from './daemonset-plan.ts';
import { planDeployment } from './deployment-plan.ts';
import { planReplicaSet } from './replicaset-plan.ts';

interface PodPlan {
  readonly create: readonly Pod[];
  readonly remove: readonly Pod[];
  readonly status: Readonly<Record<string, number>>;
}

/**
 * Makes the pods of one owner as planned. A plan from the cache that creates or removes is made again from a fresh
 * list: what the last round wrote may not have reached the cache yet, and a pod must not be started twice.
 */
async function syncPods(
  client: KubeClient,
  type: ResourceType,
  owner: KubeObject & { readonly status?: object },
  cached: readonly Pod[],
  plan: (pods: readonly Pod[]) => PodPlan,
): Promise<void> {
  const inNamespace = inNamespaceOf(owner);
  let planned = plan(cached);
  if (planned.create.length + planned.remove.length > 0) {
    planned = plan((await client.list<Pod>(RESOURCES.pods, inNamespace)).items);
  }
  await attemptAll([
    ...planned.create.map((pod) => () => client.create(RESOURCES.pods, pod, inNamespace)),
    ...planned.remove.map((pod) => () => deleteExactly(client, RESOURCES.pods, pod)),
    () => writeStatus(client, type, owner, planned.status),
  ]);
}

/** Keeps one pod of every DaemonSet on each node that fits. */
export const daemonSetController: Controller = {
  name: 'daemonset',
  watches: ['daemonSets', 'pods', 'nodes'],
  async reconcile({ client, stores }) {
    await attemptAll(
      stores.daemonSets
        .list()
        .map(
          (daemonSet) => () =>
            syncPods(client, RESOURCES.daemonSets, daemonSet, stores.pods.list(), (pods) =>
              planDaemonSet(daemonSet, stores.nodes.list(), pods),
            ),
        ),
    );
  },
};

/** Keeps as many pods of every ReplicaSet as it asks for. */
export const replicaSetController: Controller = {
  name: 'replicaset',
  watches: ['replicaSets', 'pods'],
  async reconcile({ client, stores }) {
    await attemptAll(
      stores.replicaSets
        .list()
        .map(
          (replicaSet) => () =>
            syncPods(client, RESOURCES.replicaSets, replicaSet, stores.pods.list(), (pods) =>
              planReplicaSet(replicaSet, pods),
            ),
        ),
    );
  },
};

/** Moves every Deployment step by step to its newest template, by the sizes of its ReplicaSets. */
export const deploymentController: Controller = {
  name: 'deployment',
  watches: ['deployments', 'replicaSets'],
  async reconcile({ client, stores, now }) {
    await attemptAll(
      stores.deployments.list().map((deployment) => async () => {
        const inNamespace = inNamespaceOf(deployment);
        const plan = planDeployment(
          deployment,
          stores.replicaSets.list(),
          new Date(now()).toISOString().replace(/\.\d+/, ''),
        );
        await attemptAll([
          ...plan.create.map((set) => () => client.create(RESOURCES.replicaSets, set, inNamespace)),
          ...plan.scale.map(
            ({ replicaSet, replicas }) =>
              () =>
                client.patch(
                  RESOURCES.replicaSets,
                  replicaSet.metadata.name ?? '',
                  { spec: { replicas } },
                  { patchType: 'merge', ...inNamespace },
                ),
          ),
          ...plan.remove.map((set) => () => deleteExactly(client, RESOURCES.replicaSets, set)),
          () => writeStatus(client, RESOURCES.deployments, deployment, plan.status),
        ]);
      }),
    );
  },
};
