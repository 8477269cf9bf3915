/** What a gateway says of its part in high availability; upstream's Gateway has no fields for it. */
import { isObject } from './decode.ts';
import type { Gateway } from './types.ts';

/** Annotation of a Gateway with its Availability, as JSON. */
export const AVAILABILITY_ANNOTATION = 'subctl.submariner.io/availability';

/** How the active gateway came to be it. */
export interface Failover {
  /** RFC 3339. */
  readonly at: string;
  /** In the operator's words. */
  readonly cause: string;
  /** Node of the gateway that was active before; '' when there was none. */
  readonly from: string;
  /** From the first sign of trouble (or the order to move) until this gateway was announced. */
  readonly durationMs: number;
}

/** A cable of a gateway, to an active or a standby gateway of another cluster. */
export interface CableState {
  readonly cluster: string;
  /** Node of the other end. */
  readonly gateway: string;
  readonly state: 'alive' | 'silent' | 'waiting' | 'not probed';
  /** The packets for that cluster go through it. */
  readonly carries: boolean;
}

export interface Availability {
  /** It could carry the traffic at once, or does. */
  readonly ready: boolean;
  /** Why it is not ready; '' when it is. */
  readonly reason: string;
  /** Since when it is active or passive; RFC 3339. */
  readonly since: string;
  /** How many gateways of one cluster its driver can have cables to. */
  readonly slots: number;
  readonly lastFailover?: Failover;
  readonly cables: readonly CableState[];
}

/** The annotation of a Gateway, undefined when it has none or one that is not to be understood (upstream's engine). */
export function parseAvailability({ metadata }: Pick<Gateway, 'metadata'>): Availability | undefined {
  try {
    const value: unknown = JSON.parse(metadata.annotations?.[AVAILABILITY_ANNOTATION] ?? '');
    return isObject(value) && isSound(value) ? (value as unknown as Availability) : undefined;
  } catch {
    return undefined;
  }
}

const KINDS = { ready: 'boolean', reason: 'string', since: 'string', slots: 'number' } as const;

function isSound(value: Readonly<Record<string, unknown>>): boolean {
  const { cables, lastFailover } = value;
  const typed = Object.entries(KINDS).every(([key, kind]) => typeof value[key] === kind);
  return (
    typed && Array.isArray(cables) && cables.every(isObject) && (lastFailover === undefined || isObject(lastFailover))
  );
}
