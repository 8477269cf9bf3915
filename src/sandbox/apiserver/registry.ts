import { type Obj, obj, objs, text, texts } from './json.ts';
import { COUNTED, RESOURCES, RETURNED, SCHEMAS } from './kinds.ts';
import { type Schema, parseSchemas } from './schema.ts';

/** One served resource in one version. */
export interface ResourceType {
  readonly group: string;
  readonly version: string;
  /** Version objects are stored in; differs from `version` for the further versions of a CRD. */
  readonly storageVersion: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly verbs: readonly string[];
  /** Verbs by subresource. */
  readonly subresources: ReadonlyMap<string, readonly string[]>;
  /** Name of the table; the versions of a resource share it. */
  readonly table: string;
  readonly schema: Schema;
  /** metadata.generation counts changes. */
  readonly counted: boolean;
  /** DELETE answers with the object. */
  readonly returned: boolean;
  /** The version entry of the CRD; undefined for built-in resources. */
  readonly custom?: Obj;
}

const VERBS = 'create deletecollection delete get list patch update watch'.split(' ');
const LETTERS = 'cDdglpuw';
const verbs = (letters: string): string[] =>
  letters.split('').map((letter) => VERBS[LETTERS.indexOf(letter)] ?? letter);
const names = (source = '-'): string[] => (source === '-' ? [] : source.split(','));

/** apiVersion of a group and version. */
export const groupVersion = (group: string, version: string): string =>
  group === '' ? version : `${group}/${version}`;

/** Groups that exist although nothing of them is served. */
const EMPTY_GROUPS = ['policy/v1', 'events.k8s.io/v1'];

/** The resources that are served at this moment. */
export class Registry {
  readonly schemas: ReadonlyMap<string, Schema> = parseSchemas(SCHEMAS);
  readonly #types = new Map<string, ResourceType>();

  constructor() {
    for (const line of RESOURCES.trim().split('\n')) this.#add(this.#builtin(line));
  }

  find(group: string, version: string, plural: string): ResourceType | undefined {
    return this.#types.get(`${groupVersion(group, version)}/${plural}`);
  }

  /** Any served version of the resource kept in a table, undefined when nothing of it is served. */
  byTable(table: string): ResourceType | undefined {
    return [...this.#types.values()].find((type) => type.table === table);
  }

  /** Versions of each group, the preferred one first. */
  groups(): Map<string, string[]> {
    const found = new Map<string, string[]>();
    for (const each of [
      ...[...this.#types.values()].map((type) => groupVersion(type.group, type.version)),
      ...EMPTY_GROUPS,
    ]) {
      const [version = '', group = ''] = each.split('/').reverse();
      found.set(group, [...new Set([...(found.get(group) ?? []), version])].sort(byPriority));
    }
    return found;
  }

  of(group: string, version: string): ResourceType[] {
    return [...this.#types.values()].filter((type) => type.group === group && type.version === version);
  }

  isBuiltin(group: string | undefined): boolean {
    return [...this.#types.values()].some((type) => type.group === group && type.custom === undefined);
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

  /** A schema with apiVersion, kind and metadata added. */
  withMeta(schema: Schema = {}): Schema {
    const head = {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: this.schemas.get('ObjectMeta') ?? {},
    };
    return { ...schema, properties: { ...schema.properties, ...head } };
  }

  #add(type: ResourceType): void {
    this.#types.set(`${groupVersion(type.group, type.version)}/${type.plural}`, type);
  }

  #builtin(line: string): ResourceType {
    const [head = '', tail = ''] = line.split('|');
    const [gv = '', plural = '', kind = '', scope, short, categories, letters = LETTERS] = head.trim().split(' ');
    const [version = '', group = ''] = gv.split('/').reverse();
    const subresources = tail
      .trim()
      .split(' ')
      .flatMap((each) => (each === '' ? [] : [each.split(':') as [string, string]]));
    return {
      group,
      version,
      storageVersion: version,
      plural,
      kind,
      singular: kind.toLowerCase(),
      namespaced: scope === 'N',
      shortNames: names(short),
      categories: names(categories),
      verbs: verbs(letters).sort(),
      subresources: new Map(subresources.map(([name, letters]) => [name, verbs(letters)])),
      table: group === '' ? plural : `${group}/${plural}`,
      schema: this.withMeta(this.schemas.get(kind)),
      counted: COUNTED.includes(kind),
      returned: RETURNED.includes(kind),
    };
  }

  #custom(spec: Obj, custom: Obj, storageVersion: string): ResourceType {
    const { plural, singular, kind, shortNames, categories } = obj(spec.names);
    const offered = Object.keys(obj(custom.subresources)).filter((name) => name === 'status');
    const schema = this.withMeta(obj(obj(custom.schema).openAPIV3Schema));
    return {
      group: text(spec.group),
      version: text(custom.name),
      storageVersion,
      namespaced: spec.scope === 'Namespaced',
      plural: text(plural),
      singular: text(singular),
      kind: text(kind),
      table: tableOf({ spec }),
      schema,
      custom,
      shortNames: texts(shortNames),
      categories: texts(categories),
      verbs: verbs('dDglpcuw'),
      subresources: new Map(offered.map((name) => [name, verbs('gpu')])),
      counted: true,
      returned: false,
    };
  }
}

/** The table that holds the objects of a CRD. */
export const tableOf = ({ spec }: Obj): string => `${text(obj(spec).group)}/${text(obj(obj(spec).names).plural)}`;

/** Kubernetes' version order: v2 before v1 before v1beta1 before anything else. */
function byPriority(a: string, b: string): number {
  const rank = (version: string): number => {
    const [, major, stage = 'ga', minor = '0'] = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version) ?? [];
    return major === undefined
      ? -1
      : ['alpha', 'beta', 'ga'].indexOf(stage) * 1e6 + Number(major) * 1000 + Number(minor);
  };
  return rank(b) - rank(a) || (a < b ? -1 : 1);
}
