import { dig, isObj, list, type Obj, obj, objs, same, text, timestamp, without } from './json.ts';
import { fieldSchema, type PatchSchema as Schema } from './patch.ts';

/** An object with managedFields, as far as they are concerned. */
export type Managed = Obj & { metadata: Obj };

/** One field that another manager owns with another value; the words are those of details.causes. */
export interface FieldConflict {
  readonly reason: 'FieldManagerConflict';
  readonly message: string;
  readonly field: string;
}

/** A server-side apply that would take fields from other managers. */
export class ApplyConflictError extends Error {
  override readonly name = 'ApplyConflictError';
  readonly causes: readonly FieldConflict[];

  constructor(message: string, causes: readonly FieldConflict[]) {
    super(message);
    this.causes = causes;
  }
}

const SEPARATOR = '\u0000';

/** Owned fields as paths of FieldsV1 keys (f:name, k:{…}, v:…) joined by NUL. */
type FieldSet = Set<string>;

const join = (path: string, key: string): string => (path === '' ? key : `${path}${SEPARATOR}${key}`);
const isAtomic = (schema: Schema): boolean => schema['x-kubernetes-map-type'] === 'atomic';
const isMerged = (schema: Schema): boolean => ['map', 'set'].includes(schema['x-kubernetes-list-type'] ?? '');

/** The FieldsV1 key of an element of a list with keys or of a set. */
function itemKey(schema: Schema, item: unknown): string {
  const keys = [...(schema['x-kubernetes-list-map-keys'] ?? [])].sort();
  if (keys.length === 0) return `v:${JSON.stringify(item)}`;
  const named = keys.map((key) => [key, dig(item, key) ?? schema.items?.properties?.[key]?.default]);
  return `k:${JSON.stringify(Object.fromEntries(named))}`;
}

