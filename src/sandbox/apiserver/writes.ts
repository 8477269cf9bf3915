import { randomUUID } from 'node:crypto';
import { parse as parseYaml } from 'yaml';
import { type Api, type Change, type Rules } from './api.ts';
import { type Obj, type Resource, copy, isObj, obj, same, text, timestamp, without } from './json.ts';
import { applyConfig, trackUpdate } from './managed.ts';
import { jsonPatch, mergePatch, strategicPatch } from './patch.ts';
import { type ResourceType, groupVersion } from './registry.ts';
import { type Answer, type ApiRequest, type User, type WriteOptions, writeOptions } from './request.ts';
import { fromNewEvent, rulesOf } from './rules.ts';
import { applyDefaults, decode } from './schema.ts';
import {
  ApiError,
  alreadyExists,
  badRequest,
  badValue,
  conflict,
  forbidden,
  invalid,
  modified,
  notFound,
} from './status.ts';
import { customCauses } from './structural.ts';
import { metaCauses, metaUpdateCauses, schemaCauses } from './validation.ts';

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
const badMedia = (accepted: string): ApiError =>
  new ApiError(415, UNKNOWN_MEDIA + accepted, { reason: 'UnsupportedMediaType' });
const mediaOf = (request: ApiRequest): string => (text(request.headers['content-type']).split(';')[0] ?? '').trim();
const shorten = (body: string): string =>
  body === '' ? '<empty>' : body.length > 27 ? `${body.slice(0, 26)} ...` : body;
const END_OF_INPUT = 'unexpected end of JSON input';

/** The JSON object in a body; 400 and 415 in the words of apimachinery. */
export function parseBody(request: ApiRequest, kind: string): Obj {
  const media = mediaOf(request);
  const yaml = media === 'application/yaml';
  if (!yaml && media !== 'application/json' && media !== '')
    throw badMedia('application/json, application/yaml, application/vnd.kubernetes.protobuf');
  const unrecognised = (why: string): ApiError =>
    badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why}`);
  let parsed: unknown;
  try {
    parsed = yaml ? parseYaml(request.body) : JSON.parse(request.body);
  } catch {
    throw unrecognised(`couldn't get version/kind; json parse error: ${END_OF_INPUT} (${shorten(request.body)})`);
  }
  if (!isObj(parsed))
    throw unrecognised(
      `couldn't get version/kind; json parse error: not an object (${Buffer.from(request.body).toString('hex').slice(0, 60)})`,
    );
  return parsed;
}

/** Reads a body as an object of the type: right kind, known fields (400 with Strict, else a warning), right JSON types. */
export function readObject(
  request: ApiRequest,
  body: Obj,
  options: WriteOptions,
  schema = request.type.schema,
): Resource {
  const { type } = request;
  checkKind(type, body, request.body);
  const unknown = options.strict ? duplicateKeys(request.body) : [];
  const read = decodeAs(type, body, unknown, schema);
  if (unknown.length > 0 && options.strict)
    throw badRequest(
      `${handledAs(type)}: strict decoding error: ${unknown.map((each) => (each.includes('"') ? each : `unknown field "${each}"`)).join(', ')}`,
    );
  if (options.warn) request.warnings.push(...unknown.map((path) => `unknown field "${path}"`));
  return read;
}

const handledAs = ({ kind, version }: ResourceType): string =>
  `${kind} in version "${version}" cannot be handled as a ${kind}`;

function checkKind(type: ResourceType, body: Obj, raw: string): void {
  const wanted = groupVersion(type.group, type.version);
  const {
    apiVersion = type.custom === undefined ? wanted : undefined,
    kind = type.custom === undefined ? type.kind : undefined,
  } = body;
  if (kind === undefined)
    throw badRequest(
      `the object provided is unrecognized (must be of type ${type.kind}): Object 'Kind' is missing in '${raw}' (${shorten(raw)})`,
    );
  if (type.custom !== undefined) {
    if (apiVersion !== wanted)
      throw badRequest(
        `the API version in the data (${text(apiVersion)}) does not match the expected API version (${wanted})`,
      );
    if (kind !== type.kind)
      throw invalid(text(kind), type.group, text(obj(body['metadata'])['name']), [
        badValue('kind', kind, `must be ${type.kind}`),
      ]);
  } else if (kind !== type.kind) {
    const internal = type.group === '' ? 'core' : (type.group.split('.')[0] ?? '');
    throw badRequest(
      `${text(kind)} in version "${type.version}" cannot be handled as a ${type.kind}: converting (${type.version}.${text(kind)}) to (${internal}.${type.kind}): unknown conversion`,
    );
  } else if (apiVersion !== wanted)
    throw badRequest(
      `${handledAs(type)}: no kind "${type.kind}" is registered for version "${text(apiVersion)}" in scheme "pkg/api/legacyscheme/scheme.go:30"`,
    );
}

