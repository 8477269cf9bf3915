import { randomUUID } from 'node:crypto';
import { parse as parseYaml } from 'yaml';
import { type Api, type Rules } from './api.ts';
import { customCauses } from './crd.ts';
import { type Obj, type Resource, isObj, obj, same, text, timestamp, without } from './json.ts';
import { type Writer, applyConfig, trackUpdate } from './managed.ts';
import { jsonPatch, mergePatch, strategicPatch } from './patch.ts';
import { type ResourceType, groupVersion } from './registry.ts';
import { type Answer, type ApiRequest, type User, type WriteOptions, writeOptions } from './request.ts';
import { rulesOf } from './rules.ts';
import { applyDefaults, decode, schemaCauses } from './schema.ts';
import {
  ApiError,
  MODIFIED,
  alreadyExists,
  badRequest,
  badValue,
  conflict,
  forbidden,
  invalid,
  notFound,
} from './status.ts';
import { metaCauses, metaUpdateCauses } from './validation.ts';

/** One write of one object by somebody. */
export interface Write {
  readonly type: ResourceType;
  readonly user: User;
  readonly options: WriteOptions;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
  /** True for PUT, where a resourceVersion may be mandatory. */
  readonly replaces?: boolean;
}

const UNKNOWN_MEDIA = 'the body of the request was in an unknown format - accepted media types include: ';
const badMedia = (accepted: string): ApiError => new ApiError(415, UNKNOWN_MEDIA + accepted, 'UnsupportedMediaType');
const mediaOf = ({ headers }: ApiRequest): string => (text(headers['content-type']).split(';')[0] ?? '').trim();
const shorten = (body: string): string =>
  body === '' ? '<empty>' : body.length > 30 ? `${body.slice(0, 30)} ...` : body;

