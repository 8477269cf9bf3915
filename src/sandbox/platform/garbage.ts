import type { KubeClient, OwnerReference, ResourceType } from '../../kube/client.ts';
import { attemptAll } from '../controllers/attempts.ts';
import { deleteExactly, inNamespaceOf } from '../controllers/controller.ts';
import { planGarbage, type Found, type GarbageStep } from './garbage-plan.ts';

function typeOf(owner: OwnerReference, types: readonly ResourceType[]): ResourceType | undefined {
  const group = owner.apiVersion.includes('/') ? owner.apiVersion.split('/')[0] : '';
  return types.find((type) => type.group === group && type.kind === owner.kind);
}

/**
 * The owners that are there. Asks the server itself: one that is not known here yet must not cost its dependents their
 * life; one of an unknown kind counts as there.
 */
async function livingOwners(
  client: KubeClient,
  { object }: Found,
  types: readonly ResourceType[],
): Promise<readonly OwnerReference[]> {
  const living: OwnerReference[] = [];
  for (const owner of object.metadata.ownerReferences ?? []) {
    const type = typeOf(owner, types);
    const found = type && (await client.find(type, owner.name, type.namespaced ? inNamespaceOf(object) : {}));
    if (type === undefined || found?.metadata.uid === owner.uid) living.push(owner);
  }
  return living;
}

async function changeMetadata(client: KubeClient, { type, object }: Found, change: object): Promise<void> {
  const metadata = { ...change, resourceVersion: object.metadata.resourceVersion };
  await client.patch(type, object.metadata.name ?? '', { metadata }, { patchType: 'merge', ...inNamespaceOf(object) });
}

async function settleOwners(client: KubeClient, found: Found, types: readonly ResourceType[]): Promise<void> {
  const { type, object } = found;
  const living = await livingOwners(client, found, types);
  if (living.length === 0) await deleteExactly(client, type, object);
  else if (living.length < (object.metadata.ownerReferences ?? []).length)
    await changeMetadata(client, found, { ownerReferences: living });
}

async function perform(client: KubeClient, step: GarbageStep, types: readonly ResourceType[]): Promise<void> {
  const { found } = step;
  if (step.kind === 'dangling') return settleOwners(client, found, types);
  if (step.kind === 'owners') return changeMetadata(client, found, { ownerReferences: step.owners });
  if (step.kind === 'finalizers') return changeMetadata(client, found, { finalizers: step.finalizers });
  return deleteExactly(client, found.type, found.object, step.foreground ? 'Foreground' : 'Background');
}

/** One round of the garbage collector: dependents without owners, foreground and orphaning deletions. */
export async function collectGarbage(
  client: KubeClient,
  found: readonly Found[],
  types: readonly ResourceType[],
): Promise<void> {
  await attemptAll(planGarbage(found).map((step) => () => perform(client, step, types)));
}
