import { type Rules } from './api.ts';
import { compileRule } from './cel.ts';
import { type Obj, type Resource, isObj, list, obj, objs, same, text, texts } from './json.ts';
import { type Place, type Schema, fieldSchema, schemaCauses } from './schema.ts';
import { type Cause, badValue, required } from './status.ts';

function prepare(next: Resource, live: Resource | undefined): void {
  const spec = obj(next.spec);
  const names = obj(spec.names);
  names.singular ??= text(names.kind).toLowerCase();
  names.listKind ??= `${text(names.kind)}List`;
  const storage = text(objs(spec.versions).find((version) => version.storage === true)?.name);
  const stored = [...new Set([...texts(obj(live?.status).storedVersions), storage])].filter((name) => name !== '');
  const status = live === undefined ? { conditions: null, acceptedNames: { plural: '', kind: '' } } : obj(next.status);
  next.status = stored.length === 0 ? status : { ...status, storedVersions: stored };
}

const goVersion = ({ name, served, storage, deprecated, deprecationWarning }: Obj): Obj => ({
  Name: name,
  Served: served === true,
  Storage: storage === true,
  Deprecated: deprecated === true,
  DeprecationWarning: deprecationWarning ?? null,
  Schema: null,
  Subresources: null,
  AdditionalPrinterColumns: null,
  SelectableFields: null,
});

function versionCauses(spec: Obj, status: Obj): Cause[] {
  const versions = objs(spec.versions);
  const storage = versions.filter((version) => version.storage === true);
  const causes: Cause[] = [];
  if (storage.length !== 1)
    causes.push(
      badValue('spec.versions', versions.map(goVersion), 'must have exactly one version marked as storage version'),
    );
  const stored = texts(status.storedVersions);
  const wanted = text(storage.at(-1)?.name);
  if (stored.length === 0)
    causes.push(badValue('status.storedVersions', null, 'must have at least one stored version'));
  else if (wanted !== '' && !stored.includes(wanted))
    causes.push(badValue('status.storedVersions', stored, `must have the storage version ${wanted}`));
  return causes;
}

const APPROVAL = 'api-approved.kubernetes.io';
const PROTECTED = `protected groups must have approval annotation "${APPROVAL}", see https://github.com/kubernetes/enhancements/pull/1111`;
const UNSUPPORTED = 'is not supported by this API server';

function nameCauses({ metadata, spec: given }: Resource, live: Resource | undefined): Cause[] {
  const spec = obj(given);
  const { plural, kind } = obj(spec.names);
  const group = text(spec.group);
  if (live !== undefined && obj(live.spec).group !== group)
    return [badValue('spec.group', group, 'field is immutable')];
  const causes: Cause[] = [];
  if (metadata.name !== `${text(plural)}.${group}`)
    causes.push(badValue('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group'));
  if (/(^|\.)(k8s|kubernetes)\.io$/.test(group) && metadata.annotations?.[APPROVAL] === undefined)
    causes.push(required(`metadata.annotations[${APPROVAL}]`, PROTECTED));
  if (!['Cluster', 'Namespaced'].includes(text(spec.scope))) causes.push(required('spec.scope'));
  if (text(kind) === '') causes.push(required('spec.names.kind'));
  return [...causes, ...featureCauses(spec)];
}

function featureCauses({ conversion, versions }: Obj): Cause[] {
  const scaled = objs(versions).some(({ subresources }) => obj(subresources).scale !== undefined);
  const { strategy } = obj(conversion);
  const causes = strategy === 'None' ? [] : [badValue('spec.conversion.strategy', strategy, UNSUPPORTED)];
  return scaled ? [...causes, badValue('spec.versions.subresources.scale', null, UNSUPPORTED)] : causes;
}

/** Words of a schema or of a CEL rule this server cannot honour; a CRD that uses them is refused, not served wrongly. */
const UNKNOWN_WORDS =
  '$ref allOf anyOf oneOf not uniqueItems exclusiveMaximum minProperties maxProperties multipleOf messageExpression fieldPath optionalOldSelf'.split(
    ' ',
  );
const wordCauses = (given: object, at: string): Cause[] =>
  UNKNOWN_WORDS.filter((word) => word in given).map((word) =>
    badValue(`${at}.${word}`, (given as Obj)[word], UNSUPPORTED),
  );

function attempt(field: string, value: unknown, why: string, action: () => unknown): Cause[] {
  try {
    action();
    return [];
  } catch (error) {
    return [badValue(field, value, `${why}: ${error instanceof Error ? error.message : String(error)}`)];
  }
}

