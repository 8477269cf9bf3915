import { withAbort } from '../runtime/abort.ts';
import { Backoff, jittered, type BackoffOptions } from '../runtime/backoff.ts';
import { systemClock, type Clock } from '../runtime/clock.ts';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import type { KubeClient, KubeObject, ResourceType, WatchEvent } from './client.ts';
import { KubeApiError, type KubeStatus } from './errors.ts';
import { resourcePath } from './resources.ts';

/** A cache of one kind of resource that heals itself (bookmarks, 410, resets, watchdog), uid-aware. */
export interface Store<T extends KubeObject> {
  /** True once the first list is complete; stays true while the server is away. */
  readonly synced: boolean;
  /** Why the cache is not being kept up to date now; undefined while a watch is open. */
  readonly problem: string | undefined;
  list(): readonly T[];
  get(name: string, namespace?: string): T | undefined;
  /** Called after any change, also of `synced` and when contact is lost or found again; carries nothing: look again. */
  onChange(listener: () => void): () => void;
  /** Runs until aborted; never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

export interface StoreOptions {
  /** Without it: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly logger: Logger;
  readonly clock?: Clock;
  /** A watch that says nothing for so long (no bookmark either) is opened anew; default 150 000. */
  readonly silenceMs?: number;
  readonly backoff?: BackoffOptions;
}

/** A store of one kind of resource; objects are as the server sends them, without managedFields. */
export function createStore<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType,
  options: StoreOptions,
): Store<T> {
  return new WatchedStore<T>(client, type, options);
}

/** Watches that end sooner than this without having said anything count as failed. */
const TOO_SHORT_MS = 1000;

/**
 * INVARIANTS:
 * - after every list the cache holds exactly what the server listed; after that, each event is applied in order;
 * - a watch starts at the resourceVersion of the last list, event or bookmark, so nothing between two watches is missed;
 * - when the server no longer knows that version, or refuses the watch in any other way, the next step is a list;
 * - a failure never removes anything from the cache and never resets `synced`;
 * - an object that was deleted and made again under its name is replaced, also when the deletion was not seen;
 * - listeners are called only after a change of objects or of contact, and an error of one of them does not reach the store or the others.
 */
class WatchedStore<T extends KubeObject> implements Store<T> {
  readonly #client: KubeClient;
  readonly #type: ResourceType;
  readonly #options: StoreOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #listeners = new Set<() => void>();
  #objects = new Map<string, T>();
  #listed: readonly T[] | undefined;
  #synced = false;
  #problem: string | undefined = 'not listed yet';
  /** Where the next watch starts; undefined: list first. */
  #version: string | undefined;

  constructor(client: KubeClient, type: ResourceType, options: StoreOptions) {
    this.#client = client;
    this.#type = type;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#backoff = new Backoff(options.backoff);
  }

  get synced(): boolean {
    return this.#synced;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  list(): readonly T[] {
    this.#listed ??= [...this.#objects.values()];
    return this.#listed;
  }

