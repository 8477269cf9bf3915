import { type Api } from './api.ts';
import { type Obj, type Resource, obj, same, text, timestamp } from './json.ts';
import { type ResourceType } from './registry.ts';
import { type Answer, type ApiRequest } from './request.ts';
import { type Cause, badRequest, badValue, conflict, forbidden, invalid, unsupported } from './status.ts';
import { mustGet } from './writes.ts';

/** How an object is to be deleted. */
export interface Deletion {
  readonly dryRun?: boolean;
  readonly policy?: string;
  readonly graceSeconds?: number | undefined;
  readonly uid?: string;
  readonly resourceVersion?: string;
}

const POLICIES = ['Foreground', 'Background', 'Orphan', 'nil'];

function parseDeletion({ query, body }: ApiRequest): Deletion {
  let given: Obj;
  try {
    given = obj(JSON.parse(body.trim() === '' ? '{}' : body));
  } catch {
    throw badRequest('error decoding DeleteOptions: invalid JSON');
  }
  const { orphanDependents: orphan, preconditions, dryRun, gracePeriodSeconds } = given;
  const policy = text(given.propagationPolicy ?? query.get('propagationPolicy'));
  const causes: Cause[] = [];
  if (policy !== '' && orphan !== undefined)
    causes.push(badValue('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set'));
  if (!['', ...POLICIES].includes(policy)) causes.push(unsupported('propagationPolicy', policy, POLICIES));
  if (causes.length > 0) throw invalid('DeleteOptions', 'meta.k8s.io', '', causes);
  const grace = gracePeriodSeconds ?? query.get('gracePeriodSeconds') ?? undefined;
  const { uid, resourceVersion } = obj(preconditions);
  return {
    ...{
      uid: text(uid),
      resourceVersion: text(resourceVersion),
      policy: policy === '' && orphan === true ? 'Orphan' : policy,
    },
    ...{
      dryRun: query.has('dryRun') || Array.isArray(dryRun),
      graceSeconds: grace === undefined ? undefined : Number(grace),
    },
  };
}

function checkPreconditions({ kind }: ResourceType, { metadata }: Resource, deletion: Deletion): void {
  const check = (what: string, wanted = '', found = '', tail = ''): void => {
    const why = `the ${what} in the precondition (${wanted}) does not match the ${what} in record (${found}). The object might have been ${tail}`;
    if (!['', found].includes(wanted)) throw conflict({ plural: kind, group: '' }, metadata.name, why);
  };
  check('UID', deletion.uid, metadata.uid, 'deleted and then recreated');
  check('ResourceVersion', deletion.resourceVersion, metadata.resourceVersion, 'modified');
}

function podGrace({ spec, status }: Resource, { graceSeconds }: Deletion): number {
  const { nodeName, terminationGracePeriodSeconds } = obj(spec);
  const done = ['Succeeded', 'Failed'].includes(text(obj(status).phase));
  return done || text(nodeName) === '' ? 0 : (graceSeconds ?? Number(terminationGracePeriodSeconds ?? 30));
}

const HOLDS: Readonly<Record<string, string>> = { Orphan: 'orphan', Foreground: 'foregroundDeletion' };

/** The object as it looks while it waits to be deleted; undefined when it goes at once. */
function waiting(api: Api, live: Resource, deletion: Deletion): Resource | undefined {
  const { metadata } = live;
  const { deletionTimestamp, deletionGracePeriodSeconds: before = Infinity, generation } = metadata;
  const mark = { deletionTimestamp: deletionTimestamp ?? timestamp(api.now()) };
  if (live.kind === 'Namespace')
    return { ...live, metadata: { ...metadata, ...mark }, status: { ...obj(live.status), phase: 'Terminating' } };
  const isCrd = live.kind === 'CustomResourceDefinition';
  const hold = isCrd
    ? 'customresourcecleanup.apiextensions.k8s.io'
    : deletionTimestamp === undefined
      ? HOLDS[deletion.policy ?? '']
      : undefined;
  const finalizers = [...new Set([...(metadata.finalizers ?? []), ...(hold === undefined ? [] : [hold])])];
  if (isCrd) return { ...live, metadata: { ...metadata, ...mark, finalizers } };
  const grace = live.kind === 'Pod' ? podGrace(live, deletion) : 0;
  if (finalizers.length === 0 && grace === 0) return undefined;
  if (deletionTimestamp !== undefined && before <= grace) return live;
  const counted =
    generation === undefined ? {} : { generation: generation + (deletionTimestamp === undefined ? 1 : 0) };
  const marks = {
    deletionTimestamp: timestamp(api.now() + grace * 1000),
    deletionGracePeriodSeconds: grace,
    ...counted,
  };
  return { ...live, metadata: { ...metadata, ...marks, ...(finalizers.length === 0 ? {} : { finalizers }) } };
}

const PROTECTED = ['default', 'kube-system', 'kube-public'];

/** Deletes or marks for deletion; answers what is left, or (gone: true) what was removed. */
export function deleteObject(
  api: Api,
  type: ResourceType,
  live: Resource,
  deletion: Deletion,
): { object: Resource; gone: boolean } {
  const { name, generation = 0, deletionTimestamp } = live.metadata;
  checkPreconditions(type, live, deletion);
  if (type.kind === 'Namespace' && PROTECTED.includes(name))
    throw forbidden(type, name, 'this namespace may not be deleted');
  const left = waiting(api, live, deletion);
  if (left !== undefined)
    return {
      object: same(left, live) || deletion.dryRun === true ? left : api.store.put(type.table, left),
      gone: false,
    };
  if (deletion.dryRun !== true) api.store.remove(type.table, live);
  const marks = { deletionTimestamp: timestamp(api.now()), deletionGracePeriodSeconds: 0 };
  const counted = { generation: generation + (deletionTimestamp === undefined ? 1 : 0) };
  return {
    object: type.kind === 'Pod' ? { ...live, metadata: { ...live.metadata, ...marks, ...counted } } : live,
    gone: true,
  };
}

/** DELETE of one object. */
export function handleDelete(api: Api, request: ApiRequest): Answer {
  const { type } = request;
  const { object, gone } = deleteObject(api, type, mustGet(api, request), parseDeletion(request));
  if (!gone || type.returned) return { code: 200, object };
  const { name, uid } = object.metadata;
  const details = { name, ...(type.group === '' ? {} : { group: type.group }), kind: type.plural, uid };
  return { code: 200, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details } };
}

/** DELETE of everything selected; answers the list as it was before. */
export function handleDeleteCollection(api: Api, request: ApiRequest, items: readonly Resource[]): Answer {
  const listMeta = { resourceVersion: String(api.store.revision) };
  const deletion = parseDeletion(request);
  for (const object of items) deleteObject(api, request.type, object, deletion);
  return { code: 200, items, listMeta };
}
