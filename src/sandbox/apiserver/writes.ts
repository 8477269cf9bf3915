import { randomUUID } from 'node:crypto';
import { type Obj, same, text, timestamp, without } from '../../kube/json.ts';
import { ApplyConflictError, applyConfig, trackUpdate, type Writer } from '../../kube/managedfields.ts';
import { checkName, isApply, parseBody, patchDocument, readConfig, readObject, readPatched } from './bodies.ts';
import { customCauses } from './crd.ts';
import { groupVersion, type ResourceType } from './registry.ts';
import type { Answer, Api, ApiRequest, Change, Rules, WriteOptions } from './request.ts';
import { writeOptions } from './request.ts';
import { metaCauses, rulesOf } from './rules.ts';
import { applyDefaults, schemaCauses } from './schema.ts';
import * as status from './status.ts';
import { type Resource } from './store.ts';

/** One write of one object by somebody. */
export type Write = Pick<ApiRequest, 'type' | 'user' | 'namespace' | 'name' | 'subresource'> & {
  readonly options: WriteOptions;
  /** True for PUT, where a resourceVersion may be mandatory. */
  readonly replaces?: boolean;
};

const rulesFor = (type: ResourceType): Rules => (type.custom === undefined ? rulesOf(type.kind) : {});

/** Refuses what would be created in a namespace or for a CRD that is missing or going away. */
function refuseTerminating({ store }: Api, { type, namespace }: Write, name: string): void {
  const crdName = `${type.plural}.${type.group}`;
  const crd = store.get('apiextensions.k8s.io/customresourcedefinitions', undefined, crdName);
  if (crd?.metadata.deletionTimestamp !== undefined)
    throw status.forbidden(type, name, 'create not allowed while custom resource definition is terminating');
  const home = store.get('namespaces', undefined, namespace);
  if (!type.namespaced) return;
  if (home === undefined) throw status.notFound({ plural: 'namespaces', group: '' }, namespace);
  const message = `namespace ${namespace} is being terminated`;
  const causes = [{ reason: 'NamespaceTerminating', message, field: 'metadata.namespace' }];
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
  if (home.metadata.deletionTimestamp !== undefined) throw status.forbidden(type, name, why, { causes });
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
    throw new status.ApiError(500, 'resourceVersion should not be set on objects to be created');
  checkNamespace(write, given);
  const prefix = text(given.metadata.generateName);
  const name = text(given.metadata.name) || (prefix === '' ? '' : prefix + randomUUID().slice(0, 5));
  const place = { name, ...(type.namespaced && { namespace }), ...(type.counted && { generation: 1 }) };
  const own = { ...place, uid: randomUUID(), creationTimestamp: timestamp(api.now()) };
  const metadata = { ...without(given.metadata, ...SERVER_SET), ...own };
  const next: Resource = { ...(type.subresources.has('status') ? without(given, 'status') : given), metadata };
  refuseTerminating(api, write, name);
  settle(api, write, next);
  const live = api.store.get(type.table, next.metadata.namespace, name);
  if (live !== undefined) throw status.alreadyExists(type, name, live.metadata.deletionTimestamp !== undefined);
  next.metadata.managedFields ??= trackUpdate(writerOf(api, write), undefined, next);
  return options.dryRun ? next : api.store.put(type.table, next);
}

function checkNamespace({ type, namespace }: Write, { metadata }: Resource): void {
  if (type.namespaced && ![namespace, ''].includes(metadata.namespace ?? ''))
    throw status.badRequest('the namespace of the provided object does not match the namespace sent on the request');
}

/** Defaults, admission, generation and validation; changes `next`, throws 403 or 422. */
function settle(api: Api, write: Write, next: Resource, live?: Resource): void {
  const { type, user, options } = write;
  const change = { type, next, live, user, dryRun: options.dryRun };
  applyDefaults(type.schema, next);
  rulesFor(type).prepare?.(api, change);
  if (live !== undefined && type.counted) {
    const changed = !same(content(type, live), content(type, next));
    next.metadata.generation = (live.metadata.generation ?? 0) + Number(changed);
  }
  const causes = [...metaCauses(type, next, live), ...contentCauses(api, write, change)];
  if (causes.length > 0) throw status.invalid(type.kind, type.group, next.metadata.name, causes);
}

/** What metadata.generation counts the changes of. */
const content = ({ subresources }: ResourceType, object: Resource): Obj =>
  without(object, 'metadata', subresources.has('status') ? 'status' : '');

function contentCauses(api: Api, { type, subresource }: Write, change: Change): status.Cause[] {
  const { next, live } = change;
  const { schema, custom } = type;
  if (custom === undefined)
    return [...schemaCauses(schema, next, { field: '' }), ...(rulesFor(type).validate?.(api, change) ?? [])];
  if (subresource !== 'status') return customCauses(schema, schema, next, live, { field: '', label: '' });
  const part = schema.properties?.status ?? {};
  return customCauses(schema, part, next.status ?? {}, live?.status, { field: 'status', label: '' });
}

