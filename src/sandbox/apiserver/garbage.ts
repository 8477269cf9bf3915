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
    const { uid = '', ownerReferences = [] } = object.metadata;
    for (const owner of previous?.metadata.ownerReferences ?? []) this.#dependents.get(text(owner.uid))?.delete(uid);
    if (type === 'DELETED') {
      this.#objects.delete(uid);
      const affected = [
        ...this.#dependentsOf(uid),
        ...ownerReferences.flatMap((owner) => this.#objects.get(text(owner.uid)) ?? []),
      ];
      if (this.#dependentsOf(uid).length === 0) this.#dependents.delete(uid);
      return affected;
    }
    this.#objects.set(uid, { table, object });
    for (const owner of ownerReferences) {
      const known = this.#dependents.get(text(owner.uid)) ?? new Set<string>();
      this.#dependents.set(text(owner.uid), known.add(uid));
    }
    return [];
  }

  /** Does what an object's owners, dependents and finalizers ask for. */
  collect({ table, object }: Kept): void {
    const { uid = '', finalizers = [], ownerReferences = [], deletionTimestamp } = object.metadata;
    const dependents = this.#dependentsOf(uid);
    if (deletionTimestamp === undefined) {
      const dead = ownerReferences.filter((owner) => !this.#objects.has(text(owner.uid)));
      if (dead.length > 0 && dead.length === ownerReferences.length) this.delete({ table, object }, 'Background');
      else for (const owner of dead) this.#forget({ table, object }, text(owner.uid));
    } else if (finalizers.includes('orphan')) {
      for (const each of dependents) this.#forget(each, uid);
      this.release({ table, object }, 'orphan');
    } else if (finalizers.includes('foregroundDeletion')) {
      const blocking = dependents.filter((each) => blocks(each, uid));
      for (const each of dependents) this.delete(each, blocking.includes(each) ? 'Foreground' : 'Background');
      if (blocking.length === 0) this.release({ table, object }, 'foregroundDeletion');
    }
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

const blocks = ({ object }: Kept, uid: string): boolean =>
  (object.metadata.ownerReferences ?? []).some((owner) => owner.uid === uid && owner.blockOwnerDeletion === true);
