import { RESOURCES } from '../../../kube/resources.ts';
import type { CustomResourceDefinition } from '../../../kube/objects.ts';
import type { Collector } from '../collector.ts';
import { archiveKinds } from '../listing.ts';

const GROUPS: ReadonlySet<string> = new Set(['submariner.io', 'multicluster.x-k8s.io']);

/** The definitions of the custom resources we use. */
export const crdsCollector: Collector = {
  name: 'crds',
  type: 'resources',
  collect: async (collecting) =>
    archiveKinds(collecting, [
      {
        type: RESOURCES.crds,
        shape: (object) => (GROUPS.has((object as CustomResourceDefinition).spec.group) ? object : undefined),
      },
    ]),
};
