import { type Api, type Change, type Rules } from './api.ts';
import { compileRule } from './cel.ts';
import { type Obj, isObj, obj, objs, same, text, texts } from './json.ts';
import { type Schema } from './schema.ts';
import { type Cause, badValue, required } from './status.ts';
import { structuralCauses } from './structural.ts';

function prepare(_: Api, { next, live }: Change): void {
  const spec = obj(next['spec']);
  const names = obj(spec['names']);
  names['singular'] ??= text(names['kind']).toLowerCase();
  names['listKind'] ??= `${text(names['kind'])}List`;
  const storage = objs(spec['versions']).find((version) => version['storage'] === true)?.['name'];
  const known = texts(obj(live?.['status'])['storedVersions']);
  const stored = storage === undefined || known.includes(text(storage)) ? known : [...known, text(storage)];
  const status =
    live === undefined ? { conditions: null, acceptedNames: { plural: '', kind: '' } } : obj(next['status']);
  next['status'] = stored.length === 0 ? status : { ...status, storedVersions: stored };
}

const goVersion = (version: Obj): Obj => ({
  Name: version['name'],
  Served: version['served'] === true,
  Storage: version['storage'] === true,
  Deprecated: version['deprecated'] === true,
  DeprecationWarning: version['deprecationWarning'] ?? null,
  Schema: null,
  Subresources: null,
  AdditionalPrinterColumns: null,
  SelectableFields: null,
});

function versionCauses(spec: Obj, status: Obj): Cause[] {
  const versions = objs(spec['versions']);
  const storage = versions.filter((version) => version['storage'] === true);
  const causes: Cause[] = [];
  if (storage.length !== 1)
    causes.push(
      badValue('spec.versions', versions.map(goVersion), 'must have exactly one version marked as storage version'),
    );
  const stored = texts(status['storedVersions']);
  const wanted = text(storage.at(-1)?.['name']);
  if (stored.length === 0)
    causes.push(badValue('status.storedVersions', null, 'must have at least one stored version'));
  else if (wanted !== '' && !stored.includes(wanted))
    causes.push(badValue('status.storedVersions', stored, `must have the storage version ${wanted}`));
  return causes;
}

function nameCauses({ next, live }: Change): Cause[] {
  const spec = obj(next['spec']);
  const group = text(spec['group']);
  const causes: Cause[] = [];
  if (live !== undefined && obj(live['spec'])['group'] !== group)
    return [badValue('spec.group', group, 'field is immutable')];
  if (next.metadata.name !== `${text(obj(spec['names'])['plural'])}.${group}`)
    causes.push(badValue('metadata.name', next.metadata.name, 'must be spec.names.plural+"."+spec.group'));
  const annotation = 'api-approved.kubernetes.io';
  const isProtected = /(^|\.)(k8s|kubernetes)\.io$/.test(group);
  if (isProtected && next.metadata.annotations?.[annotation] === undefined)
    causes.push(
      required(
        `metadata.annotations[${annotation}]`,
        `protected groups must have approval annotation "${annotation}", see https://github.com/kubernetes/enhancements/pull/1111`,
      ),
    );
  if (!['Cluster', 'Namespaced'].includes(text(spec['scope']))) causes.push(required('spec.scope'));
  if (text(obj(spec['names'])['kind']) === '') causes.push(required('spec.names.kind'));
  return causes;
}

/** Words of a schema this server cannot honour; a CRD that uses them is refused rather than served wrongly. */
const UNSUPPORTED = [
  '$ref',
  'uniqueItems',
  'patternProperties',
  'dependencies',
  'messageExpression',
  'fieldPath',
  'optionalOldSelf',
];

function schemaCauses(schema: Schema, at: string, missingType = ''): Cause[] {
  const causes: Cause[] = UNSUPPORTED.filter((word) => (schema as Obj)[word] !== undefined).map((word) =>
    badValue(`${at}.${word}`, (schema as Obj)[word], 'is not supported by this API server'),
  );
  const free = schema['x-kubernetes-int-or-string'] === true || schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (schema.type === undefined && !free) causes.push(required(`${at}.type`, missingType));
  if (schema.default !== undefined)
    causes.push(...structuralCauses(schema, schema.default, { field: `${at}.default`, label: '' }));
  if (schema.pattern !== undefined && !isPattern(schema.pattern))
    causes.push(badValue(`${at}.pattern`, schema.pattern, 'must be a valid regular expression'));
  (schema['x-kubernetes-validations'] ?? []).forEach((validation, index) => {
    causes.push(...celCauses(schema, validation, `${at}.x-kubernetes-validations[${index}]`));
  });
  for (const [name, child] of Object.entries(schema.properties ?? {}))
    causes.push(...schemaCauses(child, `${at}.properties[${name}]`, 'must not be empty for specified object fields'));
  if (schema.items !== undefined)
    causes.push(...schemaCauses(schema.items, `${at}.items`, 'must not be empty for specified array items'));
  if (isObj(schema.additionalProperties))
    causes.push(
      ...schemaCauses(
        schema.additionalProperties,
        `${at}.additionalProperties`,
        'must not be empty for specified object fields',
      ),
    );
  return causes;
}

function isPattern(source: string): boolean {
  try {
    return new RegExp(source, 'u').source !== '';
  } catch {
    return false;
  }
}

function celCauses(schema: Schema, validation: Obj, at: string): Cause[] {
  const causes = UNSUPPORTED.filter((word) => validation[word] !== undefined).map((word) =>
    badValue(`${at}.${word}`, validation[word], 'is not supported by this API server'),
  );
  try {
    compileRule(text(validation['rule']), schema);
  } catch (error) {
    causes.push(
      badValue(
        `${at}.rule`,
        validation['rule'],
        `compilation failed: ERROR: ${error instanceof Error ? error.message : String(error)}`,
      ),
    );
  }
  return causes;
}

function schemasCauses(spec: Obj): Cause[] {
  const versions = objs(spec['versions']);
  const first = obj(versions[0]?.['schema'])['openAPIV3Schema'];
  const shared = versions.every((version) => same(obj(version['schema'])['openAPIV3Schema'], first));
  return versions.flatMap((version, index) => {
    const schema = obj(version['schema'])['openAPIV3Schema'];
    const own = `spec.versions[${index}].schema.openAPIV3Schema`;
    if (!isObj(schema)) return [required(own)];
    if (shared && index > 0) return [];
    const at = shared ? 'spec.validation.openAPIV3Schema' : own;
    if (schema['type'] !== 'object')
      return [badValue(`${at}.type`, schema['type'] ?? '', 'must be object at the root')];
    return schemaCauses(schema as Schema, at);
  });
}

function conversionCauses(spec: Obj): Cause[] {
  const strategy = obj(spec['conversion'])['strategy'];
  return strategy === 'None'
    ? []
    : [badValue('spec.conversion.strategy', strategy, 'only None is supported by this API server')];
}

/** Rules of CustomResourceDefinitions. */
export const crdRules: Rules = {
  conditional: true,
  prepare,
  validate: (_, change) => {
    const spec = obj(change.next['spec']);
    return [
      ...nameCauses(change),
      ...conversionCauses(spec),
      ...versionCauses(spec, obj(change.next['status'])),
      ...schemasCauses(spec),
    ];
  },
};
