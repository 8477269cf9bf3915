import { obj, type Obj, objs, text } from '../../kube/json.ts';
import kinds from './kinds.json' with { type: 'json' };
import { type Schema } from './schema.ts';

/** One served resource in one version. Objects are stored in storageVersion, another one only for CRDs. */
export type ResourceType = Readonly<
  Record<'group' | 'version' | 'storageVersion' | 'plural' | 'singular' | 'kind', string> &
    Record<'shortNames' | 'categories' | 'verbs', readonly string[]>
> & {
  readonly namespaced: boolean;
  /** Verbs by subresource. */
  readonly subresources: ReadonlyMap<string, readonly string[]>;
  /** Name of the table; the versions of a resource share it. */
  readonly table: string;
  readonly schema: Schema;
  /** metadata.generation counts changes. */
  readonly counted: boolean;
  /** DELETE answers with the object. */
  readonly returned: boolean;
  /** A PUT needs a resourceVersion. */
  readonly conditional: boolean;
  /** A PUT of a missing object creates it. */
  readonly putCreates: boolean;
  /** The version entry of the CRD; undefined for built-in resources. */
  readonly custom?: Obj;
};

const VERBS = 'create delete deletecollection get list patch update watch'.split(' ');
const CUSTOM_VERBS = 'delete deletecollection get list patch create update watch'.split(' ');
type Definition = Schema & { readonly $ref?: string };
const DEFINITIONS = kinds.schemas as unknown as Readonly<Record<string, Definition>>;
type Builtin = Omit<ResourceType, 'subresources'> & { readonly subresources?: Readonly<Record<string, string[]>> };

/** A schema of kinds.json with the schemas it refers to in place. */
function expand({ $ref = '', ...own }: Definition): Schema {
  const schema: Schema = $ref === '' ? own : { ...expand(DEFINITIONS[$ref] ?? {}), ...own };
  const { properties, items, additionalProperties: open } = own;
  if (properties !== undefined)
    schema.properties = Object.fromEntries(Object.entries(properties).map(([key, each]) => [key, expand(each)]));
  if (items !== undefined) schema.items = expand(items);
  return typeof open === 'object' ? { ...schema, additionalProperties: expand(open) } : schema;
}

const META_SCHEMA = expand({ $ref: 'ObjectMeta' });
const withMeta = (schema: Schema): Schema => {
  const head = { apiVersion: { type: 'string' }, kind: { type: 'string' }, metadata: META_SCHEMA };
  return { ...schema, properties: { ...schema.properties, ...head } };
};

/** The schema of a built-in kind. */
export const schemaOf = (kind: string): Schema => withMeta(expand({ $ref: kind }));

/** apiVersion of a group and version. */
export const groupVersion = (group: string, version: string): string =>
  group === '' ? version : `${group}/${version}`;

/** Groups that exist although nothing of them is served. */
const EMPTY_GROUPS = ['policy/v1', 'events.k8s.io/v1'];

/** The resources that are served at this moment. */
export class Registry {
  readonly #types = new Map<string, ResourceType>();

  constructor() {
    for (const each of kinds.resources as unknown as readonly Builtin[]) this.#add(this.#builtin(each));
  }

  find(group: string, version: string, plural: string): ResourceType | undefined {
    return this.#types.get(`${groupVersion(group, version)}/${plural}`);
  }

  /** Any served version of the resource kept in a table, undefined when nothing of it is served. */
  byTable(table: string): ResourceType | undefined {
    return this.#all().find((type) => type.table === table);
  }

  /** Versions of each group, the preferred one first. */
  groups(): Map<string, string[]> {
    const served = this.#all().map((type) => groupVersion(type.group, type.version));
    const split = [...served, ...EMPTY_GROUPS].map((each) => each.split('/').reverse());
    const groups = Map.groupBy(split, ([, group = '']) => group);
    const versions = (found: string[][]): string[] =>
      [...new Set(found.map(([version = '']) => version))].sort(byPriority);
    return new Map([...groups].map(([group, found]) => [group, versions(found)]));
  }

  of(group: string, version: string): ResourceType[] {
    return this.#all().filter((type) => type.group === group && type.version === version);
  }

