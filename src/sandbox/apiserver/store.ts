import { type Obj } from '../../kube/json.ts';

/** ObjectMeta as it is stored; written only on copies that are not in the store yet. */
type Meta = Obj & { name: string; finalizers?: string[] } & Partial<
    Record<'namespace' | 'uid' | 'resourceVersion' | 'deletionTimestamp', string> &
      Record<'generation' | 'deletionGracePeriodSeconds', number> &
      Record<'labels' | 'annotations', Record<string, string>> &
      Record<'ownerReferences' | 'managedFields', Obj[]>
  >;

/** A Kubernetes object as it is stored: never changed in place once stored. */
export type Resource = Obj & { apiVersion: string; kind: string; metadata: Meta };

/** One change of one object; `object` carries the new resourceVersion, also when it is a deletion. */
export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly revision: number;
  readonly object: Resource;
  readonly previous: Resource | undefined;
}

/** All objects of one resource by "namespace/name", with the changes that watches and exact lists may still ask for. */
export interface Table {
  readonly key: string;
  readonly objects: Map<string, Resource>;
  /** Who is told of changes, and how to end that when the table goes. */
  readonly watchers: Map<(change: Change) => void, () => void>;
  history: Change[];
  /** Oldest revision from which every later change is still known. */
  oldest: number;
}

const HISTORY = 1000;

/** The place of an object inside its table: "namespace/name", "/name" for cluster-scoped ones. */
export const placeOf = ({ metadata }: Resource): string => `${metadata.namespace ?? ''}/${metadata.name}`;

/**
 * All objects of the server in memory, one revision counter for everything.
 * INVARIANTS: stored objects are never changed in place; changes are delivered synchronously, in revision order.
 */
export class Store {
  readonly #tables = new Map<string, Table>();
  readonly #listeners = new Set<(table: Table, change: Change) => void>();
  #revision = 1;

  get revision(): number {
    return this.#revision;
  }

  /** The table, made when missing; a new one knows no history before this moment. */
  table(key: string): Table {
    const made = { key, objects: new Map(), watchers: new Map(), history: [], oldest: this.#revision };
    const table = this.#tables.get(key) ?? made;
    this.#tables.set(key, table);
    return table;
  }

  /** Forgets a table and ends its watches. */
  drop(key: string): void {
    for (const end of this.#tables.get(key)?.watchers.values() ?? []) end();
    this.#tables.delete(key);
  }

  get(key: string, namespace: string | undefined, name: string): Resource | undefined {
    return this.#tables.get(key)?.objects.get(`${namespace ?? ''}/${name}`);
  }

  /** Objects in the order of namespace and name; all namespaces when none is given. */
  list(key: string, namespace?: string): Resource[] {
    return this.listAt(key, this.#revision, namespace) ?? [];
  }

  /** Objects as they were at a revision, undefined when that is no longer known. */
  listAt(key: string, revision: number, namespace?: string): Resource[] | undefined {
    const { oldest, history, objects: newest } = this.table(key);
    if (revision < oldest) return undefined;
    const objects = new Map(newest);
    for (const { object, previous } of history.filter((change) => change.revision > revision).reverse())
      if (previous === undefined) objects.delete(placeOf(object));
      else objects.set(placeOf(object), previous);
    return [...objects]
      .filter(([place]) => namespace === undefined || place.startsWith(`${namespace}/`))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  /** Stores the object (a fresh copy owned by the store from now on) under the next revision. */
  put(key: string, given: Resource): Resource {
    const { objects } = this.table(key);
    const previous = objects.get(placeOf(given));
    const object = this.#stamp(given);
    objects.set(placeOf(object), object);
    this.#publish(key, previous === undefined ? 'ADDED' : 'MODIFIED', object, previous);
    return object;
  }

  remove(key: string, { metadata }: Resource): void {
    const previous = this.get(key, metadata.namespace, metadata.name);
    if (previous === undefined) return;
    this.table(key).objects.delete(placeOf(previous));
    this.#publish(key, 'DELETED', this.#stamp(previous), previous);
  }

  /** Forgets all history: older revisions are answered with 410 from now on. */
  compact(): void {
    for (const table of this.#tables.values()) Object.assign(table, { history: [], oldest: this.#revision });
  }

  onChange(listener: (table: Table, change: Change) => void): void {
    this.#listeners.add(listener);
  }

  #stamp(object: Resource): Resource {
    this.#revision += 1;
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#revision) } };
  }

  #publish(key: string, type: Change['type'], object: Resource, previous: Resource | undefined): void {
    const table = this.table(key);
    const change = { type, revision: this.#revision, object, previous };
    table.history.push(change);
    if (table.history.length >= 2 * HISTORY)
      table.oldest = table.history.splice(0, HISTORY).at(-1)?.revision ?? table.oldest;
    for (const watcher of table.watchers.keys()) watcher(change);
    for (const listener of this.#listeners) listener(table, change);
  }
}