/** Every field with its value; with `containers` also the maps and keyed elements themselves. */
function leaves(schema: Schema, value: unknown, containers: boolean): Map<string, unknown> {
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

type Part = readonly [key: string, part: unknown, schema: Schema];

/** What can be owned inside a value, undefined when the value is owned as a whole. */
function partsOf(schema: Schema, value: unknown, path: string): Part[] | undefined {
  const child = schema['x-kubernetes-list-type'] === 'set' ? {} : (schema.items ?? {});
  if (isMerged(schema) && list(value).length > 0)
    return list(value).map((item) => [itemKey(schema, item), item, child]);
  const entries = isObj(value) && !isAtomic(schema) ? Object.entries(value) : [];
  if (entries.length === 0 && path !== '') return undefined;
  return entries.map(([key, item]) => [`f:${key}`, item, fieldSchema(schema, key) ?? {}]);
}

/** Fields of `next` that are new or different, and fields of `old` that are gone. */
function compareFields(schema: Schema, old: Obj, next: Obj): { changed: FieldSet; removed: FieldSet } {
  const [before, after] = [leaves(schema, old, true), leaves(schema, next, true)];
  const changed = [...after].filter(([path, value]) => !before.has(path) || !same(before.get(path), value));
  const removed = [...before.keys()].filter((path) => !after.has(path));
  return { changed: new Set(changed.map(([path]) => path)), removed: new Set(removed) };
}

/** `config` laid over `live`: maps, keyed lists and sets are merged, everything else is replaced. */
function overlay(schema: Schema, live: unknown, config: unknown): unknown {
  if (isObj(live) && isObj(config) && !isAtomic(schema)) {
    const merge = ([key, value]: [string, unknown]): [string, unknown] => [
      key,
      overlay(fieldSchema(schema, key) ?? {}, live[key], value),
    ];
    return { ...live, ...Object.fromEntries(Object.entries(config).map(merge)) };
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
function removeField(schema: Schema, value: unknown, path: string): unknown {
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

/** FieldsV1 as stored in managedFields. */
function encodeFields(fields: FieldSet): Obj {
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
function decodeFields(tree: unknown, path = '', found: FieldSet = new Set()): FieldSet {
  const entries = Object.entries(obj(tree));
  if (path !== '' && (entries.length === 0 || obj(tree)['.'] !== undefined)) found.add(path);
  for (const [key, node] of entries) if (key !== '.') decodeFields(node, join(path, key), found);
  return found;
}

/** A FieldsV1 key the way conflicts print it: .image or [name="a"] */
function printKey(key: string): string {
  if (!key.startsWith('k:')) return key.startsWith('f:') ? `.${key.slice(2)}` : `[=${key.slice(2)}]`;
  const pairs = Object.entries(JSON.parse(key.slice(2)) as Obj);
  return `[${pairs.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(',')}]`;
}
const printPath = (path: string): string => path.split(SEPARATOR).map(printKey).join('');

/** Who writes with which schema, and through which subresource ('' for the object itself). */
export interface Writer {
  readonly schema: Schema;
  readonly apiVersion: string;
  readonly manager: string;
  readonly subresource: string;
  readonly now: number;
}

type Entry = Readonly<Record<'manager' | 'operation' | 'apiVersion' | 'time' | 'subresource', string>> & {
  readonly fields: FieldSet;
};

const UNTRACKED =
  'name namespace uid creationTimestamp generation managedFields resourceVersion selfLink deletionTimestamp deletionGracePeriodSeconds';

/** The part of an object whose fields can have owners. */
function trackable(object: Managed | undefined): Obj {
  const metadata: Obj = without(obj(object?.metadata), ...UNTRACKED.split(' '));
  const rest = without(obj(object), 'apiVersion', 'kind', 'metadata');
  return Object.keys(metadata).length === 0 ? rest : { ...rest, metadata };
}

function entriesOf(object: Managed | undefined): Entry[] {
  return objs(object?.metadata.managedFields).map((entry) => {
    const [manager = '', operation = '', apiVersion = '', time = '', subresource = ''] =
      'manager operation apiVersion time subresource'.split(' ').map((key) => text(entry[key]));
    return { manager, operation, apiVersion, time, subresource, fields: decodeFields(entry.fieldsV1) };
  });
}

const isMine = (entry: Entry, { manager, subresource }: Writer, operation: string): boolean =>
  entry.manager === manager && entry.operation === operation && entry.subresource === subresource;
const minus = (fields: FieldSet, ...others: readonly FieldSet[]): FieldSet =>
  new Set([...fields].filter((path) => !others.some((other) => other.has(path))));

/** The entries with `fields` as the writer's own, as they are stored; entries that did not change keep their time. */
function render(writer: Writer, operation: string, before: Entry[], others: Entry[], fields: FieldSet): Obj[] {
  const { manager, apiVersion, subresource } = writer;
  const mine = before.find((entry) => isMine(entry, writer, operation));
  const unchanged = mine?.fields.size === fields.size && minus(fields, mine.fields).size === 0;
  const time = unchanged ? mine.time : timestamp(writer.now);
  const rank = ({ operation, time, manager }: Entry): string => `${operation} ${time} ${manager}`;
  return [...others, { manager, operation, apiVersion, subresource, fields, time }]
    .filter((entry) => entry.fields.size > 0)
    .sort((a, b) => (rank(a) < rank(b) ? -1 : 1))
    .map(({ fields, subresource, ...entry }) => {
      const through = subresource === '' ? {} : { subresource };
      return { ...entry, fieldsType: 'FieldsV1', fieldsV1: encodeFields(fields), ...through };
    });
}

/** managedFields after an ordinary write: changed fields become the writer's, lost ones nobody's. */
export function trackUpdate(writer: Writer, live: Managed | undefined, next: Managed): Obj[] {
  const before = list(next.metadata.managedFields ?? [0]).length === 0 ? [] : entriesOf(live);
  const { changed, removed } = compareFields(writer.schema, trackable(live), trackable(next));
  if (changed.size === 0 && removed.size === 0) return objs(live?.metadata.managedFields);
  const mine = before.find((entry) => isMine(entry, writer, 'Update'));
  const others = before.filter((entry) => entry !== mine);
  const reduced = others.map((entry) => ({ ...entry, fields: minus(entry.fields, changed, removed) }));
  const own = new Set([...minus(mine?.fields ?? new Set(), removed), ...changed]);
  return render(writer, 'Update', before, reduced, own);
}

/** The object after a server-side apply, with its managedFields; throws an ApplyConflictError naming every conflict unless forced. */
export function applyConfig<T extends Managed>(writer: Writer, live: T | undefined, config: T, force: boolean): T {
  const { schema } = writer;
  const before = entriesOf(live);
  const wanted: FieldSet = new Set(leaves(schema, trackable(config), false).keys());
  const mine = before.find((entry) => isMine(entry, writer, 'Apply'));
  let merged = overlay(schema, live ?? {}, config) as T;
  const { changed } = compareFields(schema, trackable(live), trackable(merged));
  const conflicts = before
    .filter((entry) => entry !== mine)
    .map((entry) => ({ entry, paths: [...changed].filter((path) => entry.fields.has(path) && wanted.has(path)) }));
  if (!force) refuse(conflicts.filter(({ paths }) => paths.length > 0));
  const others = conflicts.map(({ entry, paths }) => ({ ...entry, fields: minus(entry.fields, new Set(paths)) }));
  const needed = [...others.flatMap(({ fields }) => [...fields]), ...wanted];
  for (const path of minus(mine?.fields ?? new Set(), wanted))
    if (!needed.some((field) => field === path || field.startsWith(path + SEPARATOR)))
      merged = removeField(schema, merged, path) as T;
  const managedFields = render(writer, 'Apply', before, others, wanted);
  return { ...merged, metadata: { ...merged.metadata, managedFields } };
}

const describe = ({ manager, subresource, operation, apiVersion }: Entry): string =>
  `"${manager}"${subresource === '' ? '' : ` with subresource "${subresource}"`}${operation === 'Apply' ? '' : ` using ${apiVersion}`}`;

function refuse(conflicts: readonly { entry: Entry; paths: readonly string[] }[]): void {
  const reason = 'FieldManagerConflict' as const;
  const causes = conflicts.flatMap(({ entry, paths }) =>
    paths.map((path) => ({ reason, message: `conflict with ${describe(entry)}`, field: printPath(path) })),
  );
  const [first, second] = causes;
  if (first === undefined) return;
  const blocks = conflicts.map(({ entry, paths }) =>
    [`conflicts with ${describe(entry)}:`, ...paths.map((path) => `- ${printPath(path)}`).sort()].join('\n'),
  );
  const many = `Apply failed with ${causes.length} conflicts: ${blocks.sort().join('\n')}`;
  const message = second === undefined ? `Apply failed with 1 conflict: ${first.message}: ${first.field}` : many;
  throw new ApplyConflictError(message, causes);
}
