import { type Obj, obj, objs, text, texts } from './json.ts';
import { COUNTED, RESOURCES, RETURNED, SCHEMAS } from './kinds.ts';
import { type Schema, parseSchemas } from './schema.ts';

/** One served resource in one version. */
export interface ResourceType {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly listKind: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly verbs: readonly string[];
  /** Verbs by subresource. */
  readonly subresources: ReadonlyMap<string, readonly string[]>;
  /** Name of the table; versions and groups that share objects share it. */
  readonly table: string;
  readonly schema: Schema;
  readonly counted: boolean;
  /** DELETE answers with the object. */
  readonly returned: boolean;
  /** The version entry of the CRD, and its spec; undefined for built-in resources. */
  readonly custom?: { readonly version: Obj; readonly storageVersion: string };
}

const VERBS: Readonly<Record<string, string>> = {
  c: 'create',
  d: 'delete',
  D: 'deletecollection',
  g: 'get',
  l: 'list',
  p: 'patch',
  u: 'update',
  w: 'watch',
};
const verbs = (letters: string): string[] => [...letters].map((letter) => VERBS[letter] ?? letter);
const names = (source = '-'): string[] => (source === '-' || source === '' ? [] : source.split(','));

/** apiVersion of a group and version. */
export const groupVersion = (group: string, version: string): string =>
  group === '' ? version : `${group}/${version}`;

/** The kind a subresource is answered with when that is not the parent's. */
export const SUBRESOURCE_KINDS: Readonly<Record<string, readonly [group: string, version: string, kind: string]>> = {
  scale: ['autoscaling', 'v1', 'Scale'],
  eviction: ['policy', 'v1', 'Eviction'],
  token: ['authentication.k8s.io', 'v1', 'TokenRequest'],
  binding: ['', '', 'Binding'],
  attach: ['', '', 'PodAttachOptions'],
  exec: ['', '', 'PodExecOptions'],
  portforward: ['', '', 'PodPortForwardOptions'],
  proxy: ['', '', 'PodProxyOptions'],
};

/** Groups that exist although nothing of them is served. */
const EMPTY_GROUPS: readonly string[] = ['policy/v1'];

/** The resources that are served at this moment. */
export class Registry {
  readonly schemas: ReadonlyMap<string, Schema>;
  readonly #types = new Map<string, ResourceType>();

  constructor() {
    this.schemas = parseSchemas(SCHEMAS);
    for (const line of RESOURCES.trim().split('\n')) this.#add(this.#builtin(line));
  }

  find(group: string, version: string, plural: string): ResourceType | undefined {
    return this.#types.get(`${groupVersion(group, version)}/${plural}`);
  }

  /** A built-in resource of version v1 that must exist. */
  must(group: string, plural: string): ResourceType {
    const found = this.find(group, 'v1', plural);
    if (found === undefined) throw new Error(`no resource ${plural}.${group}`);
    return found;
  }

