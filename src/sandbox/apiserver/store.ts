import { type Resource } from './json.ts';

/** One change of one object; `object` carries the new resourceVersion, also when it is a deletion. */
export interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly revision: number;
  readonly object: Resource;
  readonly previous?: Resource;
}

/** All objects of one resource, with the changes that watches and exact lists may still ask for. */
export interface Table {
  readonly key: string;
  readonly objects: Map<string, Resource>;
  readonly watchers: Set<(change: Change) => void>;
  history: Change[];
  /** Oldest revision from which every later change is still known. */
  oldest: number;
}

const HISTORY = 1000;

/** The place of an object inside its table: "namespace/name", "/name" for cluster-scoped ones. */
export const place = (namespace: string | undefined, name: string): string => `${namespace ?? ''}/${name}`;

const placeOf = (object: Resource): string => place(object.metadata.namespace, object.metadata.name);

/**
 * All objects of the server in memory, one revision counter for everything.
 * INVARIANTS: stored objects are never changed in place; changes are delivered synchronously, in revision order.
 */
export class Store {
  readonly tables = new Map<string, Table>();
  #revision = 1;
  readonly #listeners = new Set<(table: Table, change: Change) => void>();

  get revision(): number {
    return this.#revision;
  }

  /** The table, made when missing; a new one knows no history before this moment. */
  table(key: string): Table {
    const known = this.tables.get(key);
    if (known !== undefined) return known;
    const made: Table = { key, objects: new Map(), watchers: new Set(), history: [], oldest: this.#revision };
    this.tables.set(key, made);
    return made;
  }

  drop(key: string): void {
    this.tables.delete(key);
  }

  get(key: string, namespace: string | undefined, name: string): Resource | undefined {
    return this.tables.get(key)?.objects.get(place(namespace, name));
  }

  /** Objects in the order of namespace and name; all namespaces when none is given. */
  list(key: string, namespace?: string): Resource[] {
    return sorted(this.tables.get(key)?.objects ?? new Map(), namespace);
  }

  /** Objects as they were at a revision, undefined when that is no longer known. */
  listAt(key: string, revision: number, namespace?: string): Resource[] | undefined {
    const table = this.table(key);
    if (revision < table.oldest) return undefined;
    const objects = new Map(table.objects);
    for (const change of table.history.toReversed()) {
      if (change.revision <= revision) break;
      if (change.previous === undefined) objects.delete(placeOf(change.object));
      else objects.set(placeOf(change.object), change.previous);
    }
    return sorted(objects, namespace);
  }

  /** Stores the object (a fresh copy owned by the store from now on) under the next revision. */
  put(key: string, object: Resource): Resource {
    const table = this.table(key);
    const previous = table.objects.get(placeOf(object));
    const revision = (this.#revision += 1);
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
    table.objects.set(placeOf(stored), stored);
    this.#publish(table, {
      type: previous === undefined ? 'ADDED' : 'MODIFIED',
      revision,
      object: stored,
      ...(previous === undefined ? {} : { previous }),
    });
    return stored;
  }

  remove(key: string, namespace: string | undefined, name: string): void {
    const table = this.table(key);
    const previous = table.objects.get(place(namespace, name));
    if (previous === undefined) return;
    table.objects.delete(place(namespace, name));
    const revision = (this.#revision += 1);
    const object = { ...previous, metadata: { ...previous.metadata, resourceVersion: String(revision) } };
    this.#publish(table, { type: 'DELETED', revision, object, previous });
  }

  /** Forgets all history: older revisions are answered with 410 from now on. */
  compact(): void {
    for (const table of this.tables.values()) {
      table.history = [];
      table.oldest = this.#revision;
    }
  }

  onChange(listener: (table: Table, change: Change) => void): void {
    this.#listeners.add(listener);
  }

  #publish(table: Table, change: Change): void {
    table.history.push(change);
    if (table.history.length >= 2 * HISTORY) {
      const dropped = table.history.splice(0, HISTORY);
      table.oldest = dropped.at(-1)?.revision ?? table.oldest;
    }
    for (const watcher of table.watchers) watcher(change);
    for (const listener of this.#listeners) listener(table, change);
  }
}

function sorted(objects: ReadonlyMap<string, Resource>, namespace: string | undefined): Resource[] {
  const prefix = namespace === undefined ? '' : `${namespace}/`;
  return [...objects]
    .filter(([at]) => at.startsWith(prefix))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, object]) => object);
}