/** Top-level keys that stand twice in a JSON text, as the words of a strict decoding error. */
function duplicateKeys(raw: string): string[] {
  const found: string[] = [];
  let depth = 0;
  const seen = new Set<string>();
  for (const [token, key] of raw.matchAll(/"((?:[^"\\]|\\.)*)"\s*:|"(?:[^"\\]|\\.)*"|[{}[\]]/g)) {
    if (token === '{' || token === '[') depth += 1;
    if (token === '}' || token === ']') depth -= 1;
    if (key === undefined || depth !== 1) continue;
    if (seen.has(key)) found.push(`duplicate field "${key}"`);
    seen.add(key);
  }
  return found;
}

function decodeAs(type: ResourceType, value: Obj, unknown: string[], schema = type.schema): Resource {
  const source = type.group === 'events.k8s.io' ? fromNewEvent(value) : value;
  try {
    const read = decode(schema, source, { typed: type.custom === undefined, kind: type.kind, unknown }) as Obj;
    const meta = obj(
      decode(schema.properties?.['metadata'] ?? {}, source['metadata'], {
        typed: true,
        kind: 'ObjectMeta',
        unknown: [],
      }),
    );
    const apiVersion =
      type.group === 'events.k8s.io' ? 'v1' : groupVersion(type.group, type.custom?.storageVersion ?? type.version);
    return {
      kind: type.kind,
      apiVersion,
      metadata: meta as Resource['metadata'],
      ...without(read, 'kind', 'apiVersion', 'metadata'),
    };
  } catch (error) {
    if (error instanceof ApiError && error.code === 400) throw badRequest(`${handledAs(type)}: ${error.message}`);
    throw error;
  }
}

const rulesFor = (type: ResourceType): Rules =>
  type.custom === undefined ? rulesOf(type.kind) : { conditional: true };

const suffix = (): string =>
  Array.from(
    randomUUID().replaceAll('-', '').slice(0, 5),
    (c) => 'bcdfghjklmnpqrstvwxz2456'[Number.parseInt(c, 16)],
  ).join('');

function refuseNamespace(api: Api, { type, namespace }: Write, name: string): void {
  if (!type.namespaced) return;
  const found = api.store.get('namespaces', undefined, namespace);
  if (found === undefined) throw notFound({ ...type, plural: 'namespaces', group: '' }, namespace);
  if (found.metadata.deletionTimestamp === undefined) return;
  const causes = [
    {
      reason: 'NamespaceTerminating',
      message: `namespace ${namespace} is being terminated`,
      field: 'metadata.namespace',
    },
  ];
  throw forbidden(type, name, `unable to create new content in namespace ${namespace} because it is being terminated`, {
    causes,
  });
}

function refuseTerminatingCrd(api: Api, { type }: Write, name: string): void {
  const crd = api.store.get(
    'apiextensions.k8s.io/customresourcedefinitions',
    undefined,
    `${type.plural}.${type.group}`,
  );
  if (type.custom !== undefined && crd?.metadata.deletionTimestamp !== undefined)
    throw forbidden(type, name, 'create not allowed while custom resource definition is terminating');
}

