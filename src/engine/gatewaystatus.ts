import { UPDATE_TIMESTAMP, validName } from '../api/names.ts';
import type { Gateway } from '../api/types.ts';
import type { KubeClient } from '../kube/client.ts';
import { deleteAsSeen } from '../kube/removal.ts';
import { RESOURCES } from '../kube/resources.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { sameGateway } from './status.ts';

/** Field manager of everything the engine writes. */
const ENGINE_MANAGER = 'submariner-gateway';
/** A Gateway is written at least this often. */
const HEARTBEAT_MS = 5000;
/** Shortest time between two looks whether that is due; also how much earlier than that it is written. */
const LOOK_MS = 500;
/** A Gateway that was not written for so long belongs to a dead engine (upstream's number). */
const STALE_GATEWAY_MS = 15_000;

export interface ReporterOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
}

/** Writes the own Gateway object: at once when it says something new, and as a heartbeat. */
export class GatewayReporter {
  readonly #options: ReporterOptions;
  #written: Gateway | undefined;
  #writtenAtMs = 0;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** Calls back whenever the heartbeat is due, until aborted; never rejects. */
  async beat(onDue: () => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(Math.max(LOOK_MS, this.#dueInMs()), signal);
      if (!signal.aborted && this.#dueInMs() <= 0) onDue();
    }
  }

  #dueInMs(): number {
    return this.#writtenAtMs + HEARTBEAT_MS - LOOK_MS - this.#options.clock.monotonic();
  }

  /** Writes when there is a reason to; rejects when the API server does not take it. */
  async report(gateway: Gateway, signal: AbortSignal): Promise<void> {
    const news = this.#written === undefined || !sameGateway(this.#written, gateway);
    const { client, clock } = this.#options;
    const startedMs = clock.monotonic();
    if (!news && this.#dueInMs() > 0) return;
    const { metadata } = gateway;
    const stamp = { [UPDATE_TIMESTAMP]: String(Math.floor(clock.now() / 1000)) };
    const stamped = { ...gateway, metadata: { ...metadata, annotations: { ...metadata.annotations, ...stamp } } };
    this.#written = undefined;
    await client.apply(RESOURCES.gateways, stamped, { fieldManager: ENGINE_MANAGER, force: true, signal });
    this.#written = gateway;
    this.#writtenAtMs = startedMs;
  }

  /** Removes the own object, as an engine does that ends. */
  async remove(
    { nodeName, namespace }: { readonly nodeName: string; readonly namespace: string },
    signal: AbortSignal,
  ): Promise<void> {
    await this.#options.client.delete(RESOURCES.gateways, validName(nodeName), { namespace, signal });
  }
}

interface Sighting {
  readonly stamp: string;
  readonly sinceMs: number;
}

/**
 * Finds Gateways whose engine is dead, by watching whether they change on this node's own clock: the stamps are of
 * other nodes, whose clocks may differ.
 */
export class StaleGateways {
  readonly #sightings = new Map<string, Sighting>();

  /** Those of the Gateways that have not changed for 15 s; the own one never. */
  find(gateways: readonly Gateway[], ownName: string, nowMs: number): readonly Gateway[] {
    const names = new Set(gateways.map(({ metadata }) => metadata.name ?? ''));
    for (const name of this.#sightings.keys()) if (!names.has(name)) this.#sightings.delete(name);
    return gateways.filter(({ metadata }) => {
      const name = metadata.name ?? '';
      const stamp = `${metadata.uid ?? ''}/${metadata.resourceVersion ?? ''}`;
      const known = this.#sightings.get(name);
      if (known?.stamp !== stamp) this.#sightings.set(name, { stamp, sinceMs: nowMs });
      return name !== ownName && known?.stamp === stamp && nowMs - known.sinceMs >= STALE_GATEWAY_MS;
    });
  }
}

/** Deletes Gateways unless they have changed meanwhile. */
export async function removeGateways(
  gateways: readonly Gateway[],
  { client, logger, signal }: { readonly client: KubeClient; readonly logger: Logger; readonly signal: AbortSignal },
): Promise<void> {
  for (const gateway of gateways) {
    if (await deleteAsSeen(client, RESOURCES.gateways, gateway, signal))
      logger.info('removed the Gateway of a dead engine', { gateway: gateway.metadata.name });
  }
}
