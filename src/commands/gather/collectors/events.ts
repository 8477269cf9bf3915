import { RESOURCES } from '../../../kube/resources.ts';
import type { Collector } from '../collector.ts';
import { archiveKinds, ownNamespaces } from '../listing.ts';

/** Recent events of our namespaces, and of nodes (which are in `default`); an API server keeps them for about an hour. */
export const eventsCollector: Collector = {
  name: 'events',
  type: 'resources',
  collect: async (collecting) =>
    archiveKinds(collecting, [{ type: RESOURCES.events, namespaces: [...ownNamespaces(collecting), 'default'] }]),
};
