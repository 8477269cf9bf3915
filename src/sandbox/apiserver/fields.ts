import { type Obj, dig, isObj, list, obj, same } from './json.ts';
import { type Schema, fieldSchema } from './schema.ts';

const SEPARATOR = '\u0000';

/** Owned fields as paths of FieldsV1 keys (f:name, k:{…}, v:…) joined by NUL. */
export type FieldSet = Set<string>;

const join = (path: string, key: string): string => (path === '' ? key : `${path}${SEPARATOR}${key}`);
const isAtomic = (schema: Schema): boolean => schema['x-kubernetes-map-type'] === 'atomic';
const isSet = (schema: Schema): boolean => schema['x-kubernetes-list-type'] === 'set';

const isMerged = (schema: Schema): boolean => ['map', 'set'].includes(schema['x-kubernetes-list-type'] ?? '');

/** The FieldsV1 key of an element of a list with keys or of a set. */
function itemKey(schema: Schema, item: unknown): string {
  const keys = [...(schema['x-kubernetes-list-map-keys'] ?? [])].sort();
  if (keys.length === 0) return `v:${JSON.stringify(item)}`;
  const named = keys.map((key) => [key, dig(item, key) ?? schema.items?.properties?.[key]?.default]);
  return `k:${JSON.stringify(Object.fromEntries(named))}`;
}

/** Every field with its value; with `containers` also the maps and keyed elements themselves. */
export function leaves(schema: Schema, value: unknown, containers: boolean): Map<string, unknown> {
  const found = new Map<string, unknown>();
  const visit = (at: Schema, item: unknown, path: string): void => {
    const parts = partsOf(at, item, path);
    if (parts === undefined) found.set(path, item);
    else if (containers && at.properties === undefined && path !== '') found.set(path, SEPARATOR);
    for (const [key, part, child] of parts ?? []) {
      if (key.startsWith('k:')) found.set(join(path, key), SEPARATOR);
      visit(child, part, join(path, key));
    }
  };
  visit(schema, value, '');
  return found;
}

/** What can be owned inside a value, undefined when the value is owned as a whole. */
function partsOf(
  schema: Schema,
  value: unknown,
  path: string,
): [key: string, part: unknown, schema: Schema][] | undefined {
  if (isMerged(schema) && list(value).length > 0)
    return list(value).map((item) => [itemKey(schema, item), item, isSet(schema) ? {} : (schema.items ?? {})]);
  const entries = isObj(value) && !isAtomic(schema) ? Object.entries(value) : [];
  if (entries.length === 0 && path !== '') return undefined;
  return entries.map(([key, item]) => [`f:${key}`, item, fieldSchema(schema, key) ?? {}]);
}

/** Fields of `next` that are new or different, and fields of `old` that are gone. */
export function compareFields(schema: Schema, old: unknown, next: unknown): { changed: FieldSet; removed: FieldSet } {
  const before = leaves(schema, old ?? {}, true);
  const after = leaves(schema, next, true);
  const changed = [...after].filter(([path, value]) => !before.has(path) || !same(before.get(path), value));
  const removed = [...before.keys()].filter((path) => !after.has(path));
  return { changed: new Set(changed.map(([path]) => path)), removed: new Set(removed) };
}

/** `config` laid over `live`: maps, keyed lists and sets are merged, everything else is replaced. */
export function overlay(schema: Schema, live: unknown, config: unknown): unknown {
  if (isObj(live) && isObj(config) && !isAtomic(schema)) {
    const merged = Object.entries(config).map(([key, value]) => [
      key,
      overlay(fieldSchema(schema, key) ?? {}, live[key], value),
    ]);
    return { ...live, ...(Object.fromEntries(merged) as Obj) };
  }
  if (!Array.isArray(live) || !Array.isArray(config) || !isMerged(schema)) return config;
  const items = new Map(list(live).map((item) => [itemKey(schema, item), item]));
  for (const item of list(config)) {
    const key = itemKey(schema, item);
    items.set(key, overlay(schema.items ?? {}, items.get(key), item));
  }
  return [...items.values()];
}

/** A copy of the value without the field at the path; missing ones are ignored. */
export function removeField(schema: Schema, value: unknown, path: string): unknown {
  const [head = '', ...rest] = path.split(SEPARATOR);
  const tail = rest.join(SEPARATOR);
  if (isObj(value) && head.startsWith('f:')) {
    const { [head.slice(2)]: at, ...others } = value;
    if (at === undefined || tail === '') return others;
    return { ...value, [head.slice(2)]: removeField(fieldSchema(schema, head.slice(2)) ?? {}, at, tail) };
  }
  const isIt = (item: unknown): boolean => itemKey(schema, item) === head;
  if (!Array.isArray(value)) return value;
  if (tail === '') return list(value).filter((item) => !isIt(item));
  return list(value).map((item) => (isIt(item) ? removeField(schema.items ?? {}, item, tail) : item));
}

/** Whether a path lies inside another. */
export const isInside = (path: string, parent: string): boolean => path.startsWith(parent + SEPARATOR);

/** FieldsV1 as stored in managedFields. */
export function encodeFields(fields: FieldSet): Obj {
  const root: Obj = {};
  const members = new Set<Obj>();
  for (const path of fields) {
    let node = root;
    for (const key of path.split(SEPARATOR)) node = (node[key] ??= {}) as Obj;
    members.add(node);
  }
  for (const node of members) if (Object.keys(node).length > 0) node['.'] = {};
  return root;
}

/** The inverse of encodeFields. */
export function decodeFields(tree: unknown, path = '', found: FieldSet = new Set()): FieldSet {
  const entries = Object.entries(obj(tree));
  if (path !== '' && (entries.length === 0 || obj(tree)['.'] !== undefined)) found.add(path);
  for (const [key, node] of entries) if (key !== '.') decodeFields(node, join(path, key), found);
  return found;
}

/** The path the way conflicts print it: .spec.containers[name="a"].image */
export const printPath = (path: string): string =>
  path
    .split(SEPARATOR)
    .map((key) => {
      if (!key.startsWith('k:')) return key.startsWith('f:') ? `.${key.slice(2)}` : `[=${key.slice(2)}]`;
      const pairs = Object.entries(JSON.parse(key.slice(2)) as Obj).map(
        ([name, value]) => `${name}=${JSON.stringify(value)}`,
      );
      return `[${pairs.join(',')}]`;
    })
    .join('');
