import { isIP } from 'node:net';
import { type Obj, dig, isObj, list, objs } from './json.ts';
import { type Cause, badRequest, badValue, duplicate, required, unsupported } from './status.ts';

/** A structural schema: the part of OpenAPI v3 that CRDs use. Built-in kinds are described with the same words. */
export interface Schema {
  type?: string;
  format?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  items?: Schema;
  required?: string[];
  enum?: unknown[];
  default?: unknown;
  nullable?: boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: boolean;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  pattern?: string;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-map-type'?: string;
  'x-kubernetes-validations'?: Obj[];
}

const SCALARS: Readonly<Record<string, Schema>> = {
  s: { type: 'string' },
  i: { type: 'integer' },
  b: { type: 'boolean' },
  t: { type: 'string', format: 'date-time' },
  u: { type: 'string', format: 'micro-time' },
  y: { type: 'string', format: 'byte' },
  q: { 'x-kubernetes-int-or-string': true },
  x: { 'x-kubernetes-preserve-unknown-fields': true },
};

/** Schemas by name from lines "Name: field:type …"; the notation is explained in kinds.ts. */
export function parseSchemas(source: string): Map<string, Schema> {
  const lines = source
    .split('\n')
    .flatMap((line) => (line.includes(': ') ? [line.split(': ') as [string, string]] : []));
  const named = new Map<string, Schema>(lines.map(([name]) => [name, { type: 'object', properties: {} }]));
  for (const [name, fields] of lines)
    for (const field of fields.split(' ')) {
      const at = field.indexOf(':');
      Object.assign(named.get(name)?.properties ?? {}, { [field.slice(0, at)]: parseType(field.slice(at + 1), named) });
    }
  return named;
}

const TYPE = /^(\[[^\]]+\]|\{.+?\}(?=$|[!<>=])|\w+)(@[\w,]*)?(!)?(<[^>]+>)?(>=?\d+)?(?:=(.+))?$/;

