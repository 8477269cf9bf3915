import { isIP } from 'node:net';
import { type Obj, isObj, list, objs, timestamp } from '../../kube/json.ts';
import { fieldSchema } from '../../kube/patch.ts';
import { type Cause, badRequest, badValue, duplicate, required, tooMuch, unsupported, when } from './status.ts';

/** A structural schema: the part of OpenAPI v3 that CRDs use. Built-in kinds are described with the same words. */
export type Schema = Partial<Record<'type' | 'format' | 'pattern', string>> &
  Partial<Record<'x-kubernetes-list-type' | 'x-kubernetes-map-type', string>> &
  Partial<Record<'minimum' | 'maximum' | 'minLength' | 'maxLength' | 'minItems' | 'maxItems', number>> &
  Partial<
    Record<'nullable' | 'exclusiveMinimum' | `x-kubernetes-${'preserve-unknown-fields' | 'int-or-string'}`, boolean>
  > &
  Partial<Record<'enum' | 'x-kubernetes-validations', unknown[]>> &
  Partial<Record<'required' | 'x-kubernetes-list-map-keys', string[]>> & {
    default?: unknown;
    items?: Schema;
    properties?: Record<string, Schema>;
    additionalProperties?: Schema | boolean;
  };

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
  const isCollection = Array.isArray(read) || (schema.additionalProperties !== undefined && isObj(read));
  return how.typed && isCollection && Object.keys(read).length === 0 ? undefined : read;
}

/** JSON types as Go's decoder calls them. */
const GO_TYPES = new Map(Object.entries({ integer: 'int32', boolean: 'bool', object: 'struct', array: 'slice' }));

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
  const wanted = GO_TYPES.get(schema.type) ?? schema.type;
  throw badRequest(`json: cannot unmarshal ${given} into Go struct field ${where} of type ${wanted}`);
}

const unparsable = (value: string, layout: string, rest: string, part: string): Error =>
  badRequest(`parsing time "${value}" as "${layout}": cannot parse "${rest}" as "${part}"`);

function decodeText({ format }: Schema, value: string): string {
  if (format === 'micro-time') return decodeMicroTime(value);
  const bad = format === 'byte' ? /[^A-Za-z0-9+/=\r\n]/.exec(value) : null;
  if (bad !== null) throw badRequest(`illegal base64 data at input byte ${bad.index}`);
  if (format !== 'date-time') return value;
  if (Number.isNaN(Date.parse(value))) throw unparsable(value, '2006-01-02T15:04:05Z07:00', value, '2006');
  return timestamp(Date.parse(value));
}

function decodeMicroTime(value: string): string {
  const [, seconds, fraction = '', zone = ''] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(.*)$/.exec(value) ?? [];
  const layout = '2006-01-02T15:04:05.000000Z07:00';
  if (seconds === undefined) throw unparsable(value, layout, value, '2006');
  if (fraction.length < 7) throw unparsable(value, layout, fraction + zone, '.000000');
  const utc = Date.parse(seconds + zone);
  if (fraction.length > 7 || Number.isNaN(utc)) throw unparsable(value, layout, fraction.slice(7) + zone, 'Z07:00');
  return timestamp(utc).replace('Z', `${fraction}Z`);
}

/** Fills in defaults in place, also inside objects that a default just made. */
export function applyDefaults(schema: Schema, value: unknown): void {
  for (const item of list(value)) applyDefaults(schema.items ?? {}, item);
  if (!isObj(value)) return;
  for (const [key, child] of Object.entries(schema.properties ?? {})) {
    if ('default' in child && isMissing(child, value[key])) value[key] = structuredClone(child.default);
  }
  for (const [key, item] of Object.entries(value)) applyDefaults(fieldSchema(schema, key) ?? {}, item);
}

const isMissing = ({ nullable }: Schema, value: unknown): boolean =>
  value === undefined || (value === null && nullable !== true);

/** A value being validated: its field path, and what messages call it (undefined for built-in kinds: Go's words). */
export type Place = { readonly field: string; readonly label?: string };

const inside = ({ field, label }: Place, part: string): Place => {
  const join = (base: string): string => (base === '' ? part.replace(/^\./, '') : base + part);
  return { field: join(field), ...(label === undefined ? {} : { label: join(label) }) };
};

const FORMATS = new Map<string, (value: string) => boolean>([
  ['ipv4', (value) => isIP(value) === 4],
  ['ipv6', (value) => isIP(value) === 6],
  ['date-time', (value) => !Number.isNaN(Date.parse(value))],
]);
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

function contentCauses(schema: Schema, value: unknown, at: Place): readonly Cause[] {
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

function numberCauses(schema: Schema, value: number, { field, label }: Place): readonly Cause[] {
  const { minimum = -Infinity, maximum = Infinity, exclusiveMinimum } = schema;
  const words = label === undefined ? 'must be' : `${label} in body should be`;
  if (exclusiveMinimum === true && value <= minimum)
    return [badValue(field, value, `${words} greater than ${minimum}`)];
  if (value < minimum) return [badValue(field, value, `${words} greater than or equal to ${minimum}`)];
  return when(value > maximum, badValue(field, value, `${words} less than or equal to ${maximum}`));
}

function textCauses(schema: Schema, value: string, at: Place): Cause[] {
  const { field, label } = at;
  const { maxLength = Infinity, minLength = 0, pattern = '', format = '' } = schema;
  const should = (words: string): Cause => badValue(field, value, `${label} in body should ${words}`);
  return [
    ...when(value.length > maxLength, tooMuch(field, 'Long', `may not be more than ${maxLength} bytes`)),
    ...when(value.length < minLength, should(`be at least ${minLength} chars long`)),
    ...when(!new RegExp(pattern, 'u').test(value), should(`match '${pattern}'`)),
    ...when(FORMATS.get(format)?.(value) === false, wrongType(at, value, format)),
  ];
}

function listCauses(schema: Schema, value: readonly unknown[], at: Place): Cause[] {
  const { field, label = '' } = at;
  const { length } = value;
  const { minItems = 0, maxItems = Infinity, items = {} } = schema;
  const keys = label === '' ? undefined : schema['x-kubernetes-list-map-keys'];
  const identities = objs(keys && value).map((item) => JSON.stringify(keys?.map((key) => item[key])));
  const twice = identities.findIndex((identity, index) => identities.indexOf(identity) < index);
  return [
    ...value.flatMap((item, index) => schemaCauses(items, item, inside(at, `[${index}]`))),
    ...when(length > maxItems, tooMuch(field, 'Many', `${length}: must have at most ${maxItems} items`)),
    ...when(length < minItems, badValue(field, length, `${label} in body should have at least ${minItems} items`)),
    ...when(twice >= 0, duplicate(`${field}[${twice}]`, value[twice])),
  ];
}
