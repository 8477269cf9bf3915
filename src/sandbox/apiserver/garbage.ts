import { type Api } from './api.ts';
import { deleteObject } from './deletes.ts';
import { type Resource, text, without } from './json.ts';
import { type Change } from './store.ts';

/** An object and the table it is kept in. */
export interface Kept {
  readonly table: string;
  readonly object: Resource;
}

/** Garbage collection by owner references: background, foreground and orphaning. */
export class GarbageCollector {
  readonly #api: Api;
  /** Every object by uid, and by owner uid the uids of the objects that name it. */
  readonly #objects = new Map<string, Kept>();
  readonly #dependents = new Map<string, Set<string>>();

  constructor(api: Api) {
    this.#api = api;
  }

  /** Takes a change in; answers the other objects that have to be looked at because of it. */
  observe(table: string, { type, object, previous }: Change): Kept[] {
    const { uid = '' } = object.metadata;
    const owners = ownersOf(object);
    for (const owner of ownersOf(previous)) this.#dependents.get(owner)?.delete(uid);
    if (type !== 'DELETED') {
      this.#objects.set(uid, { table, object });
      for (const owner of owners) this.#dependents.set(owner, (this.#dependents.get(owner) ?? new Set()).add(uid));
      return [];
    }
    this.#objects.delete(uid);
    const affected = this.#dependentsOf(uid);
    if (affected.length === 0) this.#dependents.delete(uid);
    return [...affected, ...owners.flatMap((owner) => this.#objects.get(owner) ?? [])];
  }

  /** Does what an object's owners, dependents and finalizers ask for. */
  collect(kept: Kept): void {
    const { uid = '', finalizers = [], deletionTimestamp } = kept.object.metadata;
    if (deletionTimestamp === undefined) this.#checkOwners(kept);
    else if (finalizers.includes('orphan')) {
      for (const each of this.#dependentsOf(uid)) this.#forget(each, uid);
      this.release(kept, 'orphan');
    } else if (finalizers.includes('foregroundDeletion')) this.#foreground(kept, uid);
  }

  #checkOwners(kept: Kept): void {
    const owners = ownersOf(kept.object);
    const dead = owners.filter((owner) => !this.#objects.has(owner));
    if (dead.length > 0 && dead.length === owners.length) this.delete(kept, 'Background');
    else for (const owner of dead) this.#forget(kept, owner);
  }

  #foreground(kept: Kept, uid: string): void {
    const dependents = this.#dependentsOf(uid);
    const blocking = dependents.filter((each) => blocks(each, uid));
    for (const each of dependents) this.delete(each, blocking.includes(each) ? 'Foreground' : 'Background');
    if (blocking.length === 0) this.release(kept, 'foregroundDeletion');
  }

  /** Deletes an object that is not being deleted yet. */
  delete({ table, object }: Kept, policy: string): void {
    const type = this.#api.registry.byTable(table);
    if (type !== undefined && object.metadata.deletionTimestamp === undefined)
      deleteObject(this.#api, type, object, { policy });
  }

  /** Takes a finalizer away, and with the last one the object. */
  release({ table, object }: Kept, finalizer: string): void {
    const finalizers = (object.metadata.finalizers ?? []).filter((each) => each !== finalizer);
    if (finalizers.length === 0) this.#api.store.remove(table, object);
    else this.#api.store.put(table, { ...object, metadata: { ...object.metadata, finalizers } });
  }

  #dependentsOf(uid: string): Kept[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((each) => this.#objects.get(each) ?? []);
  }

  #forget({ table, object }: Kept, uid: string): void {
    const ownerReferences = (object.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== uid);
    const metadata = without(object.metadata, 'ownerReferences');
    this.#api.store.put(table, {
      ...object,
      metadata: ownerReferences.length === 0 ? metadata : { ...metadata, ownerReferences },
    });
  }
}

const ownersOf = (object: Resource | undefined): string[] =>
  (object?.metadata.ownerReferences ?? []).map((owner) => text(owner.uid));

const blocks = ({ object }: Kept, uid: string): boolean =>
  (object.metadata.ownerReferences ?? []).some((owner) => owner.uid === uid && owner.blockOwnerDeletion === true);
