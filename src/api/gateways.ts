/** The gateways of a cluster that can carry its traffic, as its Endpoint announces them to peers that know how to use them. */
import { isObject } from './decode.ts';
import { type AnnouncedChange, parseChange } from './driverchange.ts';
import type { Endpoint, EndpointSpec } from './types.ts';
import { parseEndpoint } from './validate.ts';

/** Annotation of an Endpoint with its cluster's gateways, as JSON; who does not know it (upstream) sees the active one only. */
export const GATEWAYS_ANNOTATION = 'subctl.submariner.io/gateways';

/** One gateway of a cluster, with all a peer needs for a cable to it. */
export interface ClusterGateway {
  /** Which tunnel instance of its peers holds the cables to it; 0 or 1. */
  readonly slot: number;
  /** As the gateway's own Endpoint would have it. */
  readonly spec: EndpointSpec;
}

/** What the active gateway says of its cluster. */
export interface ClusterGateways {
  /** Grows with every change of the active gateway: `leaseTransitions` of the lease it holds. */
  readonly term: number;
  /** The active one included. */
  readonly gateways: readonly ClusterGateway[];
  /** All its gateways are about to change to another cable driver. */
  readonly change?: AnnouncedChange;
}

/** Gateways of a cluster that have cables at once; further ones wait until one of these is gone. */
export const GATEWAY_SLOTS = 2;

/** Key of `backend_config` with the UDP port of a tunnel instance; instance 0 has `udp-port`. */
export function slotPortKey(slot: number): string {
  return slot === 0 ? 'udp-port' : `udp-port-${slot}`;
}

/** The text of the annotation: the same for the same gateways, in any order. */
export function renderGateways({ term, gateways, change }: ClusterGateways): string {
  const items = gateways.toSorted((a, b) => a.slot - b.slot).map(({ slot, spec }) => ({ slot, ...own(spec) }));
  return JSON.stringify({ term, gateways: items, ...(change === undefined ? {} : { change }) });
}

/** What every gateway of a cluster has of its own. */
function own(spec: EndpointSpec): Omit<EndpointSpec, 'cluster_id' | 'subnets'> {
  const { cluster_id: _clusterId, subnets: _subnets, ...rest } = spec;
  return rest;
}

/**
 * Reads the annotation of an Endpoint that was parsed before; undefined when it has none, or one that cannot be relied
 * on: the Endpoint by itself is then all that is known. Cluster ID and CIDRs are those of the Endpoint.
 */
export function parseGateways(endpoint: Endpoint): ClusterGateways | undefined {
  const text = endpoint.metadata.annotations?.[GATEWAYS_ANNOTATION];
  const value = text === undefined ? undefined : parseJson(text);
  if (!isObject(value) || !Array.isArray(value['gateways'])) return undefined;
  const term = value['term'];
  if (!isTerm(term)) return undefined;
  const gateways = value['gateways'].map((item: unknown) => parseGateway(item, endpoint.spec));
  const known = gateways.filter((gateway) => gateway !== undefined);
  if (known.length < gateways.length || !isSound(known, endpoint.spec)) return undefined;
  const change = parseChange(value['change']);
  const sorted = known.toSorted((a, b) => a.slot - b.slot);
  return { term, gateways: sorted, ...(change === undefined ? {} : { change }) };
}

/** Slots and cable names each once, the active gateway among them. */
function isSound(gateways: readonly ClusterGateway[], active: EndpointSpec): boolean {
  const names = new Set(gateways.map(({ spec }) => spec.cable_name));
  const slots = new Set(gateways.map(({ slot }) => slot));
  return names.size === gateways.length && slots.size === gateways.length && names.has(active.cable_name);
}

/**
 * Whether an Endpoint takes the place of another one of its cluster. Terms count first: creation times are in seconds,
 * and a hand-over takes less. Equal times are told apart by name, so that everybody decides alike.
 */
export function supersedes(next: Endpoint, known: Endpoint): boolean {
  const [a, b] = [parseGateways(next)?.term, parseGateways(known)?.term];
  if (a !== undefined && b !== undefined && a !== b) return a > b;
  const stamp = ({ metadata }: Endpoint): string => `${metadata.creationTimestamp ?? ''} ${metadata.name ?? ''}`;
  return stamp(next) > stamp(known);
}

function isTerm(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function parseGateway(item: unknown, { cluster_id, subnets }: EndpointSpec): ClusterGateway | undefined {
  if (!isObject(item)) return undefined;
  const { slot, ...fields } = item;
  if (typeof slot !== 'number' || !Number.isInteger(slot) || slot < 0 || slot >= GATEWAY_SLOTS) return undefined;
  const parsed = parseEndpoint({ metadata: {}, spec: { ...fields, cluster_id, subnets } });
  return parsed.problem === undefined ? { slot, spec: parsed.endpoint.spec } : undefined;
}
