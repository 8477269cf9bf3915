import { type Obj, dig, isObj, list, obj, same } from './json.ts';
import { type Schema } from './schema.ts';

const SEPARATOR = '\u0000';

/** Owned fields as paths of FieldsV1 keys (f:name, k:{…}, v:…) joined by NUL. */
export type FieldSet = Set<string>;

const child = (path: string, key: string): string => (path === '' ? key : `${path}${SEPARATOR}${key}`);
const open = (schema: Schema): Schema =>
  typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {};

const keysOf = (schema: Schema): readonly string[] | undefined =>
  schema['x-kubernetes-list-type'] === 'map' ? (schema['x-kubernetes-list-map-keys'] ?? []) : undefined;

/** The FieldsV1 key of an element of a keyed list. */
function itemKey(schema: Schema, keys: readonly string[], item: unknown): string {
  const named = [...keys].sort().map((key) => [key, dig(item, key) ?? schema.items?.properties?.[key]?.default]);
  return `k:${JSON.stringify(Object.fromEntries(named.filter(([, value]) => value !== undefined)))}`;
}

/** Every field with its value; with `containers` also the maps and keyed elements themselves. */
export function leaves(schema: Schema, value: unknown, containers: boolean): Map<string, unknown> {
  const found = new Map<string, unknown>();
  walk(schema, value, '', { containers, found });
  return found;
}

interface Walk {
  readonly containers: boolean;
  readonly found: Map<string, unknown>;
}

function walk(schema: Schema, value: unknown, path: string, state: Walk): void {
  const keys = keysOf(schema);
  if (isObj(value) && schema['x-kubernetes-map-type'] !== 'atomic' && Object.keys(value).length > 0) {
    if (state.containers && schema.properties === undefined && path !== '') state.found.set(path, SEPARATOR);
    for (const [key, item] of Object.entries(value))
      walk(schema.properties?.[key] ?? open(schema), item, child(path, `f:${key}`), state);
  } else if (Array.isArray(value) && value.length > 0 && keys !== undefined) {
    if (state.containers) state.found.set(path, SEPARATOR);
    for (const item of list(value)) {
      const at = child(path, itemKey(schema, keys, item));
      state.found.set(at, SEPARATOR);
      walk(schema.items ?? {}, item, at, state);
    }
  } else if (Array.isArray(value) && value.length > 0 && schema['x-kubernetes-list-type'] === 'set') {
    for (const item of list(value)) state.found.set(child(path, `v:${JSON.stringify(item)}`), item);
  } else state.found.set(path, value);
}

/** Fields of `next` that are new or different, and fields of `old` that are gone. */
export function compareFields(schema: Schema, old: unknown, next: unknown): { changed: FieldSet; removed: FieldSet } {
  const before = leaves(schema, old ?? {}, true);
  const after = leaves(schema, next, true);
  const changed = [...after].filter(([path, value]) => !before.has(path) || !same(before.get(path), value));
  return {
    changed: new Set(changed.map(([path]) => path)),
    removed: new Set([...before.keys()].filter((path) => !after.has(path))),
  };
}

/** `config` laid over `live`: maps, keyed lists and sets are merged, everything else is replaced. */
export function overlay(schema: Schema, live: unknown, config: unknown): unknown {
  if (isObj(live) && isObj(config) && schema['x-kubernetes-map-type'] !== 'atomic') {
    const result: Obj = { ...live };
    for (const [key, value] of Object.entries(config))
      result[key] = overlay(schema.properties?.[key] ?? open(schema), live[key], value);
    return result;
  }
  const keys = keysOf(schema);
  if (!Array.isArray(live) || !Array.isArray(config)) return config;
  if (schema['x-kubernetes-list-type'] === 'set') return [...new Set([...list(live), ...list(config)])];
  if (keys === undefined) return config;
  const items = new Map(list(live).map((item) => [itemKey(schema, keys, item), item]));
  for (const item of list(config)) {
    const key = itemKey(schema, keys, item);
    items.set(key, overlay(schema.items ?? {}, items.get(key), item));
  }
  return [...items.values()];
}

/** A copy of the value without the field at the path; missing ones are ignored. */
export function removeField(schema: Schema, value: unknown, path: string): unknown {
  return removeAt(schema, value, path.split(SEPARATOR));
}

function removeAt(schema: Schema, value: unknown, [head = '', ...rest]: readonly string[]): unknown {
  if (isObj(value) && head.startsWith('f:')) {
    const key = head.slice(2);
    if (value[key] === undefined) return value;
    const { [key]: at, ...others } = value;
    if (rest.length === 0) return others;
    return { ...value, [key]: removeAt(schema.properties?.[key] ?? open(schema), at, rest) };
  }
  if (!Array.isArray(value)) return value;
  const keys = keysOf(schema) ?? [];
  const isIt = (item: unknown): boolean =>
    head.startsWith('v:') ? head === `v:${JSON.stringify(item)}` : itemKey(schema, keys, item) === head;
  if (rest.length === 0) return list(value).filter((item) => !isIt(item));
  return list(value).map((item) => (isIt(item) ? removeAt(schema.items ?? {}, item, rest) : item));
}

/** Whether a path lies inside another. */
export const isInside = (path: string, parent: string): boolean => path.startsWith(parent + SEPARATOR);

/** FieldsV1 as stored in managedFields. */
export function encodeFields(fields: FieldSet): Obj {
  const root: Obj = {};
  const members = new Set<Obj>();
  for (const path of [...fields].sort()) {
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
  for (const [key, node] of entries) if (key !== '.') decodeFields(node, child(path, key), found);
  return found;
}

/** The path the way conflicts print it: .spec.containers[name="a"].image */
export const printPath = (path: string): string =>
  path
    .split(SEPARATOR)
    .map((key) => {
      if (key.startsWith('f:')) return `.${key.slice(2)}`;
      if (key.startsWith('v:')) return `[=${key.slice(2)}]`;
      const pairs = Object.entries(JSON.parse(key.slice(2)) as Obj);
      return `[${pairs.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]`;
    })
    .join('');