/** The JSON object in a body; 400 and 415 in the words of apimachinery. */
export function parseBody(request: ApiRequest, kind: string): Obj {
  const media = mediaOf(request);
  const { body } = request;
  if (!['application/yaml', 'application/json', ''].includes(media))
    throw badMedia('application/json, application/yaml, application/vnd.kubernetes.protobuf');
  try {
    const parsed: unknown = media === 'application/yaml' ? parseYaml(body) : JSON.parse(body);
    if (isObj(parsed)) return parsed;
  } catch {
    // Said below.
  }
  const why = `couldn't get version/kind; json parse error: unexpected end of JSON input (${shorten(body)})`;
  throw badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why}`);
}

const handledAs = ({ kind, version }: ResourceType): string =>
  `${kind} in version "${version}" cannot be handled as a ${kind}`;

function checkKind(type: ResourceType, { apiVersion, kind, metadata }: Obj, raw: string): void {
  const wanted = groupVersion(type.group, type.version);
  if (type.custom === undefined) {
    const as = text(kind ?? type.kind);
    const core = type.group === '' ? 'core' : (type.group.split('.')[0] ?? '');
    const conversion = `converting (${type.version}.${as}) to (${core}.${type.kind}): unknown conversion`;
    if (as !== type.kind)
      throw badRequest(`${as} in version "${type.version}" cannot be handled as a ${type.kind}: ${conversion}`);
    const unregistered = `no kind "${as}" is registered for version "${text(apiVersion)}" in scheme "pkg/api/legacyscheme/scheme.go:30"`;
    if ((apiVersion ?? wanted) !== wanted) throw badRequest(`${handledAs(type)}: ${unregistered}`);
    return;
  }
  const missing = `Object 'Kind' is missing in '${raw}' (${shorten(raw)})`;
  if (kind === undefined)
    throw badRequest(`the object provided is unrecognized (must be of type ${type.kind}): ${missing}`);
  const words = `the API version in the data (${text(apiVersion)}) does not match the expected API version (${wanted})`;
  if (apiVersion !== wanted) throw badRequest(words);
  const cause = badValue('kind', kind, `must be ${type.kind}`);
  if (kind !== type.kind) throw invalid(text(kind), type.group, text(obj(metadata).name), [cause]);
}

/** The known fields of a body as an object of the type's storage version; 400 for wrong JSON types. */
function decodeAs(type: ResourceType, value: Obj, unknown: string[]): Resource {
  const meta = { typed: true, kind: 'ObjectMeta', unknown: [] };
  try {
    const read = obj(decode(type.schema, value, { typed: type.custom === undefined, kind: type.kind, unknown }));
    const metadata = obj(decode(type.schema.properties?.metadata ?? {}, value.metadata, meta)) as Resource['metadata'];
    const head = { kind: type.kind, apiVersion: groupVersion(type.group, type.storageVersion), metadata };
    return { ...head, ...without(read, 'kind', 'apiVersion', 'metadata') };
  } catch (error) {
    throw error instanceof ApiError ? badRequest(`${handledAs(type)}: ${error.message}`) : error;
  }
}

/** Reads a body as an object of the type: right kind, known fields (400 with Strict, else a warning), right JSON types. */
function readObject({ type, warnings }: ApiRequest, body: Obj, raw: string, { validation }: WriteOptions): Resource {
  checkKind(type, body, raw);
  const unknown: string[] = [];
  const read = decodeAs(type, body, unknown);
  const words = unknown.map((path) => `unknown field "${path}"`);
  if (validation === 'Strict' && words.length > 0)
    throw badRequest(`${handledAs(type)}: strict decoding error: ${words.join(', ')}`);
  if (validation !== 'Ignore') warnings.push(...words);
  return read;
}

const rulesFor = (type: ResourceType): Rules =>
  type.custom === undefined ? rulesOf(type.kind) : { conditional: true };
const LETTERS = 'bcdfghjklmnpqrstvwxz2456789';
const suffix = (): string =>
  Array.from({ length: 5 }, () => LETTERS[Math.floor(Math.random() * LETTERS.length)]).join('');

/** Refuses what would be created in a namespace or for a CRD that is missing or going away. */
function refuseTerminating(api: Api, { type, namespace }: Write, name: string): void {
  const crd = api.store.get(
    'apiextensions.k8s.io/customresourcedefinitions',
    undefined,
    `${type.plural}.${type.group}`,
  );
  if (crd?.metadata.deletionTimestamp !== undefined)
    throw forbidden(type, name, 'create not allowed while custom resource definition is terminating');
  const home = api.store.get('namespaces', undefined, namespace);
  if (!type.namespaced) return;
  if (home === undefined) throw notFound({ plural: 'namespaces', group: '' }, namespace);
  const message = `namespace ${namespace} is being terminated`;
  const causes = [{ reason: 'NamespaceTerminating', message, field: 'metadata.namespace' }];
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  if (home.metadata.deletionTimestamp !== undefined) throw forbidden(type, name, why, { causes });
}

const writerOf = (api: Api, { type, options, subresource }: Write): Writer => {
  const apiVersion = groupVersion(type.group, type.version);
  return { schema: type.schema, apiVersion, manager: options.manager, subresource, now: api.now() };
};

const SERVER_SET =
  'resourceVersion deletionTimestamp deletionGracePeriodSeconds generation selfLink uid creationTimestamp'.split(' ');

/** Creates the object and answers what was stored (or would be, on a dry run). */
export function createObject(api: Api, write: Write, given: Resource): Resource {
  const { type, options, namespace } = write;
  if (text(given.metadata.resourceVersion) !== '')
    throw new ApiError(500, 'resourceVersion should not be set on objects to be created');
  checkNamespace(write, given);
  const prefix = text(given.metadata.generateName);
  const name = text(given.metadata.name) || (prefix === '' ? '' : prefix + suffix());
  const own = {
    uid: randomUUID(),
    creationTimestamp: timestamp(api.now()),
    ...(type.counted ? { generation: 1 } : {}),
  };
  const place = { name, ...(type.namespaced ? { namespace } : {}) };
  const metadata = { ...without(given.metadata, ...SERVER_SET), ...place, ...own };
  const next: Resource = { ...(type.subresources.has('status') ? without(given, 'status') : given), metadata };
  refuseTerminating(api, write, name);
  settle(api, write, next);
  const live = api.store.get(type.table, next.metadata.namespace, name);
  if (live !== undefined) throw alreadyExists(type, name, live.metadata.deletionTimestamp !== undefined);
  next.metadata.managedFields ??= trackUpdate(writerOf(api, write), undefined, next);
  return options.dryRun ? next : api.store.put(type.table, next);
}

function checkNamespace({ type, namespace }: Write, { metadata }: Resource): void {
  if (type.namespaced && ![namespace, ''].includes(metadata.namespace ?? ''))
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
}

/** Defaults, admission, generation and validation; changes `next`, throws 403 or 422. */
function settle(api: Api, { type, user, options, subresource }: Write, next: Resource, live?: Resource): void {
  const { custom, schema } = type;
  const rules = rulesFor(type);
  const change = { type, next, live, user, dryRun: options.dryRun };
  applyDefaults(schema, next);
  rules.prepare?.(api, change);
  const content = (object: Resource): Obj =>
    without(object, 'metadata', type.subresources.has('status') ? 'status' : '');
  if (live !== undefined && type.counted)
    next.metadata.generation = (live.metadata.generation ?? 0) + (same(content(live), content(next)) ? 0 : 1);
  const causes = [...(live === undefined ? [] : metaUpdateCauses(live, next)), ...metaCauses(type, next)];
  const at = { field: '', label: '' };
  if (custom === undefined)
    causes.push(...schemaCauses(schema, next, { field: '' }), ...(rules.validate?.(api, change) ?? []));
  else if (subresource !== 'status') causes.push(...customCauses(schema, schema, next, live, at));
  else
    causes.push(
      ...customCauses(schema, schema.properties?.status ?? {}, next.status ?? {}, live?.status, {
        ...at,
        field: 'status',
      }),
    );
  if (causes.length > 0) throw invalid(type.kind, type.group, next.metadata.name, causes);
}

/** Optimistic locking: refuses a stale resourceVersion or (on PUT) another uid. */
function checkVersion({ type, replaces = false }: Write, { metadata: live }: Resource, { metadata }: Resource): void {
  const { resourceVersion = '', uid = '' } = metadata;
  const cause = badValue('metadata.resourceVersion', 0, 'must be specified for an update');
  if (resourceVersion === '' && replaces && rulesFor(type).conditional === true)
    throw invalid(type.plural, type.group, live.name, [cause]);
  if (!/^\d*$/.test(resourceVersion))
    throw new ApiError(500, `strconv.ParseUint: parsing ${JSON.stringify(resourceVersion)}: invalid syntax`);
  if (!['', live.resourceVersion].includes(resourceVersion)) throw conflict(type, live.name, MODIFIED);
  if (!replaces || ['', live.uid].includes(uid)) return;
  const key = ['/registry', type.plural, ...(live.namespace === undefined ? [] : [live.namespace]), live.name].join(
    '/',
  );
  const failed = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${live.uid}`;
  throw conflict(
    type,
    live.name,
    `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ${failed}`,
  );
}

