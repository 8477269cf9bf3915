import { isIP } from 'node:net';
import { type Obj, type Resource, obj, objs, text, texts } from './json.ts';
import { type ResourceType } from './registry.ts';
import { type Cause, badValue, notAllowed, required } from './status.ts';

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const VALUE = '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?';
const KEY = '[-._a-zA-Z0-9]+';
const QUALIFIED = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';

const RULES: Readonly<Record<string, string>> = {
  [LABEL]:
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc'",
  [SUBDOMAIN]:
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com'",
  [VALUE]:
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345'",
  [KEY]:
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name'",
  [QUALIFIED]:
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc'",
};

const matching = (field: string, value: string, pattern: string, max: number): Cause[] => {
  if (value.length > max) return [badValue(field, value, `must be no more than ${max} bytes`)];
  const words = `${RULES[pattern]}, regex used for validation is '${pattern}')`;
  return new RegExp(`^${pattern}$`, 'u').test(value) ? [] : [badValue(field, value, words)];
};

function nameCauses({ plural, group }: ResourceType, name: string): Cause[] {
  if (name === '') return [required('metadata.name', 'name or generateName is required')];
  if (group.startsWith('rbac.'))
    return /[/%]/.test(name) ? [badValue('metadata.name', name, "may not contain '/'")] : [];
  const short = plural === 'namespaces' || plural === 'services';
  return matching('metadata.name', name, short ? LABEL : SUBDOMAIN, short ? 63 : 253);
}

const BUILTIN_FINALIZERS = ['orphan', 'foregroundDeletion', 'kubernetes'];
const BARE = 'name is neither a standard finalizer name nor is it fully qualified';

/** What is wrong with an object's metadata. */
export function metaCauses(type: ResourceType, { metadata }: Resource): Cause[] {
  const { name, labels = {}, annotations = {}, finalizers = [], ownerReferences = [] } = metadata;
  const keyCauses = (field: string, keys: Obj): Cause[] =>
    Object.keys(keys).flatMap((key) => matching(field, key.slice(key.indexOf('/') + 1), QUALIFIED, 63));
  const valueCauses = Object.values(labels).flatMap((value) => matching('metadata.labels', value, VALUE, 63));
  const finalizerCauses = finalizers.flatMap((each, index) =>
    BUILTIN_FINALIZERS.includes(each) || each.includes('/')
      ? []
      : [badValue(`metadata.finalizers[${index}]`, each, BARE)],
  );
  const meta = [
    ...keyCauses('metadata.labels', labels),
    ...valueCauses,
    ...keyCauses('metadata.annotations', annotations),
  ];
  return [...nameCauses(type, name), ...meta, ...ownerCauses(ownerReferences), ...finalizerCauses];
}

function ownerCauses(owners: readonly Obj[]): Cause[] {
  const field = 'metadata.ownerReferences';
  const missing = owners.flatMap((owner) =>
    ['apiVersion', 'kind', 'name', 'uid'].filter((key) => text(owner[key]) === ''),
  );
  const controllers = owners
    .filter((owner) => owner.controller === true)
    .map((owner) => `${text(owner.kind)}/${text(owner.name)}`);
  const causes = missing.map((key) => badValue(`${field}.${key}`, '', 'must not be empty'));
  if (controllers.length < 2) return causes;
  const pair = controllers.slice(0, 2).join(' and ');
  return [
    ...causes,
    badValue(
      field,
      owners,
      `Only one reference can have Controller set to true. Found "true" in references for ${pair}`,
    ),
  ];
}

/** What an update of metadata may not do; Kubernetes says each of it twice. */
export function metaUpdateCauses(live: Resource, { metadata }: Resource): Cause[] {
  const causes =
    metadata.uid === live.metadata.uid ? [] : [badValue('metadata.uid', metadata.uid, 'field is immutable')];
  const added = (metadata.finalizers ?? []).filter((each) => !live.metadata.finalizers?.includes(each));
  const words = `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((each) => JSON.stringify(each)).join(', ')}}`;
  if (live.metadata.deletionTimestamp !== undefined && added.length > 0)
    causes.push(notAllowed('metadata.finalizers', words));
  return causes.flatMap((cause) => [cause, cause]);
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

/** Causes for keys of data and binaryData. */
export const dataKeyCauses = (field: string, data: unknown): Cause[] =>
  Object.keys(obj(data)).flatMap((key) => matching(`${field}[${key}]`, key, KEY, 253));

/** Causes for the rules of a role. */
export const ruleCauses = (rules: unknown): Cause[] =>
  objs(rules).flatMap((rule, index) => {
    const needed = texts(rule.nonResourceURLs).length > 0 ? ['verbs'] : ['verbs', 'apiGroups', 'resources'];
    const missing = needed.filter((key) => texts(rule[key]).length === 0);
    return missing.map((key) => required(`rules[${index}].${key}`, `${key} must contain at least one value`));
  });
