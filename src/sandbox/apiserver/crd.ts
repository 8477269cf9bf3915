import { compileRule } from '../../kube/cel.ts';
import { isObj, list, type Obj, obj, objs, same, text, texts } from '../../kube/json.ts';
import { fieldSchema } from '../../kube/patch.ts';
import { type Rules } from './request.ts';
import { type Place, type Schema, schemaCauses } from './schema.ts';
import { badValue, type Cause, required, when } from './status.ts';
import { type Resource } from './store.ts';

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

/** A version as Go prints it. */
function goVersion({ name, served, storage, deprecated, ...version }: Obj): Obj {
  const flags = { Served: served === true, Storage: storage === true, Deprecated: deprecated === true };
  const rest = { Schema: null, Subresources: null, AdditionalPrinterColumns: null, SelectableFields: null };
  return { Name: name, ...flags, DeprecationWarning: version.deprecationWarning ?? null, ...rest };
}

function versionCauses(spec: Obj, status: Obj): Cause[] {
  const storage = objs(spec.versions).filter((version) => version.storage === true);
  const stored = texts(status.storedVersions);
  const wanted = text(storage.at(-1)?.name);
  const field = 'status.storedVersions';
  const lost = stored.length > 0 && wanted !== '' && !stored.includes(wanted);
  const all = objs(spec.versions).map(goVersion);
  const many = badValue('spec.versions', all, 'must have exactly one version marked as storage version');
  return [
    ...when(storage.length !== 1, many),
    ...when(stored.length === 0, badValue(field, null, 'must have at least one stored version')),
    ...when(lost, badValue(field, stored, `must have the storage version ${wanted}`)),
  ];
}

const APPROVAL = 'api-approved.kubernetes.io';
const PROTECTED = `protected groups must have approval annotation "${APPROVAL}", see https://github.com/kubernetes/enhancements/pull/1111`;
const UNSUPPORTED = 'is not supported by this API server';

function nameCauses({ metadata, spec: given }: Resource, live: Resource | undefined): readonly Cause[] {
  const { names, group: named, scope, conversion, versions } = obj(given);
  const { plural, kind } = obj(names);
  const group = text(named);
  if (live !== undefined && obj(live.spec).group !== group)
    return [badValue('spec.group', group, 'field is immutable')];
  const unapproved = metadata.annotations?.[APPROVAL] === undefined && /(^|\.)(k8s|kubernetes)\.io$/.test(group);
  const misnamed = badValue('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group');
  const scaled = objs(versions).some(({ subresources }) => obj(subresources).scale !== undefined);
  const { strategy } = obj(conversion);
  return [
    ...when(metadata.name !== `${text(plural)}.${group}`, misnamed),
    ...when(unapproved, required(`metadata.annotations[${APPROVAL}]`, PROTECTED)),
    ...when(!['Cluster', 'Namespaced'].includes(text(scope)), required('spec.scope')),
    ...when(text(kind) === '', required('spec.names.kind')),
    ...when(strategy !== 'None', badValue('spec.conversion.strategy', strategy, UNSUPPORTED)),
    ...when(scaled, badValue('spec.versions.subresources.scale', null, UNSUPPORTED)),
  ];
}

/** Words of a schema or of a CEL rule this server cannot honour; a CRD that uses them is refused, not served wrongly. */
const UNKNOWN_WORDS =
  /^(\$ref|(all|any|one)Of|not|uniqueItems|exclusiveMaximum|(min|max)Properties|multipleOf|messageExpression|fieldPath|optionalOldSelf)$/;
const wordCauses = (given: Obj, at: string): readonly Cause[] =>
  Object.keys(given).flatMap((word) =>
    when(UNKNOWN_WORDS.test(word), badValue(`${at}.${word}`, given[word], UNSUPPORTED)),
  );

function attempt(field: string, value: unknown, why: string, action: () => unknown): readonly Cause[] {
  try {
    action();
    return [];
  } catch (error) {
    return [badValue(field, value, `${why}: ${error instanceof Error ? error.message : String(error)}`)];
  }
}

function structureCauses(schema: Schema, at: string, role: string): Cause[] {
  const { type, pattern = '', items, additionalProperties: open, default: preset, properties = {} } = schema;
  const free = schema['x-kubernetes-int-or-string'] ?? schema['x-kubernetes-preserve-unknown-fields'] ?? false;
  const rules = objs(schema['x-kubernetes-validations']).flatMap((each, index) => {
    const here = `${at}.x-kubernetes-validations[${index}]`;
    const compile = (): unknown => compileRule(text(each.rule), schema);
    return [...wordCauses(each, here), ...attempt(`${here}.rule`, each.rule, 'compilation failed: ERROR', compile)];
  });
  const fields = Object.entries(properties);
  return [
    ...wordCauses({ ...schema }, at),
    ...when(type === undefined && !free, required(`${at}.type`, `must not be empty for specified ${role}`)),
    ...(preset === undefined ? [] : schemaCauses(schema, preset, { field: `${at}.default`, label: '' })),
    ...attempt(`${at}.pattern`, pattern, 'must be a valid regular expression', () => new RegExp(pattern, 'u')),
    ...rules,
    ...fields.flatMap(([name, child]) => structureCauses(child, `${at}.properties[${name}]`, 'object fields')),
    ...(items === undefined ? [] : structureCauses(items, `${at}.items`, 'array items')),
    ...(isObj(open) ? structureCauses(open, `${at}.additionalProperties`, 'object fields') : []),
  ];
}

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
  prepare: (_, { next, live }) => prepare(next, live),
  validate: (_, { next, live }) => {
    const spec = obj(next.spec);
    return [...nameCauses(next, live), ...versionCauses(spec, obj(next.status)), ...schemasCauses(spec)];
  },
};

const BLOCKING = /^FieldValue(Required|NotSupported|TypeInvalid|TooLong|TooMany)$/;
const UNCHECKED =
  'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation';

/** Structural causes, and when those do not stand in the way the causes found by CEL rules anywhere in `root`. */
export function customCauses(root: Schema, schema: Schema, value: unknown, old: unknown, at: Place): Cause[] {
  const causes = schemaCauses(schema, value, at);
  if (!JSON.stringify(root).includes('"x-kubernetes-validations"')) return causes;
  if (causes.some(({ reason }) => BLOCKING.test(reason))) return [...causes, badValue('<nil>', null, UNCHECKED)];
  return [...causes, ...ruleCauses(schema, value, old, at.field)];
}

function ruleCauses(schema: Schema, value: unknown, old: unknown, field: string): readonly Cause[] {
  const own = objs(schema['x-kubernetes-validations']).flatMap(({ rule, message }) => {
    if (old === undefined && text(rule).includes('oldSelf')) return [];
    const words = `Invalid value: ${text(message) || `failed rule: ${text(rule)}`}`;
    const failed = { reason: 'FieldValueInvalid', message: words, field };
    let holds = true;
    const run = (): unknown => (holds = compileRule(text(rule), schema)({ self: value, oldSelf: old }));
    return [...attempt(field, undefined, 'rule evaluation error', run), ...when(!holds, failed)];
  });
  const items = list(value).flatMap((item, at) => ruleCauses(schema.items ?? {}, item, undefined, `${field}[${at}]`));
  const fields = Object.entries(obj(value)).flatMap(([key, item]) =>
    ruleCauses(fieldSchema(schema, key) ?? {}, item, obj(old)[key], field === '' ? key : `${field}.${key}`),
  );
  return [...own, ...items, ...fields];
}