/** Creates the object and answers what was stored (or would be, on a dry run). */
export function createObject(api: Api, write: Write, given: Resource): Resource {
  const { type, options, namespace } = write;
  if (given.metadata.resourceVersion !== undefined && given.metadata.resourceVersion !== '')
    throw new ApiError(500, 'resourceVersion should not be set on objects to be created');
  checkNamespace(write, given);
  const { generateName } = given.metadata;
  const name =
    text(given.metadata.name) === '' && typeof generateName === 'string' && generateName !== ''
      ? generateName + suffix()
      : text(given.metadata.name);
  const kept: Obj = without(
    given.metadata,
    'resourceVersion',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generation',
    'selfLink',
    'namespace',
    'name',
    'uid',
    'creationTimestamp',
  );
  const metadata: Resource['metadata'] = {
    name,
    ...(type.namespaced ? { namespace } : {}),
    uid: randomUUID(),
    ...(type.counted ? { generation: 1 } : {}),
    creationTimestamp: timestamp(api.now()),
    ...kept,
  };
  const next: Resource = { ...(type.subresources.has('status') ? without(given, 'status') : given), metadata };
  refuseNamespace(api, write, name);
  refuseTerminatingCrd(api, write, name);
  const live = api.store.get(type.table, metadata.namespace, name);
  settle(api, { type, next, user: write.user, dryRun: options.dryRun }, write);
  if (live !== undefined) throw alreadyExists(type, name, live.metadata.deletionTimestamp !== undefined);
  next.metadata.managedFields = given.metadata.managedFields ?? trackUpdate(writerOf(api, write), undefined, next);
  return options.dryRun ? next : api.store.put(type.table, next);
}

const writerOf = (api: Api, { type, options, subresource }: Write): Parameters<typeof trackUpdate>[0] => ({
  type,
  manager: options.manager,
  subresource,
  now: api.now(),
});

function checkNamespace({ type, namespace }: Write, { metadata }: Resource): void {
  if (type.namespaced && (metadata.namespace ?? '') !== '' && metadata.namespace !== namespace)
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
}

/** Defaults, admission and validation; changes `next`, throws 403 or 422. */
function settle(api: Api, change: Change, write: Write): void {
  const { type, next, live } = change;
  const rules = rulesFor(type);
  const onStatus = write.subresource === 'status' && type.custom !== undefined;
  applyDefaults(type.schema, next);
  rules.prepare?.(api, change);
  if (live !== undefined) countGeneration(type, live, next);
  rules.admit?.(api, change);
  const causes = [
    ...(live === undefined ? metaCauses(type, next) : [...metaUpdateCauses(live, next), ...metaCauses(type, next)]),
  ];
  if (type.custom === undefined)
    causes.push(...schemaCauses(type.schema, next), ...(rules.validate?.(api, change) ?? []));
  else if (onStatus)
    causes.push(
      ...customCauses(type.schema.properties?.['status'] ?? {}, next['status'] ?? {}, live?.['status'], {
        field: 'status',
        label: '',
      }),
    );
  else causes.push(...customCauses(type.schema, next, live, { field: '', label: '' }));
  if (causes.length > 0) throw invalid(type.kind, type.group, next.metadata.name, causes);
}

function countGeneration(type: ResourceType, live: Resource, next: Resource): void {
  const content = (object: Resource): Obj =>
    without(object, 'metadata', 'apiVersion', ...(type.subresources.has('status') ? ['status'] : [])) as Obj;
  next.metadata.generation = live.metadata.generation ?? 0;
  if (!type.counted) delete next.metadata.generation;
  else if (!same(content(live), content(next))) next.metadata.generation += 1;
}

function checkVersion(write: Write, live: Resource, given: Resource): void {
  const { type, replaces } = write;
  const { resourceVersion = '' } = given.metadata;
  if (resourceVersion === '') {
    if (replaces === true && rulesFor(type).conditional === true)
      throw invalid(type.plural, type.group, live.metadata.name, [
        badValue('metadata.resourceVersion', 0, 'must be specified for an update'),
      ]);
  } else if (!/^\d+$/.test(resourceVersion))
    throw new ApiError(500, `strconv.ParseUint: parsing ${JSON.stringify(resourceVersion)}: invalid syntax`);
  else if (resourceVersion !== live.metadata.resourceVersion) throw modified(type, live.metadata.name);
  const { uid = '' } = given.metadata;
  if (replaces !== true || uid === '' || uid === live.metadata.uid) return;
  const key = `/registry/${type.plural}/${live.metadata.namespace === undefined ? '' : `${live.metadata.namespace}/`}${live.metadata.name}`;
  const why = `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${uid}, UID in object meta: ${live.metadata.uid}`;
  throw conflict(type.plural, type.group, live.metadata.name, why);
}

