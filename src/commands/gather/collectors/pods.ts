import type { KubeObject } from '../../../kube/client.ts';
import type { Pod } from '../../../kube/objects.ts';
import { RESOURCES } from '../../../kube/resources.ts';
import type { Collecting, Collector } from '../collector.ts';
import { archiveKinds, ownNamespaces } from '../listing.ts';

/** Of other people's pods only what is needed to follow a packet: where they run and under which address. */
function reduced({ apiVersion, kind, metadata, spec, status }: Pod): KubeObject {
  const { name, namespace, labels, uid } = metadata;
  const { nodeName, hostNetwork } = spec;
  const { phase, podIP, podIPs, hostIP, conditions } = status ?? {};
  const kept = {
    apiVersion,
    kind,
    metadata: { name, namespace, labels, uid },
    spec: { nodeName, hostNetwork, containers: [] },
    status: { phase, podIP, podIPs, hostIP, conditions },
  };
  return JSON.parse(JSON.stringify(kept)) as KubeObject;
}

function shapeFor(collecting: Collecting): (object: KubeObject) => KubeObject | undefined {
  const own = ownNamespaces(collecting);
  return (object) => {
    if (own.includes(object.metadata.namespace ?? '')) return object;
    return collecting.wishes.workloads ? reduced(object as Pod) : undefined;
  };
}

/** Pods: ours whole, of the others name, node, addresses and state. */
export const podsCollector: Collector = {
  name: 'pods',
  type: 'resources',
  collect: async (collecting) => {
    const namespaces = collecting.wishes.workloads ? {} : { namespaces: ownNamespaces(collecting) };
    await archiveKinds(collecting, [{ type: RESOURCES.pods, shape: shapeFor(collecting), ...namespaces }]);
  },
};
