import { type Api } from './api.ts';
import { type Obj, type Resource, isObj, obj, text, timestamp } from './json.ts';
import { type ResourceType } from './registry.ts';
import { type Answer, type ApiRequest } from './request.ts';
import { type Cause, badRequest, badValue, conflict, forbidden, invalid, unsupported } from './status.ts';
import { mustGet } from './writes.ts';

/** How an object is to be deleted. */
export interface Deletion {
  readonly dryRun: boolean;
  readonly policy: string;
  readonly graceSeconds: number | undefined;
  readonly uid: string;
  readonly resourceVersion: string;
}

/** A deletion as the server's own controllers do it. */
export const PLAIN: Deletion = {
  dryRun: false,
  policy: 'Background',
  graceSeconds: undefined,
  uid: '',
  resourceVersion: '',
};

function parseDeletion(request: ApiRequest): Deletion {
  const { query, body } = request;
  let given: Obj = {};
  try {
    given = body.trim() === '' ? {} : obj(JSON.parse(body));
  } catch {
    throw badRequest('error decoding DeleteOptions: invalid JSON');
  }
  const causes: Cause[] = [];
  const policy = text(given['propagationPolicy'] ?? query.get('propagationPolicy'));
  const orphan = given['orphanDependents'];
  if (policy !== '' && orphan !== undefined)
    causes.push(badValue('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set'));
  const known = ['Foreground', 'Background', 'Orphan', 'nil'];
  if (policy !== '' && !known.includes(policy)) causes.push(unsupported('propagationPolicy', policy, known));
  if (causes.length > 0) throw invalid('DeleteOptions', 'meta.k8s.io', '', causes);
  const preconditions = obj(given['preconditions']);
  const grace = given['gracePeriodSeconds'] ?? query.get('gracePeriodSeconds') ?? undefined;
  return {
    dryRun: query.get('dryRun') === 'All' || JSON.stringify(given['dryRun'] ?? []).includes('All'),
    policy: policy === '' && orphan === true ? 'Orphan' : policy,
    graceSeconds: grace === undefined ? undefined : Number(grace),
    uid: text(preconditions['uid']),
    resourceVersion: text(preconditions['resourceVersion']),
  };
}

function checkPreconditions({ kind }: ResourceType, { metadata }: Resource, deletion: Deletion): void {
  const { uid = '', resourceVersion = '', name } = metadata;
  const fail = (what: string, wanted: string, found: string, tail: string): Error =>
    conflict(
      kind,
      '',
      name,
      `the ${what} in the precondition (${wanted}) does not match the ${what} in record (${found}). The object might have been ${tail}`,
    );
  if (deletion.uid !== '' && deletion.uid !== uid) throw fail('UID', deletion.uid, uid, 'deleted and then recreated');
  if (deletion.resourceVersion !== '' && deletion.resourceVersion !== resourceVersion)
    throw fail('ResourceVersion', deletion.resourceVersion, resourceVersion, 'modified');
}

const PROTECTED = ['default', 'kube-system', 'kube-public'];

/** The object as it looks while it waits to be deleted; undefined when it goes at once. */
function waiting(api: Api, type: ResourceType, live: Resource, deletion: Deletion): Resource | undefined {
  const { metadata } = live;
  const already = metadata.deletionTimestamp !== undefined;
  const mark = { deletionTimestamp: metadata.deletionTimestamp ?? timestamp(api.now()) };
  if (type.kind === 'Namespace')
    return { ...live, metadata: { ...metadata, ...mark }, status: { ...obj(live['status']), phase: 'Terminating' } };
  const finalizers = [...(metadata.finalizers ?? [])];
  const add = (finalizer: string): void => void (finalizers.includes(finalizer) || finalizers.push(finalizer));
  if (type.kind === 'CustomResourceDefinition') {
    add('customresourcecleanup.apiextensions.k8s.io');
    return { ...live, metadata: { ...metadata, ...mark, finalizers } };
  }
  if (!already && deletion.policy === 'Orphan') add('orphan');
  if (!already && deletion.policy === 'Foreground') add('foregroundDeletion');
  const grace = type.kind === 'Pod' ? podGrace(live, deletion) : 0;
  if (finalizers.length === 0 && grace === 0) return undefined;
  const before = metadata.deletionGracePeriodSeconds;
  if (already && before !== undefined && before <= grace) return live;
  const generation = metadata.generation === undefined || already ? metadata.generation : metadata.generation + 1;
  const at = timestamp(api.now() + grace * 1000);
  const marks = {
    deletionTimestamp: at,
    deletionGracePeriodSeconds: grace,
    ...(generation === undefined ? {} : { generation }),
  };
  return { ...live, metadata: { ...metadata, ...marks, ...(finalizers.length === 0 ? {} : { finalizers }) } };
}

function podGrace(pod: Resource, { graceSeconds }: Deletion): number {
  const spec = obj(pod['spec']);
  const done = ['Succeeded', 'Failed'].includes(text(obj(pod['status'])['phase']));
  if (done || text(spec['nodeName']) === '') return 0;
  return graceSeconds ?? Number(spec['terminationGracePeriodSeconds'] ?? 30);
}

/** Deletes or marks for deletion; answers what is left, or (gone: true) what was removed. */
export function deleteObject(
  api: Api,
  type: ResourceType,
  live: Resource,
  deletion: Deletion,
): { object: Resource; gone: boolean } {
  const { name, namespace } = live.metadata;
  checkPreconditions(type, live, deletion);
  if (type.kind === 'Namespace' && PROTECTED.includes(name))
    throw forbidden(type, name, 'this namespace may not be deleted');
  const left = waiting(api, type, live, deletion);
  if (left !== undefined) {
    const unchanged = JSON.stringify(left) === JSON.stringify(live);
    return { object: unchanged || deletion.dryRun ? left : api.store.put(type.table, left), gone: false };
  }
  if (!deletion.dryRun) api.store.remove(type.table, namespace, name);
  if (type.kind !== 'Pod') return { object: live, gone: true };
  const generation = (live.metadata.generation ?? 0) + (live.metadata.deletionTimestamp === undefined ? 1 : 0);
  const marks = { deletionTimestamp: timestamp(api.now()), deletionGracePeriodSeconds: 0, generation };
  return { object: { ...live, metadata: { ...live.metadata, ...marks } }, gone: true };
}

/** DELETE of one object. */
export function handleDelete(api: Api, request: ApiRequest): Answer {
  const { type } = request;
  const deletion = parseDeletion(request);
  const { object, gone } = deleteObject(api, type, mustGet(api, request), deletion);
  if (!gone || type.returned) return { code: 200, object };
  const { name, uid } = object.metadata;
  const details = { name, ...(type.group === '' ? {} : { group: type.group }), kind: type.plural, uid };
  return { code: 200, body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details } };
}

/** DELETE of everything selected; answers the list as it was before. */
export function handleDeleteCollection(api: Api, request: ApiRequest, selected: readonly Resource[]): Answer {
  const deletion = parseDeletion(request);
  for (const object of selected) deleteObject(api, request.type, object, deletion);
  return { code: 200, items: selected.filter(isObj), listMeta: { resourceVersion: String(api.store.revision) } };
}
