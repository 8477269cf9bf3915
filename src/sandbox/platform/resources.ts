import type { KubeClient, ResourceType } from '../../kube/client.ts';
import { isNotFound } from '../../kube/errors.ts';

interface ResourceList {
  readonly groupVersion: string;
  readonly resources: readonly {
    readonly name: string;
    readonly kind: string;
    readonly namespaced: boolean;
    readonly verbs: readonly string[];
  }[];
}

interface GroupVersion {
  readonly groupVersion: string;
}

interface GroupList {
  readonly groups: readonly {
    readonly name: string;
    readonly preferredVersion: GroupVersion;
    readonly versions: readonly GroupVersion[];
  }[];
}

/** Every kind of object of a cluster that can be listed and deleted, each in one version: its group's preferred one if it is there. Rejects when any of it cannot be read, so that a kind is not taken for gone. */
export async function discoverResources(client: KubeClient, signal: AbortSignal): Promise<readonly ResourceType[]> {
  const { groups } = await client.request<GroupList>('GET', '/apis', undefined, signal);
  const versions = groups.flatMap(({ preferredVersion, versions: all }) => {
    const others = all.filter(({ groupVersion }) => groupVersion !== preferredVersion.groupVersion);
    return [preferredVersion, ...others].map(({ groupVersion }) => `/apis/${groupVersion}`);
  });
  const lists = await Promise.all(
    ['/api/v1', ...versions].map((path) =>
      client.request<ResourceList>('GET', path, undefined, signal).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
        return { groupVersion: '', resources: [] };
      }),
    ),
  );
  const found = new Map<string, ResourceType>();
  for (const type of lists.flatMap(resourceTypes)) {
    const key = `${type.plural}.${type.group}`;
    if (!found.has(key)) found.set(key, type);
  }
  return [...found.values()];
}

function resourceTypes({ groupVersion, resources }: ResourceList): readonly ResourceType[] {
  const [group = '', version] = groupVersion.includes('/') ? groupVersion.split('/') : ['', groupVersion];
  return resources
    .filter(({ name, verbs }) => !name.includes('/') && verbs.includes('list') && verbs.includes('delete'))
    .map(({ name, kind, namespaced }) => ({ group, version: version ?? '', plural: name, kind, namespaced }));
}