/** What a write may touch: through status only the status, and for built-in kinds metadata. */
function scoped({ type, subresource }: Write, live: Resource, given: Resource): Resource {
  if (subresource === 'finalize') return { ...live, spec: given.spec };
  const { metadata } = type.custom === undefined ? given : live;
  const { managedFields } = given.metadata;
  const tracked = managedFields === undefined ? {} : { managedFields };
  if (subresource === 'status') return { ...live, metadata: { ...metadata, ...tracked }, status: given.status };
  return type.subresources.has('status') ? { ...given, status: live.status } : given;
}

/** Replaces the live object; answers it unchanged, with its resourceVersion, when nothing differs. */
export function updateObject(api: Api, write: Write, live: Resource, given: Resource, applied = false): Resource {
  const { type, options } = write;
  checkNamespace(write, given);
  checkVersion(write, live, given);
  const owned = Object.fromEntries([...SERVER_SET, 'name', 'namespace'].map((key) => [key, live.metadata[key]]));
  const uid = text(given.metadata.uid) || live.metadata.uid;
  const wanted = scoped(write, live, given);
  const next = JSON.parse(JSON.stringify({ ...wanted, metadata: { ...wanted.metadata, ...owned, uid } })) as Resource;
  settle(api, write, next, live);
  if (!applied) next.metadata.managedFields = trackUpdate(writerOf(api, write), live, next);
  if (same(live, next)) return live;
  if (options.dryRun) return next;
  const { finalizers = [], deletionTimestamp } = next.metadata;
  const released =
    deletionTimestamp !== undefined && finalizers.length === 0 && (live.metadata.finalizers ?? []).length > 0;
  if (!released || type.kind === 'Pod') return api.store.put(type.table, next);
  api.store.remove(type.table, live);
  return next;
}

const lookUp = (
  api: Api,
  { type, namespace, name }: Pick<Write, 'type' | 'namespace' | 'name'>,
): Resource | undefined => api.store.get(type.table, type.namespaced ? namespace : undefined, name);

/** The stored object a request names, 404 without it. */
export function mustGet(api: Api, wanted: Pick<Write, 'type' | 'namespace' | 'name'>): Resource {
  const found = lookUp(api, wanted);
  if (found === undefined) throw notFound(wanted.type, wanted.name);
  return found;
}

/** POST of an object. */
export function handleCreate(api: Api, request: ApiRequest): Answer {
  const options = writeOptions(request, 'CreateOptions');
  const object = readObject(request, parseBody(request, request.type.kind), request.body, options);
  return { code: 201, object: createObject(api, { ...request, options }, object) };
}

