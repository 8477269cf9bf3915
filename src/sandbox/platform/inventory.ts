import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import { createStore, type Store, type StoreOptions } from '../../kube/store.ts';
import type { Found } from './garbage-plan.ts';
import { discoverResources } from './resources.ts';

/** One kind of resource that is being watched. */
interface Watched {
  readonly type: ResourceType;
  readonly store: Store<KubeObject>;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/**
 * Every object of a cluster (but Events), one watch a kind. `refresh` looks which kinds there are.
 * INVARIANT: `types` are exactly the kinds of the last refresh.
 */
export class Inventory {
  readonly #client: KubeClient;
  readonly #options: StoreOptions;
  readonly #changed: () => void;
  readonly #kinds = new Map<string, Watched>();

  constructor(client: KubeClient, options: StoreOptions, changed: () => void) {
    this.#client = client;
    this.#options = options;
    this.#changed = changed;
  }

  /** True once the first list of every kind is complete. */
  get synced(): boolean {
    return this.#kinds.size > 0 && [...this.#kinds.values()].every(({ store }) => store.synced);
  }

  get types(): readonly ResourceType[] {
    return [...this.#kinds.values()].map(({ type }) => type);
  }

  /** All objects that are known now. */
  found(): readonly Found[] {
    return [...this.#kinds.values()].flatMap(({ type, store }) =>
      store.list().map((object): Found => ({ type, object })),
    );
  }

  async refresh(signal: AbortSignal): Promise<void> {
    const types = (await discoverResources(this.#client, signal)).filter(({ plural }) => plural !== 'events');
    const served = new Map(types.map((type) => [`${type.group}/${type.version}/${type.plural}`, type]));
    for (const [key, { stop }] of this.#kinds) {
      if (served.has(key)) continue;
      stop.abort();
      this.#kinds.delete(key);
    }
    for (const [key, type] of served) if (!this.#kinds.has(key)) this.#kinds.set(key, this.#start(type));
    this.#changed();
  }

  /** Ends all watches. */
  async close(): Promise<void> {
    for (const { stop } of this.#kinds.values()) stop.abort();
    await Promise.all([...this.#kinds.values()].map(({ done }) => done));
  }

  #start(type: ResourceType): Watched {
    const store = createStore<KubeObject>(this.#client, type, this.#options);
    store.onChange(this.#changed);
    const stop = new AbortController();
    return { type, store, stop, done: store.run(stop.signal) };
  }
}
