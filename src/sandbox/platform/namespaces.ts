import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import type { Namespace } from '../../kube/objects.ts';
import { RESOURCES, resourcePath } from '../../kube/resources.ts';
import { attemptAll } from '../controllers/attempts.ts';
import { deleteExactly } from '../controllers/controller.ts';
import { sameJson } from '../controllers/json.ts';
import type { Found } from './garbage-plan.ts';

interface Remark {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** "word in 2 resource instances, …" for each different word. */
function tally(words: readonly string[], print: (word: string, count: number) => string): string {
  const counts = Map.groupBy(words, (word) => word);
  return [...counts].map(([word, all]) => print(word, all.length)).join(', ');
}

/** What the namespace controller of Kubernetes says about a namespace in which something is left. */
export function remainingConditions(left: readonly Found[]): readonly Remark[] {
  const kinds = left.map(({ type }) => `${type.plural}.${type.group}`);
  const remaining = tally(kinds, (kind, count) => `${kind} has ${count} resource instances`);
  const finalizers = left.flatMap(({ object }) => object.metadata.finalizers ?? []);
  const held = tally(finalizers, (finalizer, count) => `${finalizer} in ${count} resource instances`);
  const contentWords = 'All content successfully deleted, may be waiting on finalization';
  const heldWords = `Some content in the namespace has finalizers remaining: ${held}`;
  return [
    ['DeletionDiscoveryFailure', 'False', 'ResourcesDiscovered', 'All resources successfully discovered'],
    ['DeletionGroupVersionParsingFailure', 'False', 'ParsedGroupVersions', 'All legacy kube types successfully parsed'],
    ['DeletionContentFailure', 'False', 'ContentDeleted', contentWords],
    ['ContentRemaining', 'True', 'SomeResourcesRemain', `Some resources are remaining: ${remaining}`],
    ['FinalizersRemaining', held === '' ? 'False' : 'True', 'SomeFinalizersRemain', heldWords],
  ].map(([type, status = '', reason = '', message = '']) => ({ type: `Namespace${type}`, status, reason, message }));
}

async function listContent(
  client: KubeClient,
  namespace: string,
  types: readonly ResourceType[],
): Promise<readonly Found[]> {
  const lists = await Promise.all(
    types
      .filter(({ namespaced }) => namespaced)
      .map(async (type) => {
        const { items } = await client.list<KubeObject>(type, { namespace });
        return items.map((object): Found => ({ type, object }));
      }),
  );
  return lists.flat();
}

async function report(
  client: KubeClient,
  { metadata, status }: Namespace,
  left: readonly Found[],
  nowMs: number,
): Promise<void> {
  const conditions = remainingConditions(left);
  const said = (status?.conditions ?? []).map(({ type, status, reason, message }) => ({
    type,
    status,
    reason,
    message,
  }));
  if (sameJson(said, conditions)) return;
  const lastTransitionTime = new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z');
  const patch = { status: { conditions: conditions.map((each) => ({ ...each, lastTransitionTime })) } };
  await client.patch(RESOURCES.namespaces, metadata.name ?? '', patch, { patchType: 'merge', subresource: 'status' });
}

/** Empties a terminating namespace of objects of these kinds; lets it go once nothing is in it, else says what is left. */
export async function finishNamespace(
  client: KubeClient,
  namespace: Namespace,
  types: readonly ResourceType[],
  nowMs: number,
): Promise<void> {
  const name = namespace.metadata.name ?? '';
  const content = await listContent(client, name, types);
  const living = content.filter(({ object }) => object.metadata.deletionTimestamp === undefined);
  await attemptAll(
    living.map(
      ({ type, object }) =>
        () =>
          deleteExactly(client, type, object),
    ),
  );
  const left = living.length === 0 ? content : await listContent(client, name, types);
  if (left.length > 0) return report(client, namespace, left, nowMs);
  const finalized = { ...namespace, apiVersion: 'v1', kind: 'Namespace', spec: { finalizers: [] } };
  await client.request('PUT', resourcePath(RESOURCES.namespaces, { name, subresource: 'finalize' }), finalized);
}