function parseType(source: string, named: ReadonlyMap<string, Schema>): Schema {
  const [, base = '', keys, atomic, choices, floor, preset] = TYPE.exec(source) ?? [];
  return {
    ...parseBase(base, named),
    ...(keys === undefined ? {} : parseKeys(keys)),
    ...(atomic === undefined ? {} : { 'x-kubernetes-map-type': 'atomic' }),
    ...(choices === undefined ? {} : { enum: choices.slice(1, -1).split('|') }),
    ...(floor === undefined
      ? {}
      : { minimum: Number(floor.replace(/\D/g, '')), exclusiveMinimum: !floor.startsWith('>=') }),
    ...(preset === undefined ? {} : { default: /^[\d[{"ntf]/.test(preset) ? (JSON.parse(preset) as unknown) : preset }),
  };
}

const parseKeys = (keys: string): Schema =>
  keys === '@'
    ? { 'x-kubernetes-list-type': 'set' }
    : { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': keys.slice(1).split(',') };

function parseBase(base: string, named: ReadonlyMap<string, Schema>): Schema {
  if (base.startsWith('[')) return { type: 'array', items: parseBase(base.slice(1, -1), named) };
  if (base.startsWith('{')) return { type: 'object', additionalProperties: parseBase(base.slice(1, -1), named) };
  const found = SCALARS[base] ?? named.get(base);
  if (found === undefined) throw new Error(`unknown schema ${base}`);
  return found;
}

/** The schema of a field: its own, or the one all values of a map share. */
export const fieldSchema = (schema: Schema, key: string): Schema | undefined =>
  schema.properties?.[key] ??
  (typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined);

/** How a body is read: `typed` refuses wrong types as Go's decoder does, else only unknown fields are pruned. */
export interface Decoding {
  readonly typed: boolean;
  readonly kind: string;
  /** Receives the paths of unknown fields. */
  readonly unknown: string[];
}

/** The value without unknown fields, nulls that mean "not set" and (typed) empty maps and lists; times in UTC. */
export function decode(schema: Schema, value: unknown, how: Decoding, path: string): unknown {
  if (value === null) return undefined;
  if (schema['x-kubernetes-int-or-string'] === true) return value;
  if (how.typed) checkType(schema, value, how, path);
  if (isObj(value)) return decodeObject(schema, value, how, path);
  if (typeof value === 'string') return how.typed ? decodeText(schema, value) : value;
  const { items } = schema;
  if (items === undefined || !Array.isArray(value)) return value;
  return list(value).map((item, index) => decode(items, item, how, `${path}[${index}]`));
}

function decodeObject(schema: Schema, value: Obj, how: Decoding, path: string): Obj {
  const result: Obj = {};
  const open = schema['x-kubernetes-preserve-unknown-fields'] === true || schema.additionalProperties === true;
  for (const [key, item] of Object.entries(value)) {
    const at = path === '' ? key : `${path}.${key}`;
    const child = fieldSchema(schema, key);
    const read = child === undefined ? (open ? item : undefined) : decodeField(child, item, how, at);
    if (read !== undefined) result[key] = read;
    else if (child === undefined && !open) how.unknown.push(at);
  }
  return result;
}

function decodeField(schema: Schema, value: unknown, how: Decoding, path: string): unknown {
  if (value === null && schema.nullable === true) return null;
  const read = decode(schema, value, how, path);
  return how.typed && isEmptyCollection(schema, read) ? undefined : read;
}

const isEmptyCollection = (schema: Schema, value: unknown): boolean =>
  (Array.isArray(value) && value.length === 0) ||
  (schema.additionalProperties !== undefined && isObj(value) && Object.keys(value).length === 0);

const GO_TYPES: Readonly<Record<string, string>> = {
  integer: 'int32',
  boolean: 'bool',
  object: 'struct',
  array: 'slice',
};

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

const hasType = (type: string, value: unknown): boolean =>
  typeName(value) === type || (type === 'number' && typeof value === 'number');

function checkType(schema: Schema, value: unknown, { kind }: Decoding, path: string): void {
  if (value === undefined || schema.type === undefined || hasType(schema.type, value)) return;
  const given = typeName(value).replace('boolean', 'bool').replace('integer', 'number');
  const where = `${kind}.${path.replace(/\[\d+\]/g, '').replace(/^(data|metadata\.\w+)\..*$/, '$1')}`;
  throw badRequest(
    `json: cannot unmarshal ${given} into Go struct field ${where} of type ${GO_TYPES[schema.type] ?? schema.type}`,
  );
}

function decodeText({ format }: Schema, value: string): string {
  if (format === 'micro-time') return decodeMicroTime(value);
  const bad = format === 'byte' ? /[^A-Za-z0-9+/=\r\n]/.exec(value) : null;
  if (bad !== null) throw badRequest(`illegal base64 data at input byte ${bad.index}`);
  if (format !== 'date-time') return value;
  const parsed = Date.parse(value);
  if (Number.isNaN(parsed))
    throw badRequest(`parsing time "${value}" as "2006-01-02T15:04:05Z07:00": cannot parse "${value}" as "2006"`);
  return new Date(parsed).toISOString().replace(/\.\d+Z$/, 'Z');
}

function decodeMicroTime(value: string): string {
  const [, seconds, fraction = '', zone = ''] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(.*)$/.exec(value) ?? [];
  const fail = (rest: string, part: string): Error =>
    badRequest(`parsing time "${value}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "${rest}" as "${part}"`);
  if (seconds === undefined) throw fail(value, '2006');
  if (fraction.length < 7) throw fail(fraction + zone, '.000000');
  const utc = Date.parse(seconds + zone);
  if (fraction.length > 7 || Number.isNaN(utc)) throw fail(fraction.slice(7) + zone, 'Z07:00');
  return `${new Date(utc).toISOString().slice(0, 19)}${fraction}Z`;
}

/** Fills in defaults in place, also inside objects that a default just made. */
export function applyDefaults(schema: Schema, value: unknown): void {
  for (const item of list(value)) applyDefaults(schema.items ?? {}, item);
  if (!isObj(value)) return;
  for (const [key, child] of Object.entries(schema.properties ?? {}))
    if ('default' in child && isMissing(child, value[key])) value[key] = structuredClone(child.default);
  for (const [key, item] of Object.entries(value)) applyDefaults(fieldSchema(schema, key) ?? {}, item);
}

const isMissing = ({ nullable }: Schema, value: unknown): boolean =>
  value === undefined || (value === null && nullable !== true);

/** A value being validated: its field path, and what messages call it (undefined for built-in kinds: Go's words). */
export interface Place {
  readonly field: string;
  readonly label?: string;
}

const inside = ({ field, label }: Place, part: string): Place => {
  const join = (base: string): string => (base === '' ? part.replace(/^\./, '') : base + part);
  return { field: join(field), ...(label === undefined ? {} : { label: join(label) }) };
};

const FORMATS: Readonly<Record<string, (value: string) => boolean>> = {
  ipv4: (value) => isIP(value) === 4,
  ipv6: (value) => isIP(value) === 6,
  'date-time': (value) => !Number.isNaN(Date.parse(value)),
};

const wrongType = ({ field, label = '' }: Place, shown: string, type: string): Cause =>
  badValue(field, shown, `${label} in body must be of type ${type}: ${JSON.stringify(shown)}`, 'FieldValueTypeInvalid');

/** Everything about a value that its schema forbids; CEL rules are separate. */
export function schemaCauses(schema: Schema, value: unknown, at: Place): Cause[] {
  const typed = at.label === undefined;
  const { type = typeName(value), nullable = typed } = schema;
  if (value === null && nullable) return [];
  if (!typed && !hasType(type, value)) return [wrongType(at, typeName(value), type)];
  const causes = schema.enum?.includes(value) === false ? [unsupported(at.field, value, schema.enum)] : [];
  return [...causes, ...contentCauses(schema, value, at)];
}

function contentCauses(schema: Schema, value: unknown, at: Place): Cause[] {
  if (typeof value === 'number') return numberCauses(schema, value, at);
  if (typeof value === 'string') return at.label === undefined ? [] : textCauses(schema, value, at);
  return isObj(value) ? objectCauses(schema, value, at) : listCauses(schema, list(value), at);
}

function objectCauses(schema: Schema, value: Obj, at: Place): Cause[] {
  const missing = (schema.required ?? []).filter((key) => value[key] === undefined);
  const inner = Object.entries(value).flatMap(([key, item]) =>
    schemaCauses(fieldSchema(schema, key) ?? {}, item, inside(at, `.${key}`)),
  );
  return [...missing.map((key) => required(inside(at, `.${key}`).field)), ...inner];
}

function numberCauses(
  { minimum = -Infinity, maximum = Infinity, exclusiveMinimum }: Schema,
  value: number,
  { field, label }: Place,
): Cause[] {
  const words = label === undefined ? 'must be' : `${label} in body should be`;
  if (exclusiveMinimum === true && value <= minimum)
    return [badValue(field, value, `${words} greater than ${minimum}`)];
  if (value < minimum) return [badValue(field, value, `${words} greater than or equal to ${minimum}`)];
  return value > maximum ? [badValue(field, value, `${words} less than or equal to ${maximum}`)] : [];
}

function textCauses(schema: Schema, value: string, at: Place): Cause[] {
  const { field, label } = at;
  const { maxLength = Infinity, minLength = 0, pattern = '', format = '' } = schema;
  const causes: Cause[] = [];
  const should = (words: string): void => void causes.push(badValue(field, value, `${label} in body should ${words}`));
  const tooLong = { reason: 'FieldValueTooLong', message: `Too long: may not be more than ${maxLength} bytes`, field };
  if (value.length > maxLength) causes.push(tooLong);
  if (value.length < minLength) should(`be at least ${minLength} chars long`);
  if (!new RegExp(pattern, 'u').test(value)) should(`match '${pattern}'`);
  if (FORMATS[format]?.(value) === false) causes.push(wrongType(at, value, format));
  return causes;
}

function listCauses(schema: Schema, value: readonly unknown[], at: Place): Cause[] {
  const { field, label = '' } = at;
  const { minItems = 0, maxItems = Infinity, items = {} } = schema;
  const causes = value.flatMap((item, index) => schemaCauses(items, item, inside(at, `[${index}]`)));
  if (value.length > maxItems)
    causes.push({
      reason: 'FieldValueTooMany',
      message: `Too many: ${value.length}: must have at most ${maxItems} items`,
      field,
    });
  if (value.length < minItems)
    causes.push(badValue(field, value.length, `${label} in body should have at least ${minItems} items`));
  const keys = schema['x-kubernetes-list-map-keys'];
  if (label === '' || keys === undefined) return causes;
  const identities = objs(value).map((item) => JSON.stringify(keys.map((key) => item[key])));
  const twice = identities.findIndex((identity, index) => identities.indexOf(identity) < index);
  return twice < 0 ? causes : [...causes, duplicate(`${field}[${twice}]`, dig(value, twice))];
}
