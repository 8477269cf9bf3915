import type { Node, Pod } from '../../kube/objects.ts';
import { RESOURCES, resourcePath } from '../../kube/resources.ts';
import { attemptAll } from './attempts.ts';
import { inNamespaceOf, writeStatus, type Controller, type ControllerContext } from './controller.ts';
import { conditionOf, withCondition } from './pods.ts';
import { isWaiting, planPlacements } from './scheduler-plan.ts';

async function bind({ client, logger }: ControllerContext, pod: Pod, node: string): Promise<void> {
  const at = { ...inNamespaceOf(pod), name: pod.metadata.name ?? '', subresource: 'binding' };
  await client.request('POST', resourcePath(RESOURCES.pods, at), {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name: pod.metadata.name, namespace: pod.metadata.namespace },
    target: { apiVersion: 'v1', kind: 'Node', name: node },
  });
  logger.info('pod placed', { pod: `${pod.metadata.namespace}/${pod.metadata.name}`, node });
}

async function explain({ client, now }: ControllerContext, pod: Pod, message: string): Promise<void> {
  if (conditionOf(pod.status?.conditions, 'PodScheduled')?.message === message) return;
  const time = new Date(now()).toISOString().replace(/\.\d+/, '');
  const condition = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message } as const;
  await writeStatus(client, RESOURCES.pods, pod, {
    conditions: withCondition(pod.status?.conditions, condition, time),
  });
}

/** Gives every waiting pod a node, or says on the pod why there is none. */
export const scheduler: Controller = {
  name: 'scheduler',
  watches: ['pods', 'nodes'],
  async reconcile(context) {
    const { client, stores } = context;
    if (!stores.pods.list().some(isWaiting)) return;
    const [pods, nodes] = await Promise.all([client.list<Pod>(RESOURCES.pods), client.list<Node>(RESOURCES.nodes)]);
    await attemptAll(
      planPlacements(pods.items, nodes.items).map(
        (placement) => () =>
          'node' in placement
            ? bind(context, placement.pod, placement.node)
            : explain(context, placement.pod, placement.reason),
      ),
    );
  },
};
