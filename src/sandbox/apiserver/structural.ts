import { isIP } from 'node:net';
import { compileRule } from './cel.ts';
import { type Obj, isObj, list, objs, text } from './json.ts';
import { type Schema, hasType, typeName } from './schema.ts';
import { type Cause, badValue, duplicate, required, unsupported } from './status.ts';
import { cidrCauses } from './validation.ts';

/** A value inside a custom resource: its field path, and what messages call it. */
interface Place {
  readonly field: string;
  readonly label: string;
}

const inside = ({ field, label }: Place, part: string): Place => ({
  field: field === '' ? part.replace(/^\./, '') : field + part,
  label: label === '' ? part.replace(/^\./, '') : label + part,
});

const FORMATS: Readonly<Record<string, (value: string) => boolean>> = {
  ipv4: (value) => isIP(value) === 4,
  ipv6: (value) => isIP(value) === 6,
  cidr: (value) => cidrCauses('', value).length === 0,
  'date-time': (value) => /^\d{4}-\d\d-\d\dT/.test(value) && !Number.isNaN(Date.parse(value)),
  uuid: (value) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value),
};

const wrongType = (at: Place, shown: string, type: string): Cause => ({
  reason: 'FieldValueTypeInvalid',
  message: `Invalid value: ${JSON.stringify(shown)}: ${at.label} in body must be of type ${type}: ${JSON.stringify(shown)}`,
  field: at.field,
});

/** Everything about a value that its structural schema forbids; CEL rules are separate. */
export function structuralCauses(schema: Schema, value: unknown, at: Place): Cause[] {
  if (value === null && schema.nullable === true) return [];
  if (schema['x-kubernetes-int-or-string'] === true && !['integer', 'string'].includes(typeName(value)))
    return [wrongType(at, typeName(value), 'integer,string')];
  if (schema.type !== undefined && schema['x-kubernetes-int-or-string'] !== true && !hasType(schema.type, value))
    return [wrongType(at, typeName(value), schema.type)];
  const causes: Cause[] =
    schema.enum === undefined || schema.enum.includes(value) ? [] : [unsupported(at.field, value, schema.enum)];
  if (typeof value === 'number') causes.push(...numberCauses(schema, value, at));
  if (typeof value === 'string') causes.push(...textCauses(schema, value, at));
  if (Array.isArray(value)) causes.push(...listCauses(schema, list(value), at));
  if (isObj(value)) causes.push(...objectCauses(schema, value, at));
  return [...causes, ...combinedCauses(schema as Obj, value, at)];
}

function numberCauses(schema: Schema, value: number, at: Place): Cause[] {
  const causes: Cause[] = [];
  const check = (bad: boolean, words: string): void => {
    if (bad) causes.push(badValue(at.field, value, `${at.label} in body should be ${words}`));
  };
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  if (minimum !== undefined)
    if (exclusiveMinimum === true) check(value <= minimum, `greater than ${minimum}`);
    else check(value < minimum, `greater than or equal to ${minimum}`);
  if (maximum !== undefined)
    if (exclusiveMaximum === true) check(value >= maximum, `less than ${maximum}`);
    else check(value > maximum, `less than or equal to ${maximum}`);
  return causes;
}

function textCauses(schema: Schema, value: string, at: Place): Cause[] {
  const causes: Cause[] = [];
  const { maxLength, minLength, pattern, format } = schema;
  if (maxLength !== undefined && [...value].length > maxLength)
    causes.push({
      reason: 'FieldValueTooLong',
      message: `Too long: may not be more than ${maxLength} bytes`,
      field: at.field,
    });
  if (minLength !== undefined && [...value].length < minLength)
    causes.push(badValue(at.field, value, `${at.label} in body should be at least ${minLength} chars long`));
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(value))
    causes.push(badValue(at.field, value, `${at.label} in body should match '${pattern}'`));
  if (format !== undefined && FORMATS[format]?.(value) === false) causes.push(wrongType(at, value, format));
  return causes;
}