  isBuiltin(group: string | undefined): boolean {
    return this.#all().some((type) => type.group === group && type.custom === undefined);
  }

  /** Serves exactly the served versions of a CRD. */
  register(crd: Obj): void {
    this.unregister(crd);
    const spec = obj(crd.spec);
    const storage = objs(spec.versions).find((version) => version.storage === true);
    for (const version of objs(spec.versions))
      if (version.served === true) this.#add(this.#custom(spec, version, text(storage?.name)));
  }

  unregister(crd: Obj): void {
    for (const [key, type] of this.#types) if (type.table === tableOf(crd)) this.#types.delete(key);
  }

  #add(type: ResourceType): void {
    this.#types.set(`${groupVersion(type.group, type.version)}/${type.plural}`, type);
  }

  #all(): ResourceType[] {
    return [...this.#types.values()];
  }

  #builtin({ subresources = {}, ...given }: Builtin): ResourceType {
    const { group, version, plural, kind } = given;
    const names = { storageVersion: version, singular: kind.toLowerCase(), ...NONE, verbs: VERBS };
    const table = group === '' ? plural : `${group}/${plural}`;
    const verbs = new Map(Object.entries(subresources));
    return { ...ORDINARY, ...names, ...given, table, schema: schemaOf(kind), subresources: verbs };
  }

  #custom(spec: Obj, custom: Obj, storageVersion: string): ResourceType {
    const names = obj(spec.names) as Pick<ResourceType, 'plural' | 'singular' | 'kind'> & Partial<ResourceType>;
    const offered = Object.keys(obj(custom.subresources)).filter((name) => name === 'status');
    const subresources = new Map(offered.map((name) => [name, ['get', 'patch', 'update']]));
    const place = { group: text(spec.group), version: text(custom.name), storageVersion, table: tableOf({ spec }) };
    const schema = withMeta(obj(obj(custom.schema).openAPIV3Schema));
    const flags = { ...ORDINARY, namespaced: spec.scope === 'Namespaced', counted: true, conditional: true };
    return { ...NONE, ...names, ...place, ...flags, verbs: CUSTOM_VERBS, subresources, schema, custom };
  }
}

/** What is not said of most resources. */
const NONE = { shortNames: [], categories: [] };
const ORDINARY = { namespaced: false, counted: false, returned: false, conditional: false, putCreates: false };

/** The table that holds the objects of a CRD. */
export const tableOf = ({ spec }: Obj): string => `${text(obj(spec).group)}/${text(obj(obj(spec).names).plural)}`;

/** Kubernetes' version order: v2 before v1 before v1beta1 before anything else. */
function byPriority(a: string, b: string): number {
  const rank = (version: string): number => {
    const [, major, stage = 'ga', minor = '0'] = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version) ?? [];
    const stages = ['alpha', 'beta', 'ga'];
    return major === undefined ? -1 : stages.indexOf(stage) * 1e6 + Number(major) * 1000 + Number(minor);
  };
  return rank(b) - rank(a) || (a < b ? -1 : 1);
}

/** The kind a subresource is answered with when that is not the parent's. */
const KINDS: Readonly<Record<string, Obj>> = kinds.subresources;

const optional = ({ shortNames, categories }: Pick<ResourceType, 'shortNames' | 'categories'>): Obj =>
  Object.fromEntries(Object.entries({ shortNames, categories }).filter(([, value]) => value.length > 0));

function describe(type: ResourceType): Obj[] {
  const { plural, singular, namespaced, kind, verbs, subresources } = type;
  const self = { name: plural, singularName: singular, namespaced, kind, verbs, ...optional(type) };
  const part = { singularName: '', namespaced, kind };
  const parts = [...subresources].map(([sub, verbs]) => ({ ...part, ...KINDS[sub], name: `${plural}/${sub}`, verbs }));
  return [self, ...parts];
}

