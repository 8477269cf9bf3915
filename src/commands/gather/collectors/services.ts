import { RESOURCES } from '../../../kube/resources.ts';
import type { Collector } from '../collector.ts';
import { archiveKinds, ownNamespaces } from '../listing.ts';

/** Services with their endpoints, and the policies that may stop their traffic. */
export const servicesCollector: Collector = {
  name: 'services',
  type: 'resources',
  collect: async (collecting) => {
    const { services, endpointSlices, olderEndpointSlices, networkPolicies } = RESOURCES;
    const namespaces = collecting.wishes.workloads ? {} : { namespaces: [...ownNamespaces(collecting), 'default'] };
    await archiveKinds(
      collecting,
      [{ type: services }, { type: endpointSlices, older: olderEndpointSlices }, { type: networkPolicies }].map(
        (kind) => ({
          ...kind,
          ...namespaces,
        }),
      ),
    );
  },
};
