import { type Obj } from './json.ts';
import { type Registry, type ResourceType, SUBRESOURCE_KINDS, groupVersion } from './registry.ts';

const named = (values: Readonly<Record<string, readonly string[]>>): Obj =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value.length > 0));

function describe(type: ResourceType): Obj[] {
  const { plural, singular, namespaced, kind, verbs, shortNames, categories } = type;
  const self = { name: plural, singularName: singular, namespaced, kind, verbs, ...named({ shortNames, categories }) };
  const parts = [...type.subresources].map(([sub, subVerbs]) => {
    const [group = '', version = '', subKind = kind] = SUBRESOURCE_KINDS[sub] ?? [];
    const own = version === '' ? {} : { group, version };
    return { name: `${plural}/${sub}`, singularName: '', namespaced, ...own, kind: subKind, verbs: subVerbs };
  });
  return [self, ...parts];
}

function aggregate(type: ResourceType): Obj {
  const { plural, singular, namespaced, kind, verbs, shortNames, categories } = type;
  const subresources = [...type.subresources].map(([subresource, subVerbs]) => {
    const [group = '', version = '', subKind = kind] = SUBRESOURCE_KINDS[subresource] ?? [];
    return { subresource, responseKind: { group, version, kind: subKind }, verbs: subVerbs };
  });
  return {
    resource: plural,
    responseKind: { group: '', version: '', kind },
    scope: namespaced ? 'Namespaced' : 'Cluster',
    singularResource: singular,
    verbs,
    ...named({ shortNames, categories }),
    ...(subresources.length === 0 ? {} : { subresources }),
  };
}

function aggregated(registry: Registry, core: boolean): Obj {
  const groups = [...registry.groups()].filter(([group]) => (group === '') === core);
  const items = groups.map(([group, versions]) => ({
    metadata: core ? {} : { name: group },
    versions: versions.map((version) => ({
      version,
      resources: registry.of(group, version).map(aggregate),
      freshness: 'Current',
    })),
  }));
  return { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items };
}

function groupOf(name: string, versions: readonly string[]): Obj {
  const all = versions.map((version) => ({ groupVersion: groupVersion(name, version), version }));
  return { name, versions: all, preferredVersion: all[0] };
}

/** The discovery document at a path below /api or /apis, undefined when there is none. */
export function discover(
  registry: Registry,
  parts: readonly string[],
  wantsAggregated: boolean,
  host: string,
): Obj | undefined {
  const [root, first, second] = parts;
  if (first === undefined && wantsAggregated) return aggregated(registry, root === 'api');
  const groups = registry.groups();
  if (root === 'api' && first === undefined)
    return {
      kind: 'APIVersions',
      versions: ['v1'],
      serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: host }],
    };
  if (first === undefined) {
    const named = [...groups].filter(([name]) => name !== '').map(([name, versions]) => groupOf(name, versions));
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: named };
  }
  const [group, version] = root === 'api' ? ['', first] : [first, second];
  const versions = groups.get(group);
  if (versions === undefined) return undefined;
  if (version === undefined) return { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(group, versions) };
  if (!versions.includes(version)) return undefined;
  const head = group === '' ? { kind: 'APIResourceList' } : { kind: 'APIResourceList', apiVersion: 'v1' };
  return {
    ...head,
    groupVersion: groupVersion(group, version),
    resources: registry.of(group, version).flatMap(describe),
  };
}
