import { RESOURCES } from '../../../kube/resources.ts';
import type { Collector } from '../collector.ts';
import { archiveKinds, ownNamespaces } from '../listing.ts';

/** Services with their endpoints, and the policies that may stop their traffic. */
export const servicesCollector: Collector = {
  name: 'services',
  type: 'resources',
  collect: async (collecting) => {
    const { services, endpointSlices, networkPolicies } = RESOURCES;
    const namespaces = collecting.wishes.workloads ? {} : { namespaces: [...ownNamespaces(collecting), 'default'] };
    await archiveKinds(
      collecting,
      [services, endpointSlices, networkPolicies].map((type) => ({ type, ...namespaces })),
    );
  },
};
