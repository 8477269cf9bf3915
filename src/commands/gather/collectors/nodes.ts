import { RESOURCES } from '../../../kube/resources.ts';
import type { Collector } from '../collector.ts';
import { archiveKinds } from '../listing.ts';

/** The nodes: addresses, labels and annotations, conditions. */
export const nodesCollector: Collector = {
  name: 'nodes',
  type: 'resources',
  collect: async (collecting) => archiveKinds(collecting, [{ type: RESOURCES.nodes }]),
};