function aggregate({ plural, singular, namespaced, kind, verbs, ...type }: ResourceType): Obj {
  const responseKind = { group: '', version: '', kind };
  const scope = namespaced ? 'Namespaced' : 'Cluster';
  const subresources = [...type.subresources].map(([subresource, verbs]) => {
    return { subresource, responseKind: { ...responseKind, ...KINDS[subresource] }, verbs };
  });
  const parts = subresources.length === 0 ? {} : { subresources };
  return { resource: plural, responseKind, scope, singularResource: singular, verbs, ...optional(type), ...parts };
}

/** The kind of an aggregated discovery document. */
export const AGGREGATED = 'APIGroupDiscoveryList';

/** The aggregated discovery document of the core group or of all others. */
export function discoverAll(registry: Registry, core: boolean): Obj {
  const chosen = [...registry.groups()].filter(([group]) => (group === '') === core);
  const items = chosen.map(([name, versions]) => ({
    metadata: core ? {} : { name },
    versions: versions.map((version) => {
      return { version, resources: registry.of(name, version).map(aggregate), freshness: 'Current' };
    }),
  }));
  return { kind: AGGREGATED, apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items };
}

function groupOf(name: string, versions: readonly string[]): Obj {
  const all = versions.map((version) => ({ groupVersion: groupVersion(name, version), version }));
  return { name, versions: all, preferredVersion: all[0] };
}

function discoverGroup(registry: Registry, [group, version]: readonly string[]): Obj | undefined {
  const groups = registry.groups();
  const named = [...groups].filter(([name]) => name !== '').map(([name, versions]) => groupOf(name, versions));
  if (group === undefined) return { kind: 'APIGroupList', apiVersion: 'v1', groups: named };
  const versions = groups.get(group) ?? [];
  if (version === undefined)
    return versions.length === 0 ? undefined : { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(group, versions) };
  if (!versions.includes(version)) return undefined;
  const head = { kind: 'APIResourceList', ...(group === '' ? {} : { apiVersion: 'v1' }) };
  const resources = registry.of(group, version).flatMap(describe);
  return { ...head, groupVersion: groupVersion(group, version), resources };
}

const rootOf = (group: string, version: string): string => (group === '' ? 'api/v1' : `apis/${group}/${version}`);

/** The index of OpenAPI v3 documents, one a group and version; of one of them what kubectl asks: how to PATCH each kind. */
function openApi(registry: Registry, root: string): Obj | undefined {
  const roots = [...registry.groups()].flatMap(([group, versions]) => versions.map((each) => rootOf(group, each)));
  const link = (each: string): [string, Obj] => [each, { serverRelativeURL: `/openapi/v3/${each}` }];
  if (root === '') return { paths: Object.fromEntries(roots.map(link)) };
  const [version = '', group = ''] = root.split('/').slice(1).reverse();
  const parameters = ['dryRun', 'fieldManager', 'fieldValidation', 'force'].map((name) => ({ name, in: 'query' }));
  const paths = registry.of(group, version).map(({ plural, kind, namespaced }): [string, Obj] => {
    const patch = { 'x-kubernetes-action': 'patch', 'x-kubernetes-group-version-kind': { group, version, kind } };
    const path = `/${root}/${namespaced ? 'namespaces/{namespace}/' : ''}${plural}/{name}`;
    return [path, { patch: { ...patch, parameters, responses: {} } }];
  });
  if (paths.length === 0 || rootOf(group, version) !== root) return undefined;
  const info = { title: 'Kubernetes', version: groupVersion(group, version) };
  return { openapi: '3.0.0', info, paths: Object.fromEntries(paths), components: { schemas: {} } };
}

/** The document at /api, /apis, /openapi/v3 or below, undefined when there is none; `host` is what the client calls us. */
export function discover(registry: Registry, path: string, host: string): Obj | undefined {
  const [root, ...rest] = path.split('/').slice(1);
  if (root === 'openapi') return rest[0] === 'v3' ? openApi(registry, rest.slice(1).join('/')) : undefined;
  const serverAddressByClientCIDRs = [{ clientCIDR: '0.0.0.0/0', serverAddress: host }];
  if (root === 'api' && rest.length === 0) return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs };
  return root === 'api' || root === 'apis' ? discoverGroup(registry, root === 'api' ? ['', ...rest] : rest) : undefined;
}
