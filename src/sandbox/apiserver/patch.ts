import fastJsonPatch, { type Operation } from 'fast-json-patch';
import { type Obj, dig, isObj, list, obj, objs, text } from './json.ts';
import { type Schema, fieldSchema } from './schema.ts';
import { ApiError, badRequest } from './status.ts';

/** RFC 6902 as Kubernetes applies it: `replace` of a missing map key adds it. 422 when an operation fails. */
export function jsonPatch(document: unknown, operations: readonly unknown[]): unknown {
  const adapted = objs(operations).map((each) => {
    const isKey = !/\/\d+$/.test(text(each.path));
    return each.op === 'replace' && isKey ? { ...each, op: 'add' } : each;
  });
  try {
    return fastJsonPatch.applyPatch(structuredClone(document), adapted as unknown as Operation[], true).newDocument;
  } catch {
    throw new ApiError(422, 'the server rejected our request due to an error in our request', 'Invalid', {});
  }
}

/** RFC 7396. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObj(patch)) return patch;
  const result: Obj = isObj(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/** Strategic merge patch: keyed lists merge by their first key; $patch, $retainKeys, $setElementOrder, $deleteFromPrimitiveList. */
export function strategicPatch(schema: Schema, target: unknown, patch: unknown): unknown {
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

const mergeKey = (schema: Schema | undefined): string | undefined => schema?.['x-kubernetes-list-map-keys']?.[0];

function mergeList(schema: Schema, live: readonly unknown[], patch: readonly unknown[]): unknown[] {
  const key = mergeKey(schema);
  if (schema['x-kubernetes-list-type'] === 'set') return [...new Set([...live, ...patch])];
  const replaces = objs(patch).some((item) => item.$patch === 'replace');
  if (key === undefined || replaces) return patch.filter((item) => dig(item, '$patch') === undefined);
  if (objs(patch).some((item) => item[key] === undefined))
    throw badRequest(`map: ${JSON.stringify(patch)} does not contain declared merge key: ${key}`);
  return weave(schema.items ?? {}, key, live, objs(patch));
}

/** Patched items in the order of the patch, each behind the untouched items that stood before it. */
function weave(schema: Schema, key: string, live: readonly unknown[], patch: readonly Obj[]): unknown[] {
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

function applyDirective(schema: Schema, result: Obj, key: string, value: readonly unknown[]): void {
  const [directive = '', field = ''] = key.slice(1).split('/');
  if (directive === 'retainKeys')
    for (const name of Object.keys(result)) if (!value.includes(name)) delete result[name];
  if (directive === 'deleteFromPrimitiveList')
    result[field] = list(result[field]).filter((item) => !value.includes(item));
  if (directive !== 'setElementOrder' || result[field] === undefined) return;
  const by = mergeKey(schema.properties?.[field]);
  const identity = (item: unknown): unknown => (by === undefined ? item : dig(item, by));
  const order = value.map(identity);
  const rank = (item: unknown): number =>
    order.includes(identity(item)) ? order.indexOf(identity(item)) : order.length;
  result[field] = list(result[field]).toSorted((a, b) => rank(a) - rank(b));
}
