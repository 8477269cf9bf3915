import { isNotFound } from './errors.ts';
import type { KubeClient, ResourceType } from './client.ts';
import type { EndpointSlice } from './objects.ts';
import { RESOURCES } from './resources.ts';

type Endpoint = EndpointSlice['endpoints'][number];

/** An endpoint as discovery.k8s.io/v1beta1 has it: the node is one of several keys. */
export interface OlderEndpoint extends Endpoint {
  readonly topology?: Readonly<Record<string, string>>;
}

/** Key of v1beta1's topology with the name of the node. */
export const TOPOLOGY_NODE = 'kubernetes.io/hostname';

/** The version in which the server has EndpointSlices: v1, or v1beta1 before Kubernetes 1.21. */
export async function endpointSliceType(client: KubeClient): Promise<ResourceType> {
  const { endpointSlices, olderEndpointSlices } = RESOURCES;
  try {
    await client.request('GET', `/apis/${endpointSlices.group}/${endpointSlices.version}`);
    return endpointSlices;
  } catch (error) {
    if (isNotFound(error)) return olderEndpointSlices;
    throw error;
  }
}

function withNodeName(endpoint: OlderEndpoint): Endpoint {
  const nodeName = endpoint.nodeName ?? endpoint.topology?.[TOPOLOGY_NODE];
  return nodeName === undefined ? endpoint : { ...endpoint, nodeName };
}

/** The EndpointSlices of a namespace as v1 has them, whichever version the server knows. */
export async function listEndpointSlices(client: KubeClient, namespace: string): Promise<readonly EndpointSlice[]> {
  const list = async (type: ResourceType): Promise<readonly EndpointSlice[]> =>
    (await client.list<EndpointSlice>(type, { namespace })).items;
  const found = await list(RESOURCES.endpointSlices).catch((error: unknown) => {
    if (isNotFound(error)) return list(RESOURCES.olderEndpointSlices);
    throw error;
  });
  // The list is null on the wire when there is no endpoint.
  return found.map((slice) => ({ ...slice, endpoints: (slice.endpoints ?? []).map(withNodeName) }));
}
