import type { KubeClient, ResourceType } from '../../kube/client.ts';

interface ResourceList {
  readonly groupVersion: string;
  readonly resources: readonly {
    readonly name: string;
    readonly kind: string;
    readonly namespaced: boolean;
    readonly verbs: readonly string[];
  }[];
}

interface GroupList {
  readonly groups: readonly { readonly name: string; readonly preferredVersion: { readonly groupVersion: string } }[];
}

/** Every kind of object of a cluster that can be listed and deleted, each in its preferred version. */
export async function discoverResources(client: KubeClient, signal: AbortSignal): Promise<readonly ResourceType[]> {
  const { groups } = await client.request<GroupList>('GET', '/apis', undefined, signal);
  const paths = ['/api/v1', ...groups.map((group) => `/apis/${group.preferredVersion.groupVersion}`)];
  const lists = await Promise.all(
    paths.map((path) =>
      client.request<ResourceList>('GET', path, undefined, signal).catch(() => ({ groupVersion: '', resources: [] })),
    ),
  );
  return lists.flatMap(({ groupVersion, resources }) => {
    const [group = '', version] = groupVersion.includes('/') ? groupVersion.split('/') : ['', groupVersion];
    return resources
      .filter(({ name, verbs }) => !name.includes('/') && verbs.includes('list') && verbs.includes('delete'))
      .map(({ name, kind, namespaced }) => ({ group, version: version ?? '', plural: name, kind, namespaced }));
  });
}
