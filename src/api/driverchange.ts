/** How the gateways of a ClusterSet tell each other that they will change to another cable driver. Pure. */
import { isObject } from './decode.ts';
import type { EndpointSpec, Metadata } from './types.ts';

/**
 * Key of `backend_config` with the driver that a gateway wants to change to. What peers must know of it stands beside it, each
 * key with the same prefix; the Endpoint itself has none of these keys, so that peers that do not know them see no change.
 */
export const NEXT_BACKEND = 'next-backend';
const PREFIX = 'next-';

/** A change of the cable driver, as a cluster announces it. */
export interface AnnouncedChange {
  /** The driver all its gateways want. */
  readonly backend: string;
  /** It sees that every cluster it waits for announces the same, or has changed already. */
  readonly agreed: boolean;
}

/** What a gateway will publish when it has changed. */
export interface NextDriver {
  readonly backend: string;
  readonly config: Readonly<Record<string, string>>;
}

/** The driver a gateway says it wants to change to; undefined: none. */
export function nextBackendOf({ backend_config: config }: Pick<EndpointSpec, 'backend_config'>): string | undefined {
  return config?.[NEXT_BACKEND];
}

/** The spec of a gateway that wants to change, for those who know how to read it. */
export function withNext(spec: EndpointSpec, { backend, config }: NextDriver): EndpointSpec {
  const keys = Object.entries({ ...config, backend }).map(([key, value]) => [`${PREFIX}${key}`, value] as const);
  return { ...spec, backend_config: { ...spec.backend_config, ...Object.fromEntries(keys) } };
}

/** The spec without a word of the change. */
export function withoutNext(spec: EndpointSpec): EndpointSpec {
  if (nextBackendOf(spec) === undefined) return spec;
  const config = Object.entries(spec.backend_config ?? {}).filter(([key]) => !key.startsWith(PREFIX));
  return { ...spec, backend_config: Object.fromEntries(config) };
}

/** The spec as it will be when the gateway has changed to this driver; as it is when that is not what it wants. */
export function asChanged(spec: EndpointSpec, backend: string): EndpointSpec {
  if (spec.backend === backend || nextBackendOf(spec) !== backend) return spec;
  const next = Object.entries(spec.backend_config ?? {}).flatMap(([key, value]) =>
    key.startsWith(PREFIX) && key !== NEXT_BACKEND ? [[key.slice(PREFIX.length), value] as const] : [],
  );
  const plain = withoutNext(spec);
  return { ...plain, backend, backend_config: { ...plain.backend_config, ...Object.fromEntries(next) } };
}

/** The announcement in a value that somebody else wrote; undefined when it is none. */
export function parseChange(value: unknown): AnnouncedChange | undefined {
  if (!isObject(value)) return undefined;
  const { backend, agreed } = value;
  return typeof backend === 'string' && typeof agreed === 'boolean' ? { backend, agreed } : undefined;
}

/** Annotation of a Gateway that waits for others before it changes its cable driver, as JSON. */
export const DRIVER_CHANGE_ANNOTATION = 'subctl.submariner.io/cable-driver-change';

/** A change of the cable driver that has not come yet. */
export interface PendingChange {
  readonly from: string;
  readonly to: string;
  /** The other clusters can know of it. */
  readonly announced: boolean;
  /** IDs of the clusters that are waited for. */
  readonly clusters: readonly string[];
  /** Nodes of the gateways of the own cluster that are waited for. */
  readonly gateways: readonly string[];
}

/** The annotation of a Gateway; undefined when it has none, or one that is not to be understood. */
export function parsePendingChange(metadata: Metadata): PendingChange | undefined {
  try {
    const value: unknown = JSON.parse(metadata.annotations?.[DRIVER_CHANGE_ANNOTATION] ?? '');
    if (!isObject(value)) return undefined;
    const { from, to, announced, clusters, gateways } = value;
    if (typeof from !== 'string' || typeof to !== 'string' || !isTexts(clusters) || !isTexts(gateways))
      return undefined;
    return { from, to, announced: announced === true, clusters, gateways };
  } catch {
    return undefined;
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
