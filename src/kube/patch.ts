import fastJsonPatch, { type Operation } from 'fast-json-patch';
import { dig, isObj, list, type Obj, obj, objs, text } from './json.ts';

/** What of a structural schema decides how patches and applied configurations merge. */
export interface PatchSchema {
  readonly properties?: Readonly<Record<string, PatchSchema>>;
  readonly additionalProperties?: PatchSchema | boolean;
  readonly items?: PatchSchema;
  readonly default?: unknown;
  readonly 'x-kubernetes-map-type'?: string;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
}

/** A patch that cannot be applied. */
export class PatchError extends Error {
  override readonly name = 'PatchError';
}

/** The schema of a field: its own, or the one all values of a map share. */
export function fieldSchema<S extends PatchSchema>(schema: S, key: string): S | undefined {
  const { additionalProperties: open } = schema;
  return (schema.properties?.[key] ?? (typeof open === 'object' ? open : undefined)) as S | undefined;
}

/** RFC 6902 as Kubernetes applies it: `replace` of a missing map key adds it. Throws a PatchError when an operation fails. */
export function jsonPatch(document: unknown, operations: readonly unknown[]): unknown {
  const adapted = objs(operations).map((each) => {
    const isKey = !/\/\d+$/.test(text(each.path));
    return each.op === 'replace' && isKey ? { ...each, op: 'add' } : each;
  });
  try {
    return fastJsonPatch.applyPatch(structuredClone(document), adapted as unknown as Operation[], true).newDocument;
  } catch {
    throw new PatchError('the server rejected our request due to an error in our request');
  }
}

/**
 * Strategic merge patch: keyed lists merge by their first key; $patch, $retainKeys, $setElementOrder,
 * $deleteFromPrimitiveList. With an empty schema it is the merge patch of RFC 7396.
 */
export function strategicPatch(schema: PatchSchema, target: unknown, patch: unknown): unknown {
  if (!isObj(patch)) return patch;
  const { $patch, ...content } = patch;
  if ($patch !== undefined) return $patch === 'replace' ? content : {};
  const result: Obj = { ...obj(target) };
  const isDirective = ([key]: [string, unknown]): boolean => key.startsWith('$');
  const entries = Object.entries(patch);
  for (const [key, value] of entries.filter((each) => !isDirective(each))) {
    const child = fieldSchema(schema, key) ?? {};
    if (value === null) delete result[key];
    else if (Array.isArray(value)) result[key] = mergeList(child, list(result[key]), list(value));
    else result[key] = strategicPatch(child, result[key], value);
  }
  for (const [key, value] of entries.filter(isDirective)) applyDirective(schema, result, key, list(value));
  return result;
}

const mergeKey = (schema: PatchSchema | undefined): string | undefined => schema?.['x-kubernetes-list-map-keys']?.[0];

function mergeList(schema: PatchSchema, live: readonly unknown[], patch: readonly unknown[]): unknown[] {
  const key = mergeKey(schema);
  if (schema['x-kubernetes-list-type'] === 'set') return [...new Set([...live, ...patch])];
  const replaces = objs(patch).some((item) => item.$patch === 'replace');
  if (key === undefined || replaces) return patch.filter((item) => dig(item, '$patch') === undefined);
  if (objs(patch).some((item) => item[key] === undefined))
    throw new PatchError(`map: ${JSON.stringify(patch)} does not contain declared merge key: ${key}`);
  return weave(schema.items ?? {}, key, live, objs(patch));
}

/** Patched items in the order of the patch, each behind the untouched items that stood before it. */
function weave(schema: PatchSchema, key: string, live: readonly unknown[], patch: readonly Obj[]): unknown[] {
  const place = (item: unknown): number => live.findIndex((each) => dig(each, key) === dig(item, key));
  const untouched = live.filter((item) => !patch.some((each) => each[key] === dig(item, key)));
  const result: unknown[] = [];
  for (const item of patch) {
    const at = place(item);
    while (untouched.length > 0 && place(untouched[0]) < at) result.push(untouched.shift());
    if (item.$patch !== 'delete') result.push(strategicPatch(schema, live[at] ?? {}, item));
  }
  return [...result, ...untouched];
}

function applyDirective(schema: PatchSchema, result: Obj, key: string, value: readonly unknown[]): void {
  const [directive = '', field = ''] = key.slice(1).split('/');
  if (directive === 'retainKeys')
    for (const name of Object.keys(result)) if (!value.includes(name)) delete result[name];
  if (directive === 'deleteFromPrimitiveList')
    result[field] = list(result[field]).filter((item) => !value.includes(item));
  if (directive !== 'setElementOrder' || result[field] === undefined) return;
  const by = mergeKey(schema.properties?.[field]);
  const identity = (item: unknown): unknown => (by === undefined ? item : dig(item, by));
  const order = value.map(identity).reverse();
  result[field] = list(result[field]).toSorted((a, b) => order.indexOf(identity(b)) - order.indexOf(identity(a)));
}
