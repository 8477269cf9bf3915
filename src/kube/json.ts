/** A JSON object whose shape is not known. */
export type Obj = Record<string, unknown>;

/** Tells whether the value is a JSON object (not an array, not null). */
export const isObj = (value: unknown): value is Obj =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** The value when it is an object, else an empty one. */
export const obj = (value: unknown): Obj => (isObj(value) ? value : {});
/** The value when it is an array, else an empty one. */
export const list = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
/** The objects of an array, [] for anything else. */
export const objs = (value: unknown): Obj[] => list(value).filter(isObj);
/** The value when it is a string, else ''. */
export const text = (value: unknown): string => (typeof value === 'string' ? value : '');
/** The strings of an array, [] for anything else. */
export const texts = (value: unknown): string[] => list(value).filter((item) => typeof item === 'string');
/** RFC 3339 in UTC with whole seconds, as metav1.Time prints it. */
export const timestamp = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');

/** The value found by following the keys (string or array index), undefined when the way ends early. */
export const dig = (value: unknown, ...keys: readonly (string | number)[]): unknown =>
  keys.reduce<unknown>((at, key) => (isObj(at) ? at[key] : list(at)[Number(key)]), value);

/** Equality of JSON values; key order does not count. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, at) => same(item, b[at]));
  if (!isObj(a) || !isObj(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && same(a[key], b[key]));
}

/** The object without the named keys. */
export const without = <T extends Obj>(value: T, ...keys: readonly string[]): T =>
  Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key))) as T;
