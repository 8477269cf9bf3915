import { type Obj, copy, isObj, list, same, text, without } from './json.ts';
import { type Schema } from './schema.ts';
import { ApiError, badRequest } from './status.ts';

const refused = (): ApiError =>
  new ApiError(422, 'the server rejected our request due to an error in our request', {
    reason: 'Invalid',
    details: {},
  });

const step = (parent: unknown, key: string): unknown => {
  if (Array.isArray(parent)) return (parent as unknown[])[/^\d+$/.test(key) ? Number(key) : -1];
  return isObj(parent) ? parent[key] : undefined;
};

const pointer = (path: unknown): string[] => {
  if (typeof path !== 'string' || (path !== '' && !path.startsWith('/'))) throw refused();
  return path
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
};

/** RFC 6902 as Kubernetes applies it: `replace` of a missing map key adds it. 422 when an operation fails. */
export function jsonPatch(document: unknown, operations: readonly unknown[]): unknown {
  let result = copy(document);
  for (const operation of operations) result = applyOperation(result, isObj(operation) ? operation : {});
  return result;
}

function applyOperation(root: unknown, operation: Obj): unknown {
  const path = pointer(operation['path']);
  switch (operation['op']) {
    case 'test':
      if (!same(path.reduce(step, root) ?? null, operation['value'] ?? null)) throw refused();
      return root;
    case 'add':
      return setAt(root, path, operation['value'], 'add');
    case 'replace':
      return setAt(root, path, operation['value'], 'replace');
    case 'remove':
      return removeAt(root, path);
    case 'copy':
    case 'move': {
      const from = pointer(operation['from']);
      const value = from.reduce(step, root);
      if (value === undefined) throw refused();
      return setAt(operation['op'] === 'move' ? removeAt(root, from) : root, path, copy(value), 'add');
    }
    default:
      throw refused();
  }
}

function setAt(root: unknown, path: readonly string[], value: unknown, mode: 'add' | 'replace'): unknown {
  const key = path.at(-1);
  if (key === undefined) return value;
  const parent = path.slice(0, -1).reduce(step, root);
  if (Array.isArray(parent)) {
    const index = key === '-' ? parent.length : Number(key);
    if (!Number.isInteger(index) || index < 0 || index > parent.length - (mode === 'add' ? 0 : 1)) throw refused();
    parent.splice(index, mode === 'add' ? 0 : 1, value);
  } else if (isObj(parent)) parent[key] = value;
  else throw refused();
  return root;
}

function removeAt(root: unknown, path: readonly string[]): unknown {
  const key = path.at(-1) ?? '';
  const parent = path.slice(0, -1).reduce(step, root);
  if (step(parent, key) === undefined) throw refused();
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else if (isObj(parent)) delete parent[key];
  return root;
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
  const directive = patch['$patch'];
  if (directive === 'replace') return stripNulls(without(patch, '$patch'));
  if (directive === 'delete') return {};
  const result: Obj = isObj(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) if (!key.startsWith('$')) mergeField(schema, result, key, value);
  for (const [key, value] of Object.entries(patch)) applyDirective(schema, result, key, list(value));
  return result;
}

function mergeField(schema: Schema, result: Obj, key: string, value: unknown): void {
  const open = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {};
  const child = schema.properties?.[key] ?? open;
  if (value === null) delete result[key];
  else if (Array.isArray(value)) result[key] = mergeList(child, list(result[key]), list(value));
  else result[key] = strategicPatch(child, result[key], value);
}

const mergeKey = (schema: Schema | undefined): string | undefined => schema?.['x-kubernetes-list-map-keys']?.[0];

function mergeList(schema: Schema, live: readonly unknown[], patch: readonly unknown[]): unknown[] {
  const key = mergeKey(schema);
  if (schema['x-kubernetes-list-type'] === 'set') return [...new Set([...live, ...patch])];
  if (key === undefined) return [...patch];
  if (patch.some((item) => isObj(item) && item['$patch'] === 'replace'))
    return patch.filter((item) => !isObj(item) || item['$patch'] === undefined);
  let result = [...live];
  const fresh: unknown[] = [];
  for (const item of patch.filter(isObj)) {
    if (item[key] === undefined)
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const at = result.findIndex((each) => isObj(each) && each[key] === item[key]);
    if (item['$patch'] === 'delete') result = result.filter((_, index) => index !== at);
    else if (at < 0) fresh.push(strategicPatch(schema.items ?? {}, {}, item));
    else result[at] = strategicPatch(schema.items ?? {}, result[at], item);
  }
  return [...fresh, ...result];
}

function applyDirective(schema: Schema, result: Obj, key: string, value: readonly unknown[]): void {
  const [, directive = '', field = ''] = /^\$(\w+)(?:\/(.+))?$/.exec(key) ?? [];
  if (directive === 'retainKeys')
    for (const name of Object.keys(result)) if (!value.includes(name)) delete result[name];
  if (directive === 'deleteFromPrimitiveList')
    result[field] = list(result[field]).filter((item) => !value.includes(item));
  if (directive !== 'setElementOrder') return;
  const by = mergeKey(schema.properties?.[field]);
  const identity = (item: unknown): string =>
    by === undefined ? JSON.stringify(item) : text(JSON.stringify(step(item, by)));
  const order = value.map(identity);
  const rank = (item: unknown): number =>
    order.includes(identity(item)) ? order.indexOf(identity(item)) : order.length;
  if (result[field] !== undefined) result[field] = list(result[field]).toSorted((a, b) => rank(a) - rank(b));
}

const stripNulls = (value: Obj): Obj => Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null));
