import { type Obj } from './json.ts';
import { type Registry, type ResourceType, groupVersion } from './registry.ts';

/** The kind a subresource is answered with when that is not the parent's. */
const KINDS: Readonly<Record<string, Obj>> = {
  scale: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
  eviction: { group: 'policy', version: 'v1', kind: 'Eviction' },
  token: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' },
  binding: { kind: 'Binding' },
  attach: { kind: 'PodAttachOptions' },
  exec: { kind: 'PodExecOptions' },
  portforward: { kind: 'PodPortForwardOptions' },
  proxy: { kind: 'PodProxyOptions' },
};

const optional = ({ shortNames, categories }: ResourceType): Obj =>
  Object.fromEntries(Object.entries({ shortNames, categories }).filter(([, value]) => value.length > 0));

function describe(type: ResourceType): Obj[] {
  const { plural, singular, namespaced, kind, verbs, subresources } = type;
  const self = { name: plural, singularName: singular, namespaced, kind, verbs, ...optional(type) };
  const parts = [...subresources].map(([sub, subVerbs]) => ({
    name: `${plural}/${sub}`,
    singularName: '',
    namespaced,
    kind,
    ...KINDS[sub],
    verbs: subVerbs,
  }));
  return [self, ...parts];
}

function aggregate(type: ResourceType): Obj {
  const { plural, singular, namespaced, kind, verbs } = type;
  const responseKind = { group: '', version: '', kind };
  const scope = namespaced ? 'Namespaced' : 'Cluster';
  const parts = [...type.subresources].map(([subresource, subVerbs]) => ({
    subresource,
    responseKind: { ...responseKind, ...KINDS[subresource] },
    verbs: subVerbs,
  }));
  const subresources = parts.length === 0 ? {} : { subresources: parts };
  return {
    resource: plural,
    responseKind,
    scope,
    singularResource: singular,
    verbs,
    ...optional(type),
    ...subresources,
  };
}

/** The aggregated discovery document of the core group or of all others. */
export function discoverAll(registry: Registry, core: boolean): Obj {
  const items = [...registry.groups()]
    .filter(([group]) => (group === '') === core)
    .map(([name, versions]) => ({
      metadata: core ? {} : { name },
      versions: versions.map((version) => ({
        version,
        resources: registry.of(name, version).map(aggregate),
        freshness: 'Current',
      })),
    }));
  return { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items };
}

function groupOf(name: string, versions: readonly string[]): Obj {
  const all = versions.map((version) => ({ groupVersion: groupVersion(name, version), version }));
  return { name, versions: all, preferredVersion: all[0] };
}

/** The discovery document at /api, /apis or below (path split at slashes), undefined when there is none. */
export function discover(registry: Registry, [root, ...rest]: readonly string[], host: string): Obj | undefined {
  const serverAddressByClientCIDRs = [{ clientCIDR: '0.0.0.0/0', serverAddress: host }];
  if (root === 'api' && rest.length === 0) return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs };
  if (root === 'api') return discoverGroup(registry, ['', ...rest]);
  return root === 'apis' ? discoverGroup(registry, rest) : undefined;
}

function discoverGroup(registry: Registry, [group, version]: readonly string[]): Obj | undefined {
  const groups = registry.groups();
  const named = [...groups].filter(([name]) => name !== '').map(([name, versions]) => groupOf(name, versions));
  if (group === undefined) return { kind: 'APIGroupList', apiVersion: 'v1', groups: named };
  const versions = groups.get(group) ?? [];
  const found = version === undefined ? versions.length > 0 : versions.includes(version);
  if (!found) return undefined;
  if (version === undefined) return { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(group, versions) };
  const head = { kind: 'APIResourceList', ...(group === '' ? {} : { apiVersion: 'v1' }) };
  const resources = registry.of(group, version).flatMap(describe);
  return { ...head, groupVersion: groupVersion(group, version), resources };
}
