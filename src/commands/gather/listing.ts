import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { KubeObject, ResourceType } from '../../kube/client.ts';
import { isForbidden, isNotFound } from '../../kube/errors.ts';
import { apiVersionOf } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { Collecting } from './collector.ts';
import { objectsPath } from './format.ts';

/** Namespaces with objects of ours. */
export function ownNamespaces({ brokerNamespaces }: Collecting): readonly string[] {
  return [...new Set([OPERATOR_NAMESPACE, ...brokerNamespaces])];
}

export interface ListedKind {
  readonly type: ResourceType;
  /** Only of these; default: of all, or where that is not allowed of our own ones. */
  readonly namespaces?: readonly string[];
  /** The same kind in the version that servers have which do not know `type`. */
  readonly older?: ResourceType;
  /** What of an object is archived; undefined leaves it out. */
  readonly shape?: (object: KubeObject) => KubeObject | undefined;
}

/** Lists one kind in some namespaces; a missing right is noted for each, an unknown kind counts as none. */
async function listIn(
  collecting: Collecting,
  kind: ListedKind,
  namespaces: readonly string[],
): Promise<readonly KubeObject[] | undefined> {
  const lists = await Promise.all(namespaces.map(async (namespace) => listOnce(collecting, kind, namespace)));
  const found = lists.filter((list) => list !== undefined);
  return found.length === 0 ? undefined : found.flat();
}

function nameOf({ plural, group }: ResourceType): string {
  return group === '' ? plural : `${plural}.${group}`;
}

async function listOnce(
  collecting: Collecting,
  { type, older }: Pick<ListedKind, 'type' | 'older'>,
  namespace: string | undefined,
): Promise<readonly KubeObject[] | undefined> {
  const { client, signal } = collecting;
  try {
    return (await client.list(type, { signal, ...(namespace === undefined ? {} : { namespace }) })).items;
  } catch (error) {
    if (isNotFound(error)) return older === undefined ? [] : listOnce(collecting, { type: older }, namespace);
    if (!isForbidden(error)) throw error;
    collecting.fail(`not allowed to list ${nameOf(type)} in ${namespace ?? 'all namespaces'}`);
    return undefined;
  }
}

async function listKind(collecting: Collecting, kind: ListedKind): Promise<readonly KubeObject[] | undefined> {
  const { type, namespaces } = kind;
  if (namespaces !== undefined) return listIn(collecting, kind, namespaces);
  const all = await listOnce(collecting, kind, undefined);
  return all === undefined && type.namespaced ? listIn(collecting, kind, ownNamespaces(collecting)) : all;
}

/** Archives objects of one kind in the file where the reader looks for them, below `folder`. */
export async function archiveObjects(
  { writeYaml }: Pick<Collecting, 'writeYaml'>,
  type: ResourceType,
  objects: readonly KubeObject[],
  folder = '',
): Promise<void> {
  const apiVersion = apiVersionOf(type);
  const whole = objects.map((object) => ({ apiVersion, kind: type.kind, ...object }));
  await writeYaml(`${folder}${objectsPath(type)}`, `${objects.length} × ${type.kind}`, whole);
}

/** Archives all objects of some kinds, each kind in its file; one that fails is noted and does not stop the others. */
export async function archiveKinds(collecting: Collecting, kinds: readonly ListedKind[]): Promise<void> {
  const outcomes = await Promise.allSettled(kinds.map(async (kind) => archiveKind(collecting, kind)));
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') continue;
    if (!(outcome.reason instanceof ExpectedError)) throw outcome.reason;
    collecting.fail(outcome.reason.message);
  }
}

async function archiveKind(collecting: Collecting, kind: ListedKind): Promise<void> {
  const objects = await listKind(collecting, kind);
  if (objects === undefined) return;
  const { type, shape = (object: KubeObject) => object } = kind;
  const kept = objects.flatMap((object) => shape(object) ?? []);
  await archiveObjects(collecting, type, kept);
}
