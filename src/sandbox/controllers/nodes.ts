import type { Node, Pod } from '../../kube/objects.ts';
import { RESOURCES, resourcePath } from '../../kube/resources.ts';
import { attemptAll } from './attempts.ts';
import { deleteExactly, inNamespaceOf, writeStatus, type Controller, type ControllerContext } from './controller.ts';
import { desiredTaints, lastHeardMs, lostConditions, podsToEvict, podsToMark } from './node-plan.ts';
import { isTerminating, withCondition } from './pods.ts';

function markNotReady({ client }: ControllerContext, pod: Pod, now: string): Promise<void> {
  const conditions = withCondition(
    pod.status?.conditions,
    { type: 'Ready', status: 'False', reason: 'NodeNotReady' },
    now,
  );
  return writeStatus(client, RESOURCES.pods, pod, { conditions });
}

async function judgeNode(context: ControllerContext, node: Node): Promise<void> {
  const { client, stores, logger, nodeGraceMs } = context;
  const nowMs = context.now();
  const now = new Date(nowMs).toISOString().replace(/\.\d+/, '');
  const name = node.metadata.name ?? '';
  const silentMs = nowMs - lastHeardMs(node, stores.nodeLeases.get(name, 'kube-node-lease'));
  const lost = silentMs > nodeGraceMs ? lostConditions(node, now) : undefined;
  if (lost !== undefined) {
    logger.info('node lost', { node: name, silentMs });
    await client.patch(
      RESOURCES.nodes,
      name,
      { status: { conditions: lost } },
      { patchType: 'merge', subresource: 'status' },
    );
    return;
  }
  const taints = desiredTaints(node, now);
  const pods = stores.pods.list();
  await attemptAll([
    ...(taints === undefined
      ? []
      : [() => client.patch(RESOURCES.nodes, name, { spec: { taints } }, { patchType: 'merge' })]),
    ...podsToMark(node, pods).map((pod) => () => markNotReady(context, pod, now)),
    ...podsToEvict(node, pods, nowMs).map((pod) => () => deleteExactly(client, RESOURCES.pods, pod)),
  ]);
}

/** Says when a node is lost, taints it, marks its pods not ready and removes those that do not tolerate it. */
export const nodeLifecycleController: Controller = {
  name: 'nodelifecycle',
  watches: ['nodes', 'pods', 'nodeLeases'],
  resyncMs: 1000,
  async reconcile(context) {
    await attemptAll(context.stores.nodes.list().map((node) => () => judgeNode(context, node)));
  },
};

async function removeForGood({ client, logger }: ControllerContext, pod: Pod, reason: string): Promise<void> {
  logger.info('pod removed', { pod: `${pod.metadata.namespace}/${pod.metadata.name}`, reason });
  const path = resourcePath(RESOURCES.pods, { ...inNamespaceOf(pod), name: pod.metadata.name ?? '' });
  await client.request('DELETE', path, {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    gracePeriodSeconds: 0,
    preconditions: { uid: pod.metadata.uid },
  });
}

/** Removes pods nobody will: those of nodes that are gone, and those deleted before they got a node. */
export const podGarbageController: Controller = {
  name: 'podgarbage',
  watches: ['pods', 'nodes'],
  async reconcile(context) {
    const { client, stores } = context;
    const homeless = stores.pods
      .list()
      .filter((pod) => (pod.spec.nodeName ?? '') !== '' && stores.nodes.get(pod.spec.nodeName ?? '') === undefined);
    const unplaced = stores.pods.list().filter((pod) => (pod.spec.nodeName ?? '') === '' && isTerminating(pod));
    await attemptAll([
      ...unplaced.map((pod) => () => removeForGood(context, pod, 'deleted before it had a node')),
      ...homeless.map((pod) => async () => {
        const node = await client.find(RESOURCES.nodes, pod.spec.nodeName ?? '');
        if (node === undefined) await removeForGood(context, pod, 'its node is gone');
      }),
    ]);
  },
};