  get(name: string, namespace = this.#options.namespace): T | undefined {
    return this.#objects.get(keyOf({ name, ...(namespace === undefined ? {} : { namespace }) }));
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#version === undefined) await this.#relist(signal);
        await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof KubeApiError) this.#version = undefined;
        await this.#rest(error, signal);
      }
    }
  }

  async #relist(signal: AbortSignal): Promise<void> {
    const result = await this.#client.list<T>(this.#type, { ...this.#scope(), signal });
    const next = new Map<string, T>();
    for (const item of result.items) next.set(keyOf(item.metadata), withoutManagedFields(item));
    const changed = !this.#synced || !sameObjects(this.#objects, next);
    this.#version = result.resourceVersion;
    this.#synced = true;
    this.#objects = next;
    if (!this.#opened() && changed) this.#notify();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const openedAt = this.#clock.monotonic();
    let heard = false;
    await withAbort(signal, async (attempt) => {
      const watchdog = new Watchdog(this.#clock, this.#options.silenceMs ?? 150_000, attempt);
      const events = this.#client.watch<T>(this.#type, {
        ...this.#scope(),
        ...(this.#version === undefined ? {} : { resourceVersion: this.#version }),
        timeoutSeconds: Math.round(jittered(300, 600)),
        signal: attempt.signal,
        onOpen: () => void this.#opened(),
      });
      for await (const event of events) {
        if (signal.aborted) return;
        watchdog.pat();
        this.#take(event);
        if (!heard) this.#backoff.reset();
        heard = true;
      }
    });
    const lastedMs = this.#clock.monotonic() - openedAt;
    if (!heard && lastedMs < TOO_SHORT_MS) await this.#clock.sleep(this.#backoff.nextMs(), signal);
    else this.#backoff.reset();
  }

  #take(event: WatchEvent<T>): void {
    if (event.type === 'ERROR') throw refusal(event.object, this.#client.server, this.#path());
    const { metadata } = event.object;
    if (event.type !== 'BOOKMARK') this.#applyEvent(event.type, event.object);
    this.#version = metadata.resourceVersion ?? this.#version;
  }

  #applyEvent(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): void {
    const key = keyOf(object.metadata);
    const known = this.#objects.get(key);
    if (type === 'DELETED') {
      if (known === undefined || known.metadata.uid !== object.metadata.uid) return;
      this.#objects.delete(key);
    } else {
      if (known !== undefined && sameVersion(known, object)) return;
      this.#objects.set(key, withoutManagedFields(object));
    }
    this.#notify();
  }

  #notify(): void {
    this.#listed = undefined;
    for (const listener of this.#listeners) {
      try {
        listener();
      } catch (error) {
        this.#options.logger.error('a listener of a store failed', { resource: this.#type.plural, error });
      }
    }
  }

  /** Notes that the server answers; true when that was news and has been announced. */
  #opened(): boolean {
    if (this.#problem === undefined) return false;
    if (this.#backoff.failures > 0) {
      this.#options.logger.info('watching again', { resource: this.#type.plural, server: this.#client.server });
    }
    this.#problem = undefined;
    this.#notify();
    return true;
  }

  async #rest(error: unknown, signal: AbortSignal): Promise<void> {
    const retryMs = Math.round(this.#backoff.nextMs());
    const { failures } = this.#backoff;
    const news = this.#problem === undefined;
    this.#problem = messageOf(error);
    if (news) this.#notify();
    const log = failures === 1 || failures % 10 === 0 ? 'warn' : 'debug';
    this.#options.logger[log]('cannot watch, trying again', {
      resource: this.#type.plural,
      server: this.#client.server,
      failures,
      retryMs,
      error,
    });
    await this.#clock.sleep(retryMs, signal);
  }

  #scope(): { namespace?: string; labelSelector?: string; fieldSelector?: string } {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    return {
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
  }

  #path(): string {
    return resourcePath(this.#type, { namespace: this.#options.namespace });
  }
}

/** Aborts a watch that has said nothing for too long. */
class Watchdog {
  readonly #clock: Clock;
  #heardAt: number;

  constructor(clock: Clock, silenceMs: number, attempt: AbortController) {
    this.#clock = clock;
    this.#heardAt = clock.monotonic();
    void this.#guard(silenceMs, attempt);
  }

  pat(): void {
    this.#heardAt = this.#clock.monotonic();
  }

  async #guard(silenceMs: number, attempt: AbortController): Promise<void> {
    while (!attempt.signal.aborted) {
      const leftMs = this.#heardAt + silenceMs - this.#clock.monotonic();
      if (leftMs <= 0) attempt.abort();
      else await this.#clock.sleep(leftMs, attempt.signal);
    }
  }
}

function keyOf(metadata: KubeObject['metadata']): string {
  return `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
}

function sameVersion(a: KubeObject, b: KubeObject): boolean {
  return a.metadata.uid === b.metadata.uid && a.metadata.resourceVersion === b.metadata.resourceVersion;
}

function sameObjects<T extends KubeObject>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>): boolean {
  if (a.size !== b.size) return false;
  return [...a].every(([key, object]) => {
    const other = b.get(key);
    return other !== undefined && sameVersion(object, other);
  });
}

function withoutManagedFields<T extends KubeObject>(object: T): T {
  if (object.metadata.managedFields === undefined) return object;
  const { managedFields: _dropped, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** The object of an ERROR event is a Status. */
function refusal(object: unknown, server: string, path: string): KubeApiError {
  const status = object as KubeStatus;
  return new KubeApiError(status.code ?? 500, status, { server, method: 'WATCH', path });
}