  /** Any served version of a resource known by its table. */
  byTable(table: string): ResourceType | undefined {
    return [...this.#types.values()].find((type) => type.table === table);
  }

  byKind(apiVersion: string, kind: string): ResourceType | undefined {
    return [...this.#types.values()].find(
      (type) => type.kind === kind && groupVersion(type.group, type.version) === apiVersion,
    );
  }

  /** Versions of each group, the preferred one first. */
  groups(): Map<string, string[]> {
    const found = new Map<string, string[]>();
    const all = [...this.#types.values()].map(({ group, version }) => groupVersion(group, version));
    for (const each of [...all, ...EMPTY_GROUPS]) {
      const [group = '', version = ''] = each.includes('/') ? each.split('/') : ['', each];
      const versions = found.get(group) ?? [];
      if (!versions.includes(version)) found.set(group, [...versions, version].sort(byPriority));
    }
    return found;
  }

  of(group: string, version: string): ResourceType[] {
    return [...this.#types.values()].filter((type) => type.group === group && type.version === version);
  }

  isBuiltin(group: string): boolean {
    return [...this.#types.values()].some((type) => type.group === group && type.custom === undefined);
  }

  /** Serves exactly the served versions of a CRD. */
  register(crd: Obj): void {
    this.unregister(crd);
    const spec = obj(crd['spec']);
    const storage = objs(spec['versions']).find((version) => version['storage'] === true);
    for (const version of objs(spec['versions']))
      if (version['served'] === true) this.#add(this.#custom(spec, version, text(storage?.['name'])));
  }

  unregister(crd: Obj): void {
    const table = tableOf(obj(crd['spec']));
    for (const [key, type] of this.#types) if (type.table === table) this.#types.delete(key);
  }

  #add(type: ResourceType): void {
    this.#types.set(`${groupVersion(type.group, type.version)}/${type.plural}`, type);
  }

  #builtin(line: string): ResourceType {
    const [head = '', tail = ''] = line.split('|');
    const [gv = '', plural = '', kind = '', scope, short, categories, letters = 'cdDglpuw'] = head.trim().split(' ');
    const [version = '', group = ''] = gv.split('/').reverse();
    const schema = this.schemas.get(kind) ?? {};
    const shared = plural === 'events' ? this.schemas.get('Event') : schema;
    return {
      ...{ group, version, plural, kind, singular: kind.toLowerCase(), listKind: `${kind}List` },
      namespaced: scope === 'N',
      shortNames: names(short),
      categories: names(categories),
      verbs: verbs(letters),
      subresources: new Map(
        names(tail.trim().replaceAll(' ', ',')).map((sub) => [sub.split(':')[0] ?? '', verbs(sub.split(':')[1] ?? '')]),
      ),
      table: plural === 'events' ? 'events' : `${group === '' ? '' : `${group}/`}${plural}`,
      schema: this.withMeta(shared ?? {}),
      counted: COUNTED.includes(kind),
      returned: RETURNED.includes(kind),
    };
  }

  /** A schema with apiVersion, kind and metadata added. */
  withMeta(schema: Schema): Schema {
    const meta = this.schemas.get('ObjectMeta') ?? {};
    const properties = {
      ...schema.properties,
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: meta,
    };
    return { ...schema, properties };
  }

  #custom(spec: Obj, version: Obj, storageVersion: string): ResourceType {
    const naming = obj(spec['names']);
    const sub = obj(version['subresources']);
    const offered = ['scale', 'status'].filter((name) => sub[name] !== undefined);
    return {
      group: text(spec['group']),
      version: text(version['name']),
      plural: text(naming['plural']),
      singular: text(naming['singular']),
      kind: text(naming['kind']),
      listKind: text(naming['listKind']),
      namespaced: spec['scope'] === 'Namespaced',
      shortNames: texts(naming['shortNames']),
      categories: texts(naming['categories']),
      verbs: verbs('dDglpcuw'),
      subresources: new Map(offered.map((name) => [name, verbs('gpu')])),
      table: tableOf(spec),
      schema: this.withMeta(obj(obj(version['schema'])['openAPIV3Schema']) as Schema),
      counted: true,
      returned: false,
      custom: { version, storageVersion },
    };
  }
}

const tableOf = (spec: Obj): string => `${text(spec['group'])}/${text(obj(spec['names'])['plural'])}`;

/** Kubernetes' version order: v2 before v1 before v1beta1 before anything else. */
function byPriority(a: string, b: string): number {
  const rank = (version: string): number => {
    const [, major, stage, minor] = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version) ?? [];
    if (major === undefined) return -1;
    const base = stage === undefined ? 2_000_000 : stage === 'beta' ? 1_000_000 : 0;
    return base + Number(major) * 1000 + Number(minor ?? 0);
  };
  return rank(b) - rank(a) || (a < b ? -1 : 1);
}
