import { type Obj, copy, isObj, list } from './json.ts';
import { badRequest } from './status.ts';

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
  exclusiveMaximum?: boolean;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  maxProperties?: number;
  pattern?: string;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-embedded-resource'?: boolean;
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
  const lines = source.split('\n').filter((line) => line.includes(': '));
  const named = new Map<string, Schema>();
  for (const line of lines) named.set(line.slice(0, line.indexOf(':')), { type: 'object', properties: {} });
  const lookup = (name: string): Schema => {
    const found = SCALARS[name] ?? named.get(name);
    if (found === undefined) throw new Error(`unknown schema ${name}`);
    return found;
  };
  for (const line of lines) {
    const schema = named.get(line.slice(0, line.indexOf(':')));
    for (const field of line
      .slice(line.indexOf(':') + 1)
      .trim()
      .split(/\s+/)) {
      const at = field.indexOf(':');
      const { schema: type, mandatory } = parseType(field.slice(at + 1), lookup);
      if (schema?.properties !== undefined) schema.properties[field.slice(0, at)] = type;
      if (mandatory) (schema as Schema).required = [...(schema?.required ?? []), field.slice(0, at)];
    }
  }
  return named;
}

const TYPE = /^(\[[^\]]+\]|\{.+?\}(?=$|[!*<>=])|\w+)(@[\w,]*)?(!)?(\*)?(<[^>]+>)?(>=?\d+)?(?:=(.+))?$/;

