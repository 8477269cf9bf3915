import { FIELD_MANAGER, OPERATOR_NAMESPACE } from '../../api/names.ts';
import { appliersOf } from '../../kube/appliers.ts';
import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import { apiVersionOf, RESOURCES } from '../../kube/resources.ts';
import type { Right } from '../rights.ts';
import type { ObjectDrift } from './comparison.ts';

/** Where join applies objects without which nothing is lost that could not be applied again: no CRDs, namespaces, Secrets. */
const PLACES: readonly { readonly type: ResourceType; readonly namespace: string | undefined }[] = [
  { type: RESOURCES.daemonSets, namespace: OPERATOR_NAMESPACE },
  { type: RESOURCES.serviceAccounts, namespace: OPERATOR_NAMESPACE },
  { type: RESOURCES.roles, namespace: OPERATOR_NAMESPACE },
  { type: RESOURCES.roleBindings, namespace: OPERATOR_NAMESPACE },
  { type: RESOURCES.roles, namespace: 'default' },
  { type: RESOURCES.roleBindings, namespace: 'default' },
  { type: RESOURCES.clusterRoles, namespace: undefined },
  { type: RESOURCES.clusterRoleBindings, namespace: undefined },
];

/** What looking for objects that are too many needs, or removing them. */
export function extraRights(verbs: readonly ('list' | 'delete')[]): readonly Right[] {
  return PLACES.map(({ type, namespace }) => ({ verbs, type, ...(namespace === undefined ? {} : { namespace }) }));
}

/** Whether subctl applied an object, and no other tool did. */
export function isOnlyOurs(object: KubeObject): boolean {
  return [...appliersOf(object)].join() === FIELD_MANAGER;
}

function keyOf({ kind = '', metadata }: KubeObject): string {
  return `${kind} ${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
}

/** Objects that subctl applied once, of kinds that join applies, which are not among the wanted ones. */
export async function findExtras(client: KubeClient, wanted: readonly KubeObject[]): Promise<readonly KubeObject[]> {
  const known = new Set(wanted.map(keyOf));
  const lists = await Promise.all(
    PLACES.map(async ({ type, namespace }) => {
      const { items } = await client.list<KubeObject>(type, namespace === undefined ? {} : { namespace });
      return items.map((item): KubeObject => ({ ...item, apiVersion: apiVersionOf(type), kind: type.kind }));
    }),
  );
  return lists
    .flat()
    .filter((object) => isOnlyOurs(object) && !known.has(keyOf(object)))
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

/** An object that is too many, as a difference. */
export function extraDrift({ kind = '', metadata }: KubeObject): ObjectDrift {
  const { name = '', namespace = null } = metadata;
  return { kind, name, namespace, on: 'cluster', state: 'extra', changes: [], changedBy: [] };
}