/** What a status write may touch: status, and for built-in kinds also metadata. */
function scoped({ type, subresource }: Write, live: Resource, given: Resource): Resource {
  if (subresource === 'finalize') return { ...live, spec: given['spec'] };
  if (subresource === 'status')
    return type.custom === undefined
      ? { ...live, metadata: given.metadata, status: given['status'] }
      : {
          ...live,
          metadata: { ...live.metadata, managedFields: given.metadata.managedFields ?? [] },
          status: given['status'],
        };
  return type.subresources.has('status')
    ? { ...given, ...('status' in live ? { status: live['status'] } : {}) }
    : given;
}

/** Replaces the live object; answers it unchanged, with its resourceVersion, when nothing differs. */
export function updateObject(api: Api, write: Write, live: Resource, given: Resource, applied = false): Resource {
  const { type, options } = write;
  checkNamespace(write, given);
  checkVersion(write, live, given);
  const next = copy(scoped(write, live, given));
  for (const key of Object.keys(next)) if (next[key] === undefined) delete next[key];
  const {
    creationTimestamp,
    deletionTimestamp,
    deletionGracePeriodSeconds,
    generation,
    resourceVersion,
    managedFields,
  } = live.metadata;
  const owned = { creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds, generation, resourceVersion };
  const uid = text(next.metadata.uid) === '' ? live.metadata.uid : next.metadata.uid;
  next.metadata = {
    ...next.metadata,
    ...owned,
    name: live.metadata.name,
    ...(type.namespaced ? { namespace: live.metadata.namespace ?? '' } : {}),
    ...(uid === undefined ? {} : { uid }),
  } as Resource['metadata'];
  for (const [key, value] of Object.entries(next.metadata)) if (value === undefined) delete next.metadata[key];
  settle(api, { type, next, live, user: write.user, dryRun: options.dryRun }, write);
  const fields = applied ? next.metadata.managedFields : trackUpdate(writerOf(api, write), live, next);
  next.metadata.managedFields = fields ?? managedFields ?? [];
  if (same(live, next)) return live;
  if (options.dryRun) return next;
  const { finalizers = [], deletionGracePeriodSeconds: grace = 0 } = next.metadata;
  const released =
    deletionTimestamp !== undefined &&
    finalizers.length === 0 &&
    grace === 0 &&
    (live.metadata.finalizers ?? []).length > 0;
  if (!released || type.kind === 'Namespace') return api.store.put(type.table, next);
  api.store.remove(type.table, live.metadata.namespace, live.metadata.name);
  return next;
}

/** The stored object a request names, 404 without it. */
export function mustGet(api: Api, { type, namespace, name }: Pick<Write, 'type' | 'namespace' | 'name'>): Resource {
  const found = api.store.get(type.table, type.namespaced ? namespace : undefined, name);
  if (found === undefined) throw notFound(type, name);
  return found;
}

/** POST of an object. */
export function handleCreate(api: Api, request: ApiRequest): Answer {
  const options = writeOptions(request, 'CreateOptions');
  const object = readObject(request, parseBody(request, request.type.kind), options);
  return { code: 201, object: createObject(api, { ...request, options, subresource: '' }, object) };
}

function checkName(name: string, object: Resource): void {
  if (text(object.metadata.name) !== '' && object.metadata.name !== name)
    throw badRequest(`the name of the object (${object.metadata.name}) does not match the name on the URL (${name})`);
}

/** PUT of an object or of its status. */
export function handleUpdate(api: Api, request: ApiRequest): Answer {
  const options = writeOptions(request, 'UpdateOptions');
  const object = readObject(request, parseBody(request, request.type.kind), options);
  checkName(request.name, object);
  const write = { ...request, options, replaces: true };
  const live = api.store.get(request.type.table, request.type.namespaced ? request.namespace : undefined, request.name);
  if (live === undefined && rulesFor(request.type).putCreates === true && request.subresource === '')
    return {
      code: 201,
      object: createObject(api, write, { ...object, metadata: without(object.metadata, 'resourceVersion') }),
    };
  return { code: 200, object: updateObject(api, write, live ?? mustGet(api, request), object) };
}

const PATCHES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
];

