/** One field in which an object differs from what is wanted. */
export interface FieldChange {
  /** Such as `spec.template.spec.containers[submariner-gateway].image`. */
  readonly path: string;
  /** What is there; undefined: nothing. */
  readonly live: unknown;
  /** What applying would make of it; undefined: nothing. */
  readonly wanted: unknown;
}

/** What the API server writes by itself. */
const OF_THE_SERVER: ReadonlySet<string> = new Set([
  'metadata.managedFields',
  'metadata.resourceVersion',
  'metadata.generation',
  'metadata.creationTimestamp',
  'metadata.uid',
  'metadata.annotations.deprecated.daemonset.template.generation',
  'status',
]);
/** What tells the items of a list apart, best first. */
const KEYS = ['name', 'mountPath', 'containerPort', 'type'] as const;

/** Every field in which an object differs from another state of it, but for what the API server writes by itself. */
export function fieldChanges(live: unknown, wanted: unknown): readonly FieldChange[] {
  return changesAt('', live, wanted);
}

function changesAt(path: string, live: unknown, wanted: unknown): readonly FieldChange[] {
  if (OF_THE_SERVER.has(path)) return [];
  if (isObject(live) && isObject(wanted)) return inFields(path, live, wanted);
  if (Array.isArray(live) && Array.isArray(wanted)) return inLists(path, live, wanted);
  return canonical(live) === canonical(wanted) ? [] : [{ path, live, wanted }];
}

function inFields(path: string, live: Fields, wanted: Fields): readonly FieldChange[] {
  const keys = [...new Set([...Object.keys(live), ...Object.keys(wanted)])];
  return keys.flatMap((key) => changesAt(path === '' ? key : `${path}.${key}`, live[key], wanted[key]));
}

function inLists(path: string, live: readonly unknown[], wanted: readonly unknown[]): readonly FieldChange[] {
  const key = KEYS.find((one) => isKeyOf(one, live) && isKeyOf(one, wanted));
  if (key !== undefined) return inFields(`${path}[]`, byKey(key, live), byKey(key, wanted)).map(withBrackets(path));
  const same = live.length === wanted.length;
  if (!same || !live.every(isObject)) {
    return canonical(live) === canonical(wanted) ? [] : [{ path, live, wanted }];
  }
  return live.flatMap((item, index) => changesAt(`${path}[${index}]`, item, wanted[index]));
}

/** `list[].name.field` as `list[name].field`; names may hold dots, so it is done while they are known. */
function withBrackets(path: string): (change: FieldChange) => FieldChange {
  const prefix = `${path}[].`;
  return ({ path: at, ...change }) => {
    const rest = at.slice(prefix.length);
    const end = rest.indexOf(END);
    return { path: `${path}[${rest.slice(0, end)}]${rest.slice(end + END.length)}`, ...change };
  };
}

const END = '\u0000';

function byKey(key: string, items: readonly unknown[]): Fields {
  return Object.fromEntries(items.filter(isObject).map((item) => [`${print(item[key])}${END}`, item]));
}

function isKeyOf(key: string, items: readonly unknown[]): boolean {
  const values = items.map((item) => (isObject(item) ? item[key] : undefined));
  return values.every((value) => value !== undefined) && new Set(values.map(print)).size === items.length;
}

function print(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}

type Fields = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Empty maps and lists say the same as absent ones: which of them is kept depends on who wrote the object. */
function canonical(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object' && Object.keys(value).length === 0) return '';
  return JSON.stringify(value, (_key, inner: unknown) =>
    isObject(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}
