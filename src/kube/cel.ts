import { Environment } from '@marcbachmann/cel-js';
import { isObj, list } from './json.ts';
import { fieldSchema, type PatchSchema } from './patch.ts';

/** What of a structural schema decides how CEL sees a value. */
interface CelSchema extends PatchSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, CelSchema>>;
  readonly items?: CelSchema;
  readonly additionalProperties?: CelSchema | boolean;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
}

/** Values by the names that rules use; without an old value a rule must not ask for one. */
export type RuleScope = Readonly<Record<'self' | 'oldSelf', unknown>>;

type Declared = string | { readonly [field: string]: Declared };
const CEL_TYPES = new Map([
  ['integer', 'int'],
  ['number', 'double'],
  ['string', 'string'],
  ['boolean', 'bool'],
  ['array', 'list'],
]);

/** What CEL's type checker is to know of a value: fields of objects; elements of lists and maps may be anything. */
function declared(schema: CelSchema): Declared {
  const { type = '', properties } = schema;
  if (schema['x-kubernetes-int-or-string'] === true) return 'dyn';
  if (type !== 'object') return CEL_TYPES.get(type) ?? 'dyn';
  if (properties === undefined || schema['x-kubernetes-preserve-unknown-fields'] === true) return 'map';
  return Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, declared(child)]));
}

/** A value with its integers as CEL has them. */
function celValue(schema: CelSchema, value: unknown): unknown {
  if (schema.type === 'integer' && typeof value === 'number') return BigInt(value);
  if (Array.isArray(value)) return list(value).map((item) => celValue(schema.items ?? {}, item));
  if (!isObj(value)) return value;
  const fields = Object.entries(value).map(([key, item]) => [key, celValue(fieldSchema(schema, key) ?? {}, item)]);
  return Object.fromEntries(fields);
}

/**
 * Compiles a validation rule of a custom resource, in the Common Expression Language, for values of a schema; throws an
 * Error that says what is wrong with it. The compiled rule throws when it meets something that it needs and that is not there.
 */
export function compileRule(source: string, schema: CelSchema): (scope: RuleScope) => boolean {
  const type = declared(schema);
  const options = typeof type === 'string' ? { type } : { schema: type };
  const environment = new Environment().registerVariable('self', options).registerVariable('oldSelf', options);
  const rule = environment.parse(source);
  const { valid, error, type: result } = rule.check();
  if (!valid) throw error ?? new Error('the rule is not valid');
  if (result !== 'bool') throw new Error('cel expression must evaluate to a bool');
  return ({ self, oldSelf }) => {
    const old = oldSelf === undefined ? {} : { oldSelf: celValue(schema, oldSelf) };
    return rule({ self: celValue(schema, self), ...old }) === true;
  };
}