/** Applies a JSON, merge or strategic merge patch body to a JSON document. */
export function patchDocument(request: ApiRequest, document: unknown): Obj {
  const media = mediaOf(request);
  const { custom } = request.type;
  if (!PATCHES.includes(media))
    throw new ApiError(415, '415: Unsupported Media Type', { reason: 'UnsupportedMediaType', details: {} });
  if (media === PATCHES[2] && custom !== undefined)
    throw badMedia('application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml');
  let patch: unknown;
  try {
    patch = JSON.parse(request.body);
  } catch {
    throw badRequest(`error decoding patch: ${END_OF_INPUT}`);
  }
  if (media !== PATCHES[0])
    return (
      media === PATCHES[1] ? mergePatch(document, patch) : strategicPatch(request.type.schema, document, patch)
    ) as Obj;
  if (!Array.isArray(patch))
    throw badRequest(
      'error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp',
    );
  return jsonPatch(document, patch as unknown[]) as Obj;
}

/** PATCH of an object or of its status, also server-side apply. */
export function handlePatch(api: Api, request: ApiRequest): Answer {
  if (mediaOf(request) === 'application/apply-patch+yaml') return handleApply(api, request);
  const options = writeOptions(request, 'PatchOptions');
  const live = mustGet(api, request);
  const version = groupVersion(request.type.group, request.type.version);
  const patched = patchDocument(request, {
    ...live,
    apiVersion: request.type.custom === undefined ? live.apiVersion : version,
  });
  const object = readPatched(request, patched, options);
  checkName(request.name, object);
  return { code: 200, object: updateObject(api, { ...request, options }, live, object) };
}

function readPatched(request: ApiRequest, patched: Obj, options: WriteOptions): Resource {
  try {
    return readObject({ ...request, body: '' }, patched, options);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 400 || request.type.custom !== undefined) throw error;
    const why = error.message.replace(/^.*? cannot be handled as an? \w+: /, '');
    throw invalid('', '', '', [badValue('patch', JSON.stringify(patched), why)]);
  }
}

function readConfig(request: ApiRequest, strict: boolean): Resource {
  const { type } = request;
  let parsed: unknown;
  try {
    parsed = parseYaml(request.body, { version: '1.1', uniqueKeys: strict });
  } catch (error) {
    throw badRequest(
      `error strict decoding YAML: error converting YAML to JSON: yaml: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  const body = obj(parsed);
  if (body['kind'] === undefined || body['apiVersion'] === undefined)
    throw badRequest(`invalid object type: /, Kind=${text(body['kind'])}`);
  if (obj(body['metadata'])['managedFields'] !== undefined) throw badRequest('metadata.managedFields must be nil');
  checkKind(type, body, request.body);
  const unknown: string[] = [];
  const config = decodeAs(type, body, unknown);
  const first = unknown[0];
  if (first !== undefined)
    throw new ApiError(
      500,
      `failed to create typed patch object (${request.namespace === '' || text(config.metadata.namespace) === '' ? '' : request.namespace}/${request.name}; ${type.group}/${type.version}, Kind=${type.kind}): .${first}: field not declared in schema`,
    );
  checkName(request.name, config);
  return { ...config, metadata: { ...config.metadata, name: request.name } };
}

function handleApply(api: Api, request: ApiRequest): Answer {
  const options = writeOptions(request, 'PatchOptions', true);
  const config = readConfig(request, options.strict);
  const { type, name, namespace } = request;
  const write = { ...request, options };
  const live = api.store.get(type.table, type.namespaced ? namespace : undefined, name);
  const force = request.query.get('force') === 'true';
  if (live === undefined) {
    if (request.subresource !== '') throw notFound(type, name);
    if (config.metadata.uid !== undefined)
      throw conflict(
        type.plural,
        type.group,
        name,
        `uid mismatch: the provided object specified uid ${config.metadata.uid}, and no existing object was found`,
      );
    return { code: 201, object: createObject(api, write, applyConfig(writerOf(api, write), undefined, config, force)) };
  }
  return { code: 200, object: applyObject(api, write, live, config, force) };
}

/** Server-side apply of a configuration to a live object. */
export function applyObject(api: Api, write: Write, live: Resource, config: Resource, force: boolean): Resource {
  checkVersion(write, live, config);
  const relevant =
    write.subresource === 'status'
      ? { ...config, spec: undefined }
      : write.type.subresources.has('status')
        ? without(config, 'status')
        : config;
  const cleaned = JSON.parse(JSON.stringify(relevant)) as Resource;
  const merged = applyConfig(writerOf(api, write), live, cleaned, force);
  return updateObject(api, write, live, merged, true);
}