function parseType(source: string, lookup: (name: string) => Schema): { schema: Schema; mandatory: boolean } {
  const [, base = '', keys, atomic, mandatory, choices, floor, preset] = TYPE.exec(source) ?? [];
  if (base === '') throw new Error(`cannot parse schema type ${source}`);
  const schema = { ...parseBase(base, lookup) };
  if (keys !== undefined) {
    schema['x-kubernetes-list-type'] = keys === '@' ? 'set' : 'map';
    if (keys !== '@') schema['x-kubernetes-list-map-keys'] = keys.slice(1).split(',');
  }
  if (atomic !== undefined) schema['x-kubernetes-map-type'] = 'atomic';
  if (choices !== undefined) schema.enum = choices.slice(1, -1).split('|');
  if (floor !== undefined) {
    schema.minimum = Number(floor.replace(/\D/g, ''));
    schema.exclusiveMinimum = !floor.startsWith('>=');
  }
  if (preset !== undefined) schema.default = /^[\d[{"ntf]/.test(preset) ? (JSON.parse(preset) as unknown) : preset;
  return { schema, mandatory: mandatory !== undefined };
}

function parseBase(base: string, lookup: (name: string) => Schema): Schema {
  if (base.startsWith('[')) return { type: 'array', items: lookup(base.slice(1, -1)) };
  if (base.startsWith('{')) return { type: 'object', additionalProperties: parseBase(base.slice(1, -1), lookup) };
  return lookup(base);
}

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
  if (!Array.isArray(value)) return typeof value === 'string' && how.typed ? decodeText(schema, value, how) : value;
  const { items } = schema;
  if (items === undefined) return value;
  return value.map((item, index) => decode(items, item, how, `${path}[${index}]`));
}

function decodeObject(schema: Schema, value: Obj, how: Decoding, path: string): Obj {
  const result: Obj = {};
  const open = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  const keep =
    schema['x-kubernetes-preserve-unknown-fields'] === true ||
    schema.additionalProperties === true ||
    open !== undefined;
  for (const [key, item] of Object.entries(value)) {
    const at = path === '' ? key : `${path}.${key}`;
    const child = schema.properties?.[key] ?? open;
    if (child === undefined) {
      if (keep || isEmbedded(schema, key)) result[key] = item;
      else how.unknown.push(at);
    } else {
      const read = item === null && child.nullable === true ? null : decode(child, item, how, at);
      if (read !== undefined && !(how.typed && isEmptyCollection(child, read))) result[key] = read;
    }
  }
  return result;
}

const isEmbedded = (schema: Schema, key: string): boolean =>
  schema['x-kubernetes-embedded-resource'] === true && ['apiVersion', 'kind', 'metadata'].includes(key);

const isEmptyCollection = (schema: Schema, value: unknown): boolean =>
  (Array.isArray(value) && value.length === 0) ||
  (schema.type === 'object' && schema.additionalProperties !== undefined && Object.keys(value as Obj).length === 0);

const GO_TYPES: Readonly<Record<string, string>> = {
  integer: 'int32',
  boolean: 'bool',
  object: 'struct',
  array: 'slice',
};

/** The OpenAPI word for the type of a JSON value. */
export function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

/** Whether a JSON value is of a schema's type; integers are numbers too. */
export const hasType = (type: string, value: unknown): boolean =>
  typeName(value) === type || (type === 'number' && typeof value === 'number');

function checkType(schema: Schema, value: unknown, how: Decoding, path: string): void {
  if (schema.type === undefined || hasType(schema.type, value)) return;
  const given = typeName(value) === 'boolean' ? 'bool' : typeName(value).replace('integer', 'number');
  const where = `${how.kind}.${path.replace(/\[\d+\]/g, '').replace(/^(data|labels|annotations)\..*$/, '$1')}`;
  const wanted = GO_TYPES[schema.type] ?? schema.type;
  throw badRequest(`json: cannot unmarshal ${given} into Go struct field ${where} of type ${wanted}`);
}

function decodeText(schema: Schema, value: string, how: Decoding): string {
  if (schema.format === 'byte') return decodeBase64(value);
  if (schema.format === 'date-time') return decodeTime(value);
  return schema.format === 'micro-time' ? decodeMicroTime(value, how) : value;
}

function decodeBase64(value: string): string {
  const bad = /[^A-Za-z0-9+/=\r\n]/.exec(value);
  if (bad !== null) throw badRequest(`illegal base64 data at input byte ${bad.index}`);
  if (value.replace(/\s/g, '').length % 4 !== 0) throw badRequest(`illegal base64 data at input byte ${value.length}`);
  return value;
}

function decodeTime(value: string): string {
  const parsed = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/.test(value) ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(parsed)) return new Date(parsed).toISOString().replace(/\.\d+Z$/, 'Z');
  const quoted = JSON.stringify(value);
  throw badRequest(`parsing time ${quoted} as "2006-01-02T15:04:05Z07:00": cannot parse ${quoted} as "2006"`);
}

function decodeMicroTime(value: string, how: Decoding): string {
  const [, seconds, fraction = '', zone = ''] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(.*)$/.exec(value) ?? [];
  const fail = (rest: string, part: string): Error =>
    badRequest(
      `parsing time ${JSON.stringify(value)} as "2006-01-02T15:04:05.000000Z07:00": cannot parse ${JSON.stringify(rest)} as "${part}"`,
    );
  if (seconds === undefined) throw fail(value, '2006');
  if (fraction.length < 7) throw fail(fraction + zone, '.000000');
  const utc = Date.parse(`${seconds}${zone}`);
  if (fraction.length > 7 || Number.isNaN(utc) || how.kind === '') throw fail(fraction.slice(7) + zone, 'Z07:00');
  return `${new Date(utc).toISOString().slice(0, 19)}${fraction}Z`;
}

/** Fills in defaults in place, also inside objects that a default just made. */
export function applyDefaults(schema: Schema, value: unknown): void {
  if (Array.isArray(value)) {
    if (schema.items !== undefined) for (const item of list(value)) applyDefaults(schema.items, item);
  } else if (isObj(value)) {
    for (const [key, child] of Object.entries(schema.properties ?? {})) {
      const missing = value[key] === undefined || (value[key] === null && child.nullable !== true);
      if (missing && child.default !== undefined) value[key] = copy(child.default);
      if (value[key] !== undefined) applyDefaults(child, value[key]);
    }
    const open = schema.additionalProperties;
    if (typeof open === 'object') for (const item of Object.values(value)) applyDefaults(open, item);
  }
}
