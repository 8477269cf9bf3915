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

function readOptions(body: string): Obj {
  try {
    return obj(JSON.parse(body.trim() === '' ? '{}' : body));
  } catch {
    throw badRequest('error decoding DeleteOptions: invalid JSON');
  }
}

function parseDeletion({ query, body }: ApiRequest): Deletion {
  const given: Obj = { ...Object.fromEntries(query), ...readOptions(body) };
  const { orphanDependents: orphan, preconditions, dryRun, gracePeriodSeconds: grace } = given;
  const policy = text(given.propagationPolicy);
  const causes: Cause[] = [];
  if (policy !== '' && orphan !== undefined)
    causes.push(badValue('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set'));
  if (!['', ...POLICIES].includes(policy)) causes.push(unsupported('propagationPolicy', policy, POLICIES));
  if (causes.length > 0) throw invalid('DeleteOptions', 'meta.k8s.io', '', causes);
  const { uid, resourceVersion } = obj(preconditions);
  const graceSeconds = grace === undefined ? undefined : Number(grace);
  const target = { uid: text(uid), resourceVersion: text(resourceVersion) };
  return { ...target, policy: orphan === true ? 'Orphan' : policy, dryRun: dryRun !== undefined, graceSeconds };
}

function checkPreconditions({ kind }: ResourceType, { metadata }: Resource, deletion: Deletion): void {
  const check = (what: string, wanted = '', found = '', tail = ''): void => {
    const why = `the ${what} in the precondition (${wanted}) does not match the ${what} in record (${found}). The object might have been ${tail}`;
    if (!['', found].includes(wanted)) throw conflict({ plural: kind, group: '' }, metadata.name, why);
  };
  check('UID', deletion.uid, metadata.uid, 'deleted and then recreated');
  check('ResourceVersion', deletion.resourceVersion, metadata.resourceVersion, 'modified');
}

/** Seconds a pod on a node has to stop; 0 for everything else. */
function podGrace({ kind, spec, status }: Resource, { graceSeconds }: Deletion): number {
  const { nodeName, terminationGracePeriodSeconds } = obj(spec);
  const done = ['Succeeded', 'Failed'].includes(text(obj(status).phase));
  return kind !== 'Pod' || done || text(nodeName) === ''
    ? 0
    : (graceSeconds ?? Number(terminationGracePeriodSeconds ?? 30));
}

const CRD_CLEANUP = 'customresourcecleanup.apiextensions.k8s.io';
const HOLDS: Readonly<Record<string, string>> = { Orphan: 'orphan', Foreground: 'foregroundDeletion' };

/** The object as it looks while it waits to be deleted; undefined when it goes at once. */
function waiting(api: Api, live: Resource, deletion: Deletion): Resource | undefined {
  const { metadata, kind, status } = live;
  const { deletionTimestamp = timestamp(api.now()) } = metadata;
  const marked = { ...metadata, deletionTimestamp };
  if (kind === 'Namespace') return { ...live, metadata: marked, status: { ...obj(status), phase: 'Terminating' } };
  const isCrd = kind === 'CustomResourceDefinition';
  const finalizers = withHold(metadata, isCrd ? CRD_CLEANUP : HOLDS[text(deletion.policy)]);
  if (isCrd) return { ...live, metadata: { ...marked, finalizers } };
  const grace = podGrace(live, deletion);
  return finalizers.length === 0 && grace === 0 ? undefined : graceful(api, live, finalizers, grace);
}

/** The finalizers, with the one that the deletion itself asks for when it begins. */
function withHold({ finalizers = [], deletionTimestamp }: Resource['metadata'], hold: string | undefined): string[] {
  const begins = hold !== undefined && deletionTimestamp === undefined && !finalizers.includes(hold);
  return begins ? [...finalizers, hold] : finalizers;
}

function graceful(api: Api, live: Resource, finalizers: string[], deletionGracePeriodSeconds: number): Resource {
  const { deletionTimestamp, deletionGracePeriodSeconds: before = Infinity, generation } = live.metadata;
  const first = deletionTimestamp === undefined;
  if (!first && before <= deletionGracePeriodSeconds) return live;
  const at = timestamp(api.now() + deletionGracePeriodSeconds * 1000);
  const counted = generation === undefined ? {} : { generation: generation + (first ? 1 : 0) };
  const held = finalizers.length === 0 ? {} : { finalizers };
  return {
    ...live,
    metadata: { ...live.metadata, deletionTimestamp: at, deletionGracePeriodSeconds, ...counted, ...held },
  };
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
