import { RESOURCES } from '../../../kube/resources.ts';
import type { Collector } from '../collector.ts';
import { archiveKinds, archiveObjects, ownNamespaces } from '../listing.ts';

/** What runs in our namespaces and how it is set up; of Secrets only the names of their keys. */
export const workloadsCollector: Collector = {
  name: 'workloads',
  type: 'resources',
  collect: async (collecting) => {
    const namespaces = ownNamespaces(collecting);
    const { daemonSets, deployments, configMaps, serviceAccounts } = RESOURCES;
    await archiveObjects(collecting, RESOURCES.secrets, collecting.secrets);
    await archiveKinds(collecting, [
      ...[daemonSets, deployments, configMaps, serviceAccounts].map((type) => ({ type, namespaces })),
      {
        type: RESOURCES.namespaces,
        shape: (object) => (namespaces.includes(object.metadata.name ?? '') ? object : undefined),
      },
    ]);
  },
};
