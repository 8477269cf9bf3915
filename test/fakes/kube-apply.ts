/** Server-side apply on plain JSON; lists are atomic. */

type Json = Record<string, unknown>;
/** Field path (JSON array of keys) -> managers that own it. */
export type Owners = ReadonlyMap<string, ReadonlySet<string>>;

export interface Applied {
  readonly object: Json;
  readonly owners: Owners;
  /** Fields others own with another value: manager -> paths as the API server prints them. */
  readonly conflicts: ReadonlyMap<string, readonly string[]>;
}

/** Fields that belong to nobody. */
const UNOWNED = new Set([
  'apiVersion',
  'kind',
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'metadata.resourceVersion',
  'metadata.generation',
  'metadata.creationTimestamp',
  'metadata.deletionTimestamp',
  'metadata.managedFields',
]);

/** Merges what `manager` wants into `current`, taking away what it wanted before and no longer does. */
export function applyFields(current: Json, owners: Owners, manager: string, wanted: Json, force: boolean): Applied {
  const object = structuredClone(current);
  const next = new Map([...owners].map(([path, set]) => [path, new Set(set)]));
  const conflicts = new Map<string, string[]>();
  const leaves = leavesOf(wanted);
  for (const [path, value] of leaves) {
    const keys = JSON.parse(path) as string[];
    const others = [...(owners.get(path) ?? [])].filter((owner) => owner !== manager);
    const same = JSON.stringify(sorted(valueAt(object, keys))) === JSON.stringify(sorted(value));
    if (!same) {
      if (others.length > 0 && !force) {
        for (const other of others) conflicts.set(other, [...(conflicts.get(other) ?? []), `.${keys.join('.')}`]);
      }
      next.set(path, new Set());
      setAt(object, keys, value);
    }
    next.set(path, (next.get(path) ?? new Set()).add(manager));
  }
  for (const [path, set] of next) {
    if (leaves.has(path) || !set.delete(manager) || set.size > 0) continue;
    next.delete(path);
    removeAt(object, JSON.parse(path) as string[]);
  }
  return { object, owners: next, conflicts };
}

/** Owners after `manager` wrote `after` over `before` by create, update or patch. */
export function ownersAfterUpdate(before: Json | undefined, after: Json, owners: Owners, manager: string): Owners {
  const old = leavesOf(before ?? {});
  const next = new Map<string, ReadonlySet<string>>();
  for (const [path, value] of leavesOf(after)) {
    const unchanged = old.has(path) && JSON.stringify(old.get(path)) === JSON.stringify(value);
    next.set(path, unchanged ? (owners.get(path) ?? new Set()) : new Set([manager]));
  }
  return next;
}

function leavesOf(value: Json): Map<string, unknown> {
  const leaves = new Map<string, unknown>();
  const walk = (at: unknown, keys: readonly string[]): void => {
    if (UNOWNED.has(keys.join('.'))) return;
    if (typeof at === 'object' && at !== null && !Array.isArray(at) && Object.keys(at).length > 0) {
      for (const [key, inner] of Object.entries(at)) walk(inner, [...keys, key]);
    } else if (keys.length > 0 && at !== undefined) leaves.set(JSON.stringify(keys), at);
  };
  walk(value, []);
  return leaves;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

function valueAt(object: Json, keys: readonly string[]): unknown {
  return keys.reduce<unknown>((at, key) => (at as Json | undefined)?.[key], object);
}

function setAt(object: Json, keys: readonly string[], value: unknown): void {
  let at = object;
  for (const key of keys.slice(0, -1)) {
    if (typeof at[key] !== 'object' || at[key] === null) at[key] = {};
    at = at[key] as Json;
  }
  at[keys.at(-1) ?? ''] = structuredClone(value);
}

function removeAt(object: Json, keys: readonly string[]): void {
  const parent = valueAt(object, keys.slice(0, -1)) as Json | undefined;
  if (typeof parent !== 'object' || parent === null) return;
  delete parent[keys.at(-1) ?? ''];
  if (Object.keys(parent).length === 0 && keys.length > 1) removeAt(object, keys.slice(0, -1));
}

/** RFC 7386. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return structuredClone(patch);
  const result: Json = typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}
