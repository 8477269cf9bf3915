import type { KubeClient, KubeObject, OwnerReference, ResourceType } from '../../kube/client.ts';
import { RESOURCES, resourcePath } from '../../kube/resources.ts';
import { attemptAll } from '../controllers/attempts.ts';
import { deleteExactly, inNamespaceOf } from '../controllers/controller.ts';
import { planGarbage, type Found, type GarbageStep } from './garbage-plan.ts';
import { discoverResources } from './resources.ts';

/** Everything there is, and the kinds of resource that were looked at. */
interface Everything {
  readonly types: readonly ResourceType[];
  readonly found: readonly Found[];
}

async function listEverything(client: KubeClient, signal: AbortSignal): Promise<Everything> {
  const types = (await discoverResources(client, signal)).filter(({ plural }) => plural !== 'events');
  const lists = await Promise.all(
    types.map(async (type) => {
      const { items } = await client.list<KubeObject>(type, { signal });
      return items.map((object): Found => ({ type, object }));
    }),
  );
  return { types, found: lists.flat() };
}

function typeOf(owner: OwnerReference, types: readonly ResourceType[]): ResourceType | undefined {
  const group = owner.apiVersion.includes('/') ? owner.apiVersion.split('/')[0] : '';
  return types.find((type) => type.group === group && type.kind === owner.kind);
}

/**
 * Asks the server itself: an owner made after the lists were taken must not cost its dependents their life; one of an
 * unknown kind counts as there.
 */
async function ownersAreGone(client: KubeClient, { object }: Found, types: readonly ResourceType[]): Promise<boolean> {
  for (const owner of object.metadata.ownerReferences ?? []) {
    const type = typeOf(owner, types);
    if (type === undefined) return false;
    const found = await client.find(type, owner.name, type.namespaced ? inNamespaceOf(object) : {});
    if (found?.metadata.uid === owner.uid) return false;
  }
  return true;
}

async function perform(client: KubeClient, step: GarbageStep, types: readonly ResourceType[]): Promise<void> {
  const { type, object } = step.found;
  if (step.kind === 'delete') {
    if (await ownersAreGone(client, step.found, types)) await deleteExactly(client, type, object);
    return;
  }
  const change = step.kind === 'owners' ? { ownerReferences: step.owners } : { finalizers: step.finalizers };
  const metadata = { ...change, resourceVersion: object.metadata.resourceVersion };
  await client.patch(type, object.metadata.name ?? '', { metadata }, { patchType: 'merge', ...inNamespaceOf(object) });
}

/** Empties terminating namespaces and lets them go once nothing is in them. */
async function finishNamespaces(client: KubeClient, all: readonly Found[]): Promise<void> {
  const going = all.filter(
    ({ type, object }) =>
      type.plural === 'namespaces' && type.group === '' && object.metadata.deletionTimestamp !== undefined,
  );
  await attemptAll(
    going.map(({ object }) => async () => {
      const name = object.metadata.name ?? '';
      const content = all.filter(({ type, object: one }) => type.namespaced && one.metadata.namespace === name);
      await attemptAll(
        content
          .filter(({ object: one }) => one.metadata.deletionTimestamp === undefined)
          .map(
            ({ type, object: one }) =>
              () =>
                deleteExactly(client, type, one),
          ),
      );
      if (content.length > 0) return;
      const finalized = { ...object, apiVersion: 'v1', kind: 'Namespace', spec: { finalizers: [] } };
      await client.request('PUT', resourcePath(RESOURCES.namespaces, { name, subresource: 'finalize' }), finalized);
    }),
  );
}

/** One round of the garbage collector: dependents without owners, foreground and orphaning deletions, terminating namespaces. */
export async function collectGarbage(client: KubeClient, signal: AbortSignal): Promise<void> {
  const { types, found } = await listEverything(client, signal);
  await attemptAll([
    ...planGarbage(found).map((step) => () => perform(client, step, types)),
    () => finishNamespaces(client, found),
  ]);
}
