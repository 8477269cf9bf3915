import type { KubeObject } from '../../../kube/client.ts';
import { RESOURCES } from '../../../kube/resources.ts';
import type { Collector } from '../collector.ts';
import { archiveKinds, ownNamespaces } from '../listing.ts';

function ours(object: KubeObject): KubeObject | undefined {
  return object.metadata.name?.startsWith('submariner') === true ? object : undefined;
}

/** Who may do what: roles of our namespaces, and those of the whole cluster that are ours. */
export const rbacCollector: Collector = {
  name: 'rbac',
  type: 'resources',
  collect: async (collecting) => {
    const namespaces = ownNamespaces(collecting);
    const { roles, roleBindings, clusterRoles, clusterRoleBindings } = RESOURCES;
    await archiveKinds(collecting, [
      ...[roles, roleBindings].map((type) => ({ type, namespaces })),
      ...[clusterRoles, clusterRoleBindings].map((type) => ({ type, shape: ours })),
    ]);
  },
};