function structureCauses(schema: Schema, at: string, role: string): Cause[] {
  const causes = wordCauses(schema, at);
  const { type, pattern, items, additionalProperties: open, default: preset } = schema;
  const free = schema['x-kubernetes-int-or-string'] ?? schema['x-kubernetes-preserve-unknown-fields'] ?? false;
  if (type === undefined && !free) causes.push(required(`${at}.type`, `must not be empty for specified ${role}`));
  if (preset !== undefined) causes.push(...schemaCauses(schema, preset, { field: `${at}.default`, label: '' }));
  const check = (): unknown => new RegExp(pattern ?? '', 'u');
  causes.push(
    ...attempt(`${at}.pattern`, pattern, 'must be a valid regular expression', check),
    ...celCauses(schema, at),
  );
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    causes.push(...structureCauses(child, `${at}.properties[${name}]`, 'object fields'));
  if (items !== undefined) causes.push(...structureCauses(items, `${at}.items`, 'array items'));
  return isObj(open) ? [...causes, ...structureCauses(open, `${at}.additionalProperties`, 'object fields')] : causes;
}

const celCauses = (schema: Schema, at: string): Cause[] =>
  (schema['x-kubernetes-validations'] ?? []).flatMap((each, index) => {
    const here = `${at}.x-kubernetes-validations[${index}]`;
    const check = (): unknown => compileRule(text(each.rule), schema);
    return [...wordCauses(each, here), ...attempt(`${here}.rule`, each.rule, 'compilation failed: ERROR', check)];
  });

function schemasCauses(spec: Obj): Cause[] {
  const schemas = objs(spec.versions).map((version) => obj(version.schema).openAPIV3Schema);
  const shared = schemas.every((schema) => same(schema, schemas[0]));
  return schemas.flatMap((schema, index) => {
    const own = `spec.versions[${index}].schema.openAPIV3Schema`;
    if (!isObj(schema)) return [required(own)];
    const at = shared ? 'spec.validation.openAPIV3Schema' : own;
    if (schema.type !== 'object') return [badValue(`${at}.type`, schema.type ?? '', 'must be object at the root')];
    return shared && index > 0 ? [] : structureCauses(schema, at, 'object fields');
  });
}

/** Rules of CustomResourceDefinitions. */
export const crdRules: Rules = {
  conditional: true,
  prepare: (_, { next, live }) => prepare(next, live),
  validate: (_, { next, live }) => [
    ...nameCauses(next, live),
    ...versionCauses(obj(next.spec), obj(next.status)),
    ...schemasCauses(obj(next.spec)),
  ],
};

const BLOCKING =
  'FieldValueRequired FieldValueNotSupported FieldValueTypeInvalid FieldValueTooLong FieldValueTooMany'.split(' ');
const UNCHECKED =
  'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation';

/** Structural causes, and when those do not stand in the way the causes found by CEL rules anywhere in `root`. */
export function customCauses(root: Schema, schema: Schema, value: unknown, old: unknown, at: Place): Cause[] {
  const causes = schemaCauses(schema, value, at);
  if (!JSON.stringify(root).includes('"x-kubernetes-validations"')) return causes;
  if (causes.some(({ reason }) => BLOCKING.includes(reason))) return [...causes, badValue('<nil>', null, UNCHECKED)];
  return [...causes, ...ruleCauses(schema, value, old, at.field)];
}

function ruleCauses(schema: Schema, value: unknown, old: unknown, field: string): Cause[] {
  const causes: Cause[] = [];
  for (const { rule, message } of schema['x-kubernetes-validations'] ?? []) {
    if (old === undefined && text(rule).includes('oldSelf')) continue;
    const run = compileRule(text(rule), schema);
    const failed = attempt('', undefined, 'rule evaluation error', () => {
      if (!run({ self: value, oldSelf: old }))
        causes.push({
          reason: 'FieldValueInvalid',
          message: `Invalid value: ${text(message) || `failed rule: ${text(rule)}`}`,
          field,
        });
    });
    causes.push(...failed.map((cause) => ({ ...cause, field })));
  }
  for (const [index, item] of list(value).entries())
    causes.push(...ruleCauses(schema.items ?? {}, item, undefined, `${field}[${index}]`));
  for (const [key, item] of Object.entries(obj(value)))
    causes.push(
      ...ruleCauses(fieldSchema(schema, key) ?? {}, item, obj(old)[key], field === '' ? key : `${field}.${key}`),
    );
  return causes;
}
