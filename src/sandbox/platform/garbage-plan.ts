import type { KubeObject, OwnerReference, ResourceType } from '../../kube/client.ts';

/** An object together with its kind of resource. */
export interface Found {
  readonly type: ResourceType;
  readonly object: KubeObject;
}

/** One write of the garbage collector. */
export type GarbageStep =
  /** Some owners are not known: ask the server, and delete the object when none is left, else forget those that are gone. */
  | { readonly kind: 'dangling'; readonly found: Found }
  | { readonly kind: 'delete'; readonly found: Found; readonly foreground: boolean }
  | { readonly kind: 'owners'; readonly found: Found; readonly owners: readonly OwnerReference[] }
  | { readonly kind: 'finalizers'; readonly found: Found; readonly finalizers: readonly string[] };

const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';

function finalizersOf(found: Found): readonly string[] {
  return found.object.metadata.finalizers ?? [];
}

function isGoing(found: Found): boolean {
  return found.object.metadata.deletionTimestamp !== undefined;
}

function dependentsOf(owner: Found, all: readonly Found[]): readonly Found[] {
  const { uid } = owner.object.metadata;
  return all.filter(({ object }) => (object.metadata.ownerReferences ?? []).some((reference) => reference.uid === uid));
}

function released(found: Found, finalizer: string): GarbageStep {
  return { kind: 'finalizers', found, finalizers: finalizersOf(found).filter((one) => one !== finalizer) };
}

/** What an object that is being deleted with its dependents in mind calls for. */
function ownerSteps(owner: Found, all: readonly Found[]): readonly GarbageStep[] {
  const dependents = dependentsOf(owner, all);
  if (finalizersOf(owner).includes(ORPHAN)) {
    const { uid } = owner.object.metadata;
    const freed = dependents.map((found): GarbageStep => {
      const owners = (found.object.metadata.ownerReferences ?? []).filter((reference) => reference.uid !== uid);
      return { kind: 'owners', found, owners };
    });
    return freed.length > 0 ? freed : [released(owner, ORPHAN)];
  }
  const { uid } = owner.object.metadata;
  const blocking = dependents.filter(({ object }) =>
    (object.metadata.ownerReferences ?? []).some((one) => one.uid === uid && one.blockOwnerDeletion === true),
  );
  const deletions = dependents
    .filter((found) => !isGoing(found))
    .map((found): GarbageStep => ({ kind: 'delete', found, foreground: dependentsOf(found, all).length > 0 }));
  return blocking.length === 0 ? [...deletions, released(owner, FOREGROUND)] : deletions;
}

/** The next steps: dependents of owners that are not known, and owners that are being deleted in the foreground or orphaning. */
export function planGarbage(all: readonly Found[]): readonly GarbageStep[] {
  const living = new Set(all.map(({ object }) => object.metadata.uid));
  const owned = all.filter((found) => !isGoing(found) && (found.object.metadata.ownerReferences ?? []).length > 0);
  const dangling = owned.filter(({ object }) =>
    (object.metadata.ownerReferences ?? []).some((reference) => !living.has(reference.uid)),
  );
  const going = all.filter(
    (found) => isGoing(found) && finalizersOf(found).some((one) => one === FOREGROUND || one === ORPHAN),
  );
  return [
    ...dangling.map((found): GarbageStep => ({ kind: 'dangling', found })),
    ...going.flatMap((owner) => ownerSteps(owner, all)),
  ];
}