function listCauses(schema: Schema, value: readonly unknown[], at: Place): Cause[] {
  const causes: Cause[] = [];
  const { minItems, maxItems, items } = schema;
  if (maxItems !== undefined && value.length > maxItems)
    causes.push({
      reason: 'FieldValueTooMany',
      message: `Too many: ${value.length}: must have at most ${maxItems} items`,
      field: at.field,
    });
  if (minItems !== undefined && value.length < minItems)
    causes.push(badValue(at.field, value.length, `${at.label} in body should have at least ${minItems} items`));
  const type = schema['x-kubernetes-list-type'];
  const seen = new Set<string>();
  value.forEach((item, index) => {
    const keys = schema['x-kubernetes-list-map-keys'] ?? [];
    const key = type === 'map' && isObj(item) ? Object.fromEntries(keys.map((name) => [name, item[name]])) : item;
    if ((type === 'map' || type === 'set') && seen.has(JSON.stringify(key)))
      causes.push(duplicate(`${at.field}[${index}]`, key));
    seen.add(JSON.stringify(key));
    if (items !== undefined) causes.push(...structuralCauses(items, item, inside(at, `[${index}]`)));
  });
  return causes;
}

function objectCauses(schema: Schema, value: Obj, at: Place): Cause[] {
  const missing = (schema.required ?? []).filter((key) => value[key] === undefined);
  const causes = missing.map((key) => required(inside(at, `.${key}`).field));
  const count = Object.keys(value).length;
  if (schema.minProperties !== undefined && count < schema.minProperties)
    causes.push(
      badValue(at.field, count, `${at.label} in body should have at least ${schema.minProperties} properties`),
    );
  if (schema.maxProperties !== undefined && count > schema.maxProperties)
    causes.push({
      reason: 'FieldValueTooMany',
      message: `Too many: ${count}: must have at most ${schema.maxProperties} items`,
      field: at.field,
    });
  const open = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  for (const [key, item] of Object.entries(value)) {
    const child = schema.properties?.[key] ?? open;
    if (child !== undefined) causes.push(...structuralCauses(child, item, inside(at, `.${key}`)));
  }
  return causes;
}

function combinedCauses(schema: Obj, value: unknown, at: Place): Cause[] {
  const passes = (each: unknown): boolean => structuralCauses(each as Schema, value, at).length === 0;
  const causes = objs(schema['allOf']).flatMap((each) => structuralCauses(each as Schema, value, at));
  const fail = (words: string): void =>
    void causes.push(badValue(at.field, value, `${at.label} in body must ${words}`));
  const { anyOf, oneOf, not } = schema;
  if (Array.isArray(anyOf) && !objs(anyOf).some(passes)) fail('validate at least one schema (anyOf)');
  if (Array.isArray(oneOf) && objs(oneOf).filter(passes).length !== 1) fail('validate one and only one schema (oneOf)');
  if (isObj(not) && passes(not)) fail('not validate the schema (not)');
  return causes;
}

/** Whether a schema has CEL rules anywhere. */
export const hasRules = (schema: Schema): boolean => JSON.stringify(schema).includes('"x-kubernetes-validations"');

const BLOCKING = [
  'FieldValueRequired',
  'FieldValueNotSupported',
  'FieldValueTypeInvalid',
  'FieldValueTooLong',
  'FieldValueTooMany',
];

/** Structural causes, and when those do not stand in the way the causes found by CEL rules. */
export function customCauses(schema: Schema, value: unknown, old: unknown, at: Place): Cause[] {
  const causes = structuralCauses(schema, value, at);
  if (!hasRules(schema)) return causes;
  if (!causes.some(({ reason }) => BLOCKING.includes(reason)))
    return [...causes, ...ruleCauses(schema, value, old, at.field)];
  const why =
    'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation';
  return [...causes, badValue('<nil>', null, why)];
}

function ruleCauses(schema: Schema, value: unknown, old: unknown, field: string): Cause[] {
  const causes: Cause[] = [];
  for (const validation of schema['x-kubernetes-validations'] ?? []) {
    const source = text(validation['rule']);
    const rule = compileRule(source, schema);
    if (rule.transition && old === undefined) continue;
    const message = text(validation['message']) === '' ? `failed rule: ${source}` : text(validation['message']);
    const fail = (why: string): void =>
      void causes.push({ reason: 'FieldValueInvalid', message: `Invalid value: ${why}`, field });
    try {
      if (rule.run(value, old) !== true) fail(message);
    } catch (error) {
      fail(`rule evaluation error: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const open = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  const visit = (child: Schema | undefined, item: unknown, before: unknown, part: string): void => {
    if (child !== undefined) causes.push(...ruleCauses(child, item, before, inside({ field, label: '' }, part).field));
  };
  if (Array.isArray(value)) list(value).forEach((item, index) => visit(schema.items, item, undefined, `[${index}]`));
  else if (isObj(value))
    for (const [key, item] of Object.entries(value))
      visit(schema.properties?.[key] ?? open, item, isObj(old) ? old[key] : undefined, `.${key}`);
  return causes;
}
