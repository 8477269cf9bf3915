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
  const schema = { ...parseBase(base, named) };
  if (keys !== undefined) schema['x-kubernetes-list-type'] = keys === '@' ? 'set' : 'map';
  if (keys !== undefined && keys !== '@') schema['x-kubernetes-list-map-keys'] = keys.slice(1).split(',');
  if (atomic !== undefined) schema['x-kubernetes-map-type'] = 'atomic';
  if (choices !== undefined) schema.enum = choices.slice(1, -1).split('|');
  if (floor !== undefined)
    Object.assign(schema, { minimum: Number(floor.replace(/\D/g, '')), exclusiveMinimum: !floor.startsWith('>=') });
  if (preset !== undefined) schema.default = /^[\d[{"ntf]/.test(preset) ? (JSON.parse(preset) as unknown) : preset;
  return schema;
}

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
export function decode(schema: Schema, value: unknown, how: Decoding, path = ''): unknown {
  if (value === null || value === undefined) return undefined;
  if (schema['x-kubernetes-int-or-string'] === true) return value;
  if (how.typed) checkType(schema, value, how, path);
  if (isObj(value)) return decodeObject(schema, value, how, path);
  if (typeof value === 'string' && how.typed) return decodeText(schema, value);
  const { items } = schema;
  if (!Array.isArray(value) || items === undefined) return value;
  return list(value).map((item, index) => decode(items, item, how, `${path}[${index}]`));
}

function decodeObject(schema: Schema, value: Obj, how: Decoding, path: string): Obj {
  const result: Obj = {};
  const open = schema['x-kubernetes-preserve-unknown-fields'] === true || schema.additionalProperties === true;
  for (const [key, item] of Object.entries(value)) {
    const at = path === '' ? key : `${path}.${key}`;
    const child = fieldSchema(schema, key);
    if (child === undefined && open) result[key] = item;
    else if (child === undefined) how.unknown.push(at);
    else {
      const read = item === null && child.nullable === true ? null : decode(child, item, how, at);
      if (read !== undefined && !(how.typed && isEmptyCollection(child, read))) result[key] = read;
    }
  }
  return result;
}

const isEmptyCollection = (schema: Schema, value: unknown): boolean =>
  (Array.isArray(value) && value.length === 0) ||
  (schema.additionalProperties !== undefined && Object.keys(value as Obj).length === 0);

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
  if (schema.type === undefined || hasType(schema.type, value)) return;
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
  for (const item of list(value)) if (schema.items !== undefined) applyDefaults(schema.items, item);
  if (!isObj(value)) return;
  for (const [key, child] of Object.entries(schema.properties ?? {}))
    if (
      (value[key] ?? undefined) === undefined &&
      child.default !== undefined &&
      !(value[key] === null && child.nullable === true)
    )
      value[key] = structuredClone(child.default);
  for (const [key, item] of Object.entries(value)) applyDefaults(fieldSchema(schema, key) ?? {}, item);
}

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
  if (value === null && (schema.nullable === true || at.label === undefined)) return [];
  if (schema.type !== undefined && at.label !== undefined && !hasType(schema.type, value))
    return [wrongType(at, typeName(value), schema.type)];
  const causes = schema.enum?.includes(value) === false ? [unsupported(at.field, value, schema.enum)] : [];
  if (typeof value === 'number') causes.push(...numberCauses(schema, value, at));
  if (typeof value === 'string' && at.label !== undefined) causes.push(...textCauses(schema, value, at));
  if (Array.isArray(value)) causes.push(...listCauses(schema, list(value), at));
  if (!isObj(value)) return causes;
  for (const key of schema.required ?? [])
    if (value[key] === undefined) causes.push(required(inside(at, `.${key}`).field));
  for (const [key, item] of Object.entries(value))
    causes.push(...schemaCauses(fieldSchema(schema, key) ?? {}, item, inside(at, `.${key}`)));
  return causes;
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

function textCauses(
  { maxLength = Infinity, minLength = 0, pattern = '', format = '' }: Schema,
  value: string,
  at: Place,
): Cause[] {
  const { field, label = '' } = at;
  const causes: Cause[] = [];
  if (value.length > maxLength)
    causes.push({ reason: 'FieldValueTooLong', message: `Too long: may not be more than ${maxLength} bytes`, field });
  if (value.length < minLength)
    causes.push(badValue(field, value, `${label} in body should be at least ${minLength} chars long`));
  if (!new RegExp(pattern, 'u').test(value))
    causes.push(badValue(field, value, `${label} in body should match '${pattern}'`));
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