function checkName(name: string, { metadata }: Resource): void {
  if (!['', name].includes(text(metadata.name)))
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${name})`);
}

/** PUT of an object or of its status. */
export function handleUpdate(api: Api, request: ApiRequest): Answer {
  const options = writeOptions(request, 'UpdateOptions');
  const object = readObject(request, parseBody(request, request.type.kind), request.body, options);
  checkName(request.name, object);
  const write = { ...request, options, replaces: true };
  const creates =
    rulesFor(request.type).putCreates === true && request.subresource === '' && lookUp(api, request) === undefined;
  if (!creates) return { code: 200, object: updateObject(api, write, mustGet(api, request), object) };
  return {
    code: 201,
    object: createObject(api, write, { ...object, metadata: without(object.metadata, 'resourceVersion') }),
  };
}

const JSON_PATCH = 'application/json-patch+json';
const MERGE_PATCH = 'application/merge-patch+json';
const STRATEGIC_PATCH = 'application/strategic-merge-patch+json';

/** Applies a JSON, merge or strategic merge patch body to a JSON document. */
export function patchDocument(request: ApiRequest, document: unknown): Obj {
  const media = mediaOf(request);
  const { custom, schema } = request.type;
  if (![JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH].includes(media))
    throw new ApiError(415, '415: Unsupported Media Type', 'UnsupportedMediaType', {});
  if (media === STRATEGIC_PATCH && custom !== undefined)
    throw badMedia(`${JSON_PATCH}, ${MERGE_PATCH}, application/apply-patch+yaml`);
  let patch: unknown;
  try {
    patch = JSON.parse(request.body);
  } catch {
    throw badRequest('error decoding patch: unexpected end of JSON input');
  }
  if (media === MERGE_PATCH) return obj(mergePatch(document, patch));
  if (media === STRATEGIC_PATCH) return obj(strategicPatch(schema, document, patch));
  if (Array.isArray(patch)) return obj(jsonPatch(document, patch as unknown[]));
  throw badRequest('error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp');
}

/** PATCH of an object or of its status, also server-side apply. */
export function handlePatch(api: Api, request: ApiRequest): Answer {
  if (mediaOf(request) === 'application/apply-patch+yaml') return handleApply(api, request);
  const options = writeOptions(request, 'PatchOptions');
  const live = mustGet(api, request);
  const patched = patchDocument(request, {
    ...live,
    apiVersion: groupVersion(request.type.group, request.type.version),
  });
  const object = readPatched(request, patched, options);
  checkName(request.name, object);
  return { code: 200, object: updateObject(api, { ...request, options }, live, object) };
}

function readPatched(request: ApiRequest, patched: Obj, options: WriteOptions): Resource {
  try {
    return readObject(request, patched, '', options);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 400 || request.type.custom !== undefined) throw error;
    const why = error.message.replace(/^.*? cannot be handled as an? \w+: /, '');
    throw invalid('', '', '', [badValue('patch', JSON.stringify(patched), why)]);
  }
}

/** The configuration in the body of a server-side apply, known fields only. */
function readConfig({ type, name, namespace, body: raw }: ApiRequest): Resource {
  let body: Obj;
  try {
    body = obj(parseYaml(raw, { version: '1.1' }));
  } catch (error) {
    throw badRequest(`error strict decoding YAML: error converting YAML to JSON: yaml: ${String(error)}`);
  }
  if (body.kind === undefined || body.apiVersion === undefined)
    throw badRequest(`invalid object type: /, Kind=${text(body.kind)}`);
  if (obj(body.metadata).managedFields !== undefined) throw badRequest('metadata.managedFields must be nil');
  checkKind(type, body, raw);
  const unknown: string[] = [];
  const config = decodeAs(type, body, unknown);
  const where = `${config.metadata.namespace === undefined ? '' : namespace}/${name}; ${type.group}/${type.version}, Kind=${type.kind}`;
  if (unknown[0] !== undefined)
    throw new ApiError(
      500,
      `failed to create typed patch object (${where}): .${unknown[0]}: field not declared in schema`,
    );
  checkName(name, config);
  return { ...config, metadata: { ...config.metadata, name } };
}

function handleApply(api: Api, request: ApiRequest): Answer {
  const { type, name, subresource, query } = request;
  const write = { ...request, options: writeOptions(request, 'PatchOptions', true) };
  const config = readConfig(request);
  const force = query.get('force') === 'true';
  const live = subresource === '' ? lookUp(api, request) : mustGet(api, request);
  if (live !== undefined) return { code: 200, object: applyObject(api, write, live, config, force) };
  const mismatch = `uid mismatch: the provided object specified uid ${config.metadata.uid}, and no existing object was found`;
  if (config.metadata.uid !== undefined) throw conflict(type, name, mismatch);
  return { code: 201, object: createObject(api, write, applyConfig(writerOf(api, write), undefined, config, force)) };
}

/** Server-side apply of a configuration to a live object. */
export function applyObject(api: Api, write: Write, live: Resource, config: Resource, force: boolean): Resource {
  checkVersion(write, live, config);
  const ignored = write.subresource === 'status' ? 'spec' : write.type.subresources.has('status') ? 'status' : '';
  const merged = applyConfig(writerOf(api, write), live, without(config, ignored), force);
  return updateObject(api, write, live, merged, true);
}
