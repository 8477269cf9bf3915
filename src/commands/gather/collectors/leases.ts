import { RESOURCES } from '../../../kube/resources.ts';
import type { Collector } from '../collector.ts';
import { archiveKinds, ownNamespaces } from '../listing.ts';

/** Who leads. */
export const leasesCollector: Collector = {
  name: 'leases',
  type: 'resources',
  collect: async (collecting) =>
    archiveKinds(collecting, [{ type: RESOURCES.leases, namespaces: ownNamespaces(collecting) }]),
};
