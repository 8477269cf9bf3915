import type { KubeObject } from './client.ts';

/** A cache of one kind of resource that heals itself (bookmarks, 410, resets, watchdog), uid-aware. */
export interface Store<T extends KubeObject> {
  /** True once the first list is complete; stays true while the server is away. */
  readonly synced: boolean;
  list(): readonly T[];
  get(name: string, namespace?: string): T | undefined;
  /** Called after any change, also when `synced` becomes true; carries nothing: look again. */
  onChange(listener: () => void): () => void;
  /** Runs until aborted; never rejects. */
  run(signal: AbortSignal): Promise<void>;
}
