import type { KubeClient } from '../kube/client.ts';
import type { Namespace } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import type { CommandRun } from './context.ts';

/** A cluster as a context of the kubeconfig names it. */
interface Named {
  readonly name: string;
}

/** What makes a cluster this cluster, as far as it may be read: the uid of namespace kube-system, or else the server's address. */
export async function clusterUid(client: KubeClient): Promise<string> {
  const found = await client.get<Namespace>(RESOURCES.namespaces, 'kube-system').catch(() => undefined);
  return found?.metadata.uid ?? client.server;
}

/** Of contexts of one cluster only the first; the others are said. `idOf` gives what makes a cluster this cluster. */
export async function distinctClusters<T extends Named>(
  run: CommandRun,
  clusters: readonly T[],
  { idOf, once }: { readonly idOf: (cluster: T) => Promise<string>; readonly once: string },
): Promise<readonly T[]> {
  const ids = await Promise.all(clusters.map(idOf));
  const seen = new Map<string, T>();
  for (const [index, cluster] of clusters.entries()) {
    const id = ids[index] ?? '';
    const before = seen.get(id);
    if (before === undefined) seen.set(id, cluster);
    else run.reporter.warn(`contexts ${before.name} and ${cluster.name} are the same cluster; it is ${once} once`);
  }
  return [...seen.values()];
}
