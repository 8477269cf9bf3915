import { UPDATE_TIMESTAMP } from '../../api/names.ts';
import type { Gateway } from '../../api/types.ts';

/** A gateway writes its object every 5 s; after this long without it, what stands there is no longer believed. */
const SILENT_MS = 20_000;

/**
 * Why a Gateway object must not be believed, undefined while it is fresh. An object without the time stamp counts as
 * fresh. The stamp is the node's clock, `nowMs` ours: a clock that is ahead never makes a gateway look dead.
 */
export function silence({ metadata }: Gateway, nowMs: number): string | undefined {
  const seconds = Number(metadata.annotations?.[UPDATE_TIMESTAMP] ?? '');
  const silentMs = nowMs - seconds * 1000;
  if (!(seconds > 0) || silentMs < SILENT_MS) return undefined;
  return `gateway ${metadata.name} has not reported for ${Math.floor(silentMs / 1000)} s; what it said before may be wrong`;
}
