import { isIP } from 'node:net';
import { type Obj, type Resource, isObj, list, objs, text, texts } from './json.ts';
import { type ResourceType } from './registry.ts';
import { type Schema } from './schema.ts';
import { type Cause, badValue, notAllowed, required, unsupported } from './status.ts';

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const QUALIFIED = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

const LABEL_RULE =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN_RULE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_VALUE_RULE =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED_RULE =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/** Kinds whose names may hold characters such as ":"; their names are path segments. */
const PATH_NAMES: readonly string[] = ['roles', 'rolebindings', 'clusterroles', 'clusterrolebindings'];
const LABEL_NAMES: readonly string[] = ['namespaces', 'services'];

function nameCauses(type: ResourceType, name: string): Cause[] {
  if (name === '') return [required('metadata.name', 'name or generateName is required')];
  if (PATH_NAMES.includes(type.plural)) {
    const bad = ['.', '..'].includes(name) || /[/%]/.test(name);
    return bad ? [badValue('metadata.name', name, "may not contain '/'")] : [];
  }
  const short = LABEL_NAMES.includes(type.plural);
  if (name.length > (short ? 63 : 253))
    return [badValue('metadata.name', name, `must be no more than ${short ? 63 : 253} bytes`)];
  if ((short ? LABEL : SUBDOMAIN).test(name)) return [];
  return [badValue('metadata.name', name, short ? LABEL_RULE : SUBDOMAIN_RULE)];
}

/** What is wrong with an object's metadata. */
export function metaCauses(type: ResourceType, { metadata }: Resource): Cause[] {
  const causes = nameCauses(type, metadata.name);
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    if (!QUALIFIED.test(key)) causes.push(badValue('metadata.labels', key, QUALIFIED_RULE));
    if (value.length > 63) causes.push(badValue('metadata.labels', value, 'must be no more than 63 bytes'));
    else if (!LABEL_VALUE.test(value)) causes.push(badValue('metadata.labels', value, LABEL_VALUE_RULE));
  }
  for (const key of Object.keys(metadata.annotations ?? {}))
    if (!QUALIFIED.test(key.toLowerCase())) causes.push(badValue('metadata.annotations', key, QUALIFIED_RULE));
  return [...causes, ...ownerCauses(metadata.ownerReferences ?? []), ...finalizerCauses(metadata.finalizers ?? [])];
}

function ownerCauses(owners: readonly Obj[]): Cause[] {
  const causes: Cause[] = [];
  for (const owner of owners)
    for (const key of ['apiVersion', 'kind', 'name', 'uid'])
      if (text(owner[key]) === '') causes.push(badValue(`metadata.ownerReferences.${key}`, '', 'must not be empty'));
  const [first, second] = owners
    .filter((owner) => owner['controller'] === true)
    .map((owner) => `${text(owner['kind'])}/${text(owner['name'])}`);
  if (second !== undefined)
    causes.push(
      badValue(
        'metadata.ownerReferences',
        owners,
        `Only one reference can have Controller set to true. Found "true" in references for ${first} and ${second}`,
      ),
    );
  return causes;
}

const finalizerCauses = (finalizers: readonly string[]): Cause[] =>
  finalizers.flatMap((finalizer, index) =>
    ['orphan', 'foregroundDeletion', 'kubernetes'].includes(finalizer) || /^[^/]+\/[^/]+$/.test(finalizer)
      ? []
      : [
          badValue(
            `metadata.finalizers[${index}]`,
            finalizer,
            'name is neither a standard finalizer name nor is it fully qualified',
          ),
        ],
  );

/** What an update of metadata may not do. */
export function metaUpdateCauses(live: Resource, next: Resource): Cause[] {
  const causes: Cause[] = [];
  const immutable = (field: 'uid' | 'name'): void => {
    const value = next.metadata[field];
    const cause = badValue(`metadata.${field}`, value, 'field is immutable');
    if (value !== undefined && value !== live.metadata[field]) causes.push(cause, cause);
  };
  immutable('uid');
  const added = (next.metadata.finalizers ?? []).filter((each) => !live.metadata.finalizers?.includes(each));
  if (live.metadata.deletionTimestamp !== undefined && added.length > 0) {
    const words = added.map((each) => JSON.stringify(each)).join(', ');
    const cause = notAllowed(
      'metadata.finalizers',
      `no new finalizers can be added if the object is being deleted, found new finalizers []string{${words}}`,
    );
    causes.push(cause, cause);
  }
  return causes;
}

/** Required fields, enums and minimums of a built-in schema. */
export function schemaCauses(schema: Schema, value: unknown, path = ''): Cause[] {
  if (Array.isArray(value)) {
    if (schema.items === undefined) return [];
    return list(value).flatMap((item, index) => schemaCauses(schema.items ?? {}, item, `${path}[${index}]`));
  }
  if (isObj(value))
    return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
      if (value[key] === undefined || value[key] === null) return [];
      return schemaCauses(child, value[key], path === '' ? key : `${path}.${key}`);
    });
  if (schema.enum !== undefined && !schema.enum.includes(value)) return [unsupported(path, value, schema.enum)];
  if (schema.minimum === undefined || typeof value !== 'number') return [];
  if (schema.exclusiveMinimum === true)
    return value > schema.minimum ? [] : [badValue(path, value, `must be greater than ${schema.minimum}`)];
  return value >= schema.minimum ? [] : [badValue(path, value, `must be greater than or equal to ${schema.minimum}`)];
}

/** Cause for a port number outside 1-65535. */
export const portCauses = (field: string, value: unknown): Cause[] =>
  typeof value === 'number' && value >= 1 && value <= 65535
    ? []
    : [badValue(field, value, 'must be between 1 and 65535, inclusive')];

/** Cause for a text that is no IP address. */
export const ipCauses = (field: string, value: unknown): Cause[] =>
  isIP(text(value)) > 0
    ? []
    : [badValue(field, value, 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)')];

/** Cause for a text that is no CIDR. */
export function cidrCauses(field: string, value: unknown): Cause[] {
  const [address = '', bits = '', rest] = text(value).split('/');
  const good =
    isIP(address) > 0 && /^\d+$/.test(bits) && Number(bits) <= (isIP(address) === 4 ? 32 : 128) && rest === undefined;
  return good ? [] : [badValue(field, value, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)')];
}

const KEY_RULE =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/** Causes for keys of data and binaryData. */
export const dataKeyCauses = (field: string, data: unknown): Cause[] =>
  Object.keys(isObj(data) ? data : {})
    .filter((key) => !/^[-._a-zA-Z0-9]+$/.test(key))
    .map((key) => badValue(`${field}[${key}]`, key, KEY_RULE));

/** Causes for the rules of a role. */
export const ruleCauses = (rules: unknown): Cause[] =>
  objs(rules).flatMap((rule, index) => {
    const at = `rules[${index}]`;
    const causes: Cause[] = [];
    if (texts(rule['verbs']).length === 0)
      causes.push(required(`${at}.verbs`, 'verbs must contain at least one value'));
    if (texts(rule['nonResourceURLs']).length > 0) return causes;
    if (texts(rule['apiGroups']).length === 0)
      causes.push(required(`${at}.apiGroups`, 'resource rules must supply at least one api group'));
    if (texts(rule['resources']).length === 0)
      causes.push(required(`${at}.resources`, 'resource rules must supply at least one resource'));
    return causes;
  });
