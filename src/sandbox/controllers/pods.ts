import type { KubeObject, OwnerReference, ResourceType } from '../../kube/client.ts';
import type { Condition, Pod, PodTemplate } from '../../kube/objects.ts';
import { apiVersionOf } from '../../kube/resources.ts';

/** The condition of that type, undefined when it is not there. */
export function conditionOf(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** True when the pod answers: condition Ready is True and it is not on its way out. */
export function isPodReady(pod: Pod): boolean {
  return !isTerminating(pod) && conditionOf(pod.status?.conditions, 'Ready')?.status === 'True';
}

export function isTerminating(object: KubeObject): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

/** True when the pod has ended for good (phase Succeeded or Failed). */
export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** The objects whose controlling owner is `owner`, compared by uid. */
export function ownedBy<T extends KubeObject>(owner: KubeObject, objects: readonly T[]): readonly T[] {
  return objects.filter((object) =>
    (object.metadata.ownerReferences ?? []).some(
      (reference) => reference.controller === true && reference.uid === owner.metadata.uid,
    ),
  );
}

/** The reference that makes `owner` the controller of another object. */
export function controllerReference(owner: KubeObject, type: ResourceType): OwnerReference {
  return {
    apiVersion: apiVersionOf(type),
    kind: type.kind,
    name: owner.metadata.name ?? '',
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** A pod made of a template, owned by `owner`, named by the server after it. */
export function podFromTemplate(
  owner: KubeObject,
  type: ResourceType,
  template: PodTemplate,
  labels: Readonly<Record<string, string>>,
): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${owner.metadata.name ?? ''}-`,
      ...(owner.metadata.namespace === undefined ? {} : { namespace: owner.metadata.namespace }),
      labels: { ...template.metadata?.labels, ...labels },
      ...(template.metadata?.annotations === undefined ? {} : { annotations: template.metadata.annotations }),
      ownerReferences: [controllerReference(owner, type)],
    },
    spec: template.spec,
  };
}

/** Oldest first; names decide between equals, so that the order is always the same. */
export function byAge(a: KubeObject, b: KubeObject): number {
  return (
    (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? '') ||
    (a.metadata.name ?? '').localeCompare(b.metadata.name ?? '')
  );
}

/** `conditions` with `next` in the place of the one of its type; lastTransitionTime changes only with the status. */
export function withCondition(
  conditions: readonly Condition[] | undefined,
  next: Omit<Condition, 'lastTransitionTime'>,
  now: string,
): readonly Condition[] {
  const before = conditionOf(conditions, next.type);
  const lastTransitionTime = before?.status === next.status ? (before.lastTransitionTime ?? now) : now;
  const others = (conditions ?? []).filter((condition) => condition.type !== next.type);
  return [...others, { ...before, ...next, lastTransitionTime }];
}

/** A number of pods from an absolute number or a percentage of `total` ("25%"), rounded as told. */
export function podCount(
  value: number | string | undefined,
  total: number,
  fallback: number | string,
  round: 'up' | 'down',
): number {
  const wanted = value ?? fallback;
  if (typeof wanted === 'number') return wanted;
  const share = (Number.parseFloat(wanted) / 100) * total;
  return round === 'up' ? Math.ceil(share) : Math.floor(share);
}