/** Optimistic locking: refuses a stale resourceVersion or (on PUT) another uid. */
function checkVersion({ type, replaces }: Write, { metadata: live }: Resource, { metadata }: Resource): void {
  const { resourceVersion: version = '', uid = '' } = metadata;
  if (version === '' && replaces === true && type.conditional) {
    const cause = status.badValue('metadata.resourceVersion', 0, 'must be specified for an update');
    throw status.invalid(type.plural, type.group, live.name, [cause]);
  }
  if (/\D/.test(version))
    throw new status.ApiError(500, `strconv.ParseUint: parsing ${JSON.stringify(version)}: invalid syntax`);
  if (!['', live.resourceVersion].includes(version)) throw status.conflict(type, live.name, MODIFIED);
  if (replaces === true && !['', live.uid].includes(uid)) throw otherUid(type, live, uid);
}

function otherUid(type: ResourceType, live: Resource['metadata'], uid: string): status.ApiError {
  const key = `/registry/${type.plural}/${live.namespace === undefined ? '' : `${live.namespace}/`}${live.name}`;
  const failed = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${live.uid}`;
  const error = `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ${failed}`;
  return status.conflict(type, live.name, error);
}

const MODIFIED = 'the object has been modified; please apply your changes to the latest version and try again';

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
  if (!isReleased(live, next)) return api.store.put(type.table, next);
  api.store.remove(type.table, live);
  return next;
}

/** Whether a write took the last finalizer of an object that waited only for it to be deleted. */
function isReleased({ metadata: before }: Resource, { kind, metadata }: Resource): boolean {
  const { deletionTimestamp, finalizers = [], deletionGracePeriodSeconds: grace = 0 } = metadata;
  const last = (before.finalizers ?? []).length > 0 && finalizers.length === 0;
  return last && deletionTimestamp !== undefined && grace === 0 && kind !== 'Namespace';
}

type Wanted = Pick<Write, 'type' | 'namespace' | 'name'>;
const lookUp = (api: Api, { type, namespace, name }: Wanted): Resource | undefined =>
  api.store.get(type.table, type.namespaced ? namespace : undefined, name);

/** The stored object a request names, 404 without it. */
export function mustGet(api: Api, wanted: Wanted): Resource {
  const found = lookUp(api, wanted);
  if (found === undefined) throw status.notFound(wanted.type, wanted.name);
  return found;
}

/** POST of an object. */
export function handleCreate(api: Api, request: ApiRequest): Answer {
  const options = writeOptions(request, 'CreateOptions');
  const object = readObject(request, parseBody(request, request.type.kind), request.body, options);
  return { code: 201, object: createObject(api, { ...request, options }, object) };
}

/** PUT of an object or of its status. */
export function handleUpdate(api: Api, request: ApiRequest): Answer {
  const options = writeOptions(request, 'UpdateOptions');
  const object = readObject(request, parseBody(request, request.type.kind), request.body, options);
  checkName(request.name, object);
  const write = { ...request, options, replaces: true };
  const mayCreate = request.type.putCreates && request.subresource === '';
  if (!mayCreate || lookUp(api, request) !== undefined)
    return { code: 200, object: updateObject(api, write, mustGet(api, request), object) };
  const fresh = { ...object, metadata: without(object.metadata, 'resourceVersion') };
  return { code: 201, object: createObject(api, write, fresh) };
}

/** PATCH of an object or of its status, also server-side apply. */
export function handlePatch(api: Api, request: ApiRequest): Answer {
  if (isApply(request)) return handleApply(api, request);
  const options = writeOptions(request, 'PatchOptions');
  const live = mustGet(api, request);
  const apiVersion = groupVersion(request.type.group, request.type.version);
  const object = readPatched(request, patchDocument(request, { ...live, apiVersion }), options);
  checkName(request.name, object);
  return { code: 200, object: updateObject(api, { ...request, options }, live, object) };
}

function handleApply(api: Api, request: ApiRequest): Answer {
  const { type, name, subresource, query } = request;
  const write = { ...request, options: writeOptions(request, 'PatchOptions', true) };
  const config = readConfig(request);
  const force = query.get('force') === 'true';
  const live = subresource === '' ? lookUp(api, request) : mustGet(api, request);
  if (live !== undefined) return { code: 200, object: applyObject(api, write, live, config, force) };
  const { uid } = config.metadata;
  const mismatch = `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`;
  if (uid !== undefined) throw status.conflict(type, name, mismatch);
  return { code: 201, object: createObject(api, write, merge(api, write, undefined, config, force)) };
}

/** A configuration laid over a live object; 409 for conflicts. */
function merge(api: Api, write: Write, live: Resource | undefined, config: Resource, force: boolean): Resource {
  try {
    return applyConfig(writerOf(api, write), live, config, force);
  } catch (error) {
    if (!(error instanceof ApplyConflictError)) throw error;
    throw new status.ApiError(409, error.message, 'Conflict', { causes: error.causes });
  }
}

/** Server-side apply of a configuration to a live object. */
export function applyObject(api: Api, write: Write, live: Resource, config: Resource, force: boolean): Resource {
  checkVersion(write, live, config);
  const ignored = write.subresource === 'status' ? 'spec' : write.type.subresources.has('status') ? 'status' : '';
  const merged = merge(api, write, live, without(config, ignored), force);
  return updateObject(api, write, live, merged, true);
}
