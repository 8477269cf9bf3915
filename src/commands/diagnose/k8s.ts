import type { Node } from '../../kube/objects.ts';
import { requireKubernetes } from '../join/localcluster.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { failedIf, ok, warningIf, type Check, type Finding } from './check.ts';
import { isReadyNode } from './cluster.ts';

function notReady(node: Node): readonly Finding[] {
  if (isReadyNode(node)) return [];
  const condition = node.status?.conditions?.find(({ type }) => type === 'Ready');
  const why = condition?.message ?? condition?.reason ?? 'it has not reported';
  return [{ object: `node ${node.metadata.name}`, reason: `not ready: ${why}` }];
}

/** Kubernetes itself. */
export const K8S_CHECKS: readonly Check[] = [
  {
    category: 'k8s',
    name: 'version',
    title: 'Kubernetes is new enough',
    hint: 'Upgrade the cluster to Kubernetes 1.21 or newer.',
    joinedOnly: false,
    run: async ({ cluster }) => {
      const { gitVersion } = await cluster.facts.version();
      try {
        requireKubernetes(gitVersion);
        return ok(gitVersion);
      } catch (error) {
        if (!(error instanceof ExpectedError)) throw error;
        return failedIf([{ object: `cluster ${cluster.clusterId}`, reason: error.message }]);
      }
    },
  },
  {
    category: 'k8s',
    name: 'nodes',
    title: 'All nodes are ready',
    hint: 'kubectl describe nodes shows why; nothing is known of the network of a node that is not ready.',
    joinedOnly: false,
    run: async ({ cluster }) => {
      const nodes = await cluster.facts.nodes();
      return warningIf(nodes.flatMap(notReady), `${nodes.length} nodes`);
    },
  },
];
