import type { KubeClient } from '../../kube/client.ts';
import { combineSources, type DiscoveredNetwork } from './combine.ts';
import { fetchClusterObjects } from './fetch.ts';

export type { DiscoveredNetwork } from './combine.ts';
export type { FoundCidr } from './objects.ts';

/** Pod and service CIDRs of a cluster with the source of each; empty lists where nothing could be found. */
export async function discoverNetwork(client: KubeClient): Promise<DiscoveredNetwork> {
  return combineSources(await fetchClusterObjects(client));
}
