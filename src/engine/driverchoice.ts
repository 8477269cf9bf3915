import { nextBackendOf, type AnnouncedChange, type PendingChange } from '../api/driverchange.ts';
import { parseGateways, supersedes } from '../api/gateways.ts';
import type { Endpoint, Gateway } from '../api/types.ts';
import { parseEndpoint } from '../api/validate.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { decideDriver, type ChangeDecision, type ClusterDriver, type GatewayDriver } from './changedecision.ts';
import { DRIVER_NAMES, type CableDriverName, type EngineConfig } from './config.ts';

export interface DriverChoiceOptions {
  readonly config: Pick<EngineConfig, 'clusterId' | 'nodeName' | 'cableDriver' | 'driverChange'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when it is time to look again, though nothing has happened. */
  readonly onDue: () => void;
  /** Milliseconds that the gateways of the own cluster stay the same before it changes with others; default 10,000. */
  readonly steadyMs?: number | undefined;
}

/** What is seen of the drivers of all gateways. */
export interface DriverSurroundings {
  readonly endpoints: readonly unknown[];
  /** Gateway objects of the own cluster; undefined until they are known. */
  readonly gateways: readonly Gateway[] | undefined;
  readonly leader: boolean;
  readonly announces: boolean;
  /** The driver that is prepared. */
  readonly prepared: string | undefined;
}

/** A gateway that is restarted is back within this time; until then its cluster does not change without it. */
const STEADY_MS = 10_000;
/** So long after a change tunnels may come up one after another. */
const SETTLE_MS = 10_000;

/**
 * Which cable driver this gateway runs: the one it is configured with, or still the one its cluster used before.
 *
 * INVARIANTS: after a restart the former one is what the own cluster's Endpoint says; once changed, it never goes back by
 * itself.
 */
export class DriverChoice {
  readonly #options: DriverChoiceOptions;
  #inUse: CableDriverName | undefined;
  #decision: ChangeDecision | undefined;
  #changedMs = Number.NEGATIVE_INFINITY;
  #published: AnnouncedChange | undefined;
  #switching = false;
  #gatewaysSeen = '';
  #gatewaysSinceMs = Number.POSITIVE_INFINITY;

  constructor(options: DriverChoiceOptions) {
    this.#options = options;
  }

  /** The driver to run. */
  get name(): CableDriverName {
    return this.#inUse ?? this.#options.config.cableDriver;
  }

  /** The driver to change to; undefined: it runs already. */
  get next(): CableDriverName | undefined {
    const { cableDriver } = this.#options.config;
    return this.name === cableDriver ? undefined : cableDriver;
  }

  /** What the active gateway is to say of a change. */
  get announced(): AnnouncedChange | undefined {
    return this.#decision?.announce;
  }

  /** Gateways change at this moment: that one is not heard by another cluster tells nothing of it. */
  get changing(): boolean {
    return this.#published?.agreed === true || this.#options.clock.monotonic() - this.#changedMs < SETTLE_MS;
  }

  /** Another driver was chosen and does not run yet: nobody is heard, and that is nobody's failure. */
  get switching(): boolean {
    return this.#switching;
  }

  /** The driver that was chosen runs. */
  followed(): void {
    this.#switching = false;
  }

  /** What is waited for, for operators. */
  get pending(): PendingChange | undefined {
    const { next } = this;
    if (next === undefined) return undefined;
    const { awaitedClusters: clusters = [], awaitedGateways: gateways = [] } = this.#decision ?? {};
    return { from: this.name, to: next, announced: this.#published?.backend === next, clusters, gateways };
  }

  /** Looks at everything anew; the Endpoints have to be known. */
  look({ endpoints, gateways, leader, announces, prepared }: DriverSurroundings): void {
    const { config, logger, clock } = this.#options;
    const { clusterId, cableDriver: wanted, driverChange: mode } = config;
    const clusters = clusterDrivers(endpoints);
    const own = clusters.find((one) => one.clusterId === clusterId);
    this.#inUse ??= DRIVER_NAMES.find((name) => name === own?.backend) ?? wanted;
    const known = gateways && gatewayDrivers(gateways, config);
    const decision = decideDriver({
      wanted,
      inUse: this.#inUse,
      mode,
      leader,
      announces,
      prepared: prepared === wanted,
      own,
      gateways: known,
      steady: this.#isSteady(known),
      others: clusters.filter((one) => one.clusterId !== clusterId),
    });
    this.#tell(decision);
    this.#decision = decision;
    this.#published = own?.change;
    if (decision.use === this.#inUse) return;
    logger.info('changes the cable driver', { from: this.#inUse, to: wanted });
    this.#changedMs = clock.monotonic();
    this.#switching = true;
    this.#inUse = wanted;
  }

  #isSteady(gateways: readonly GatewayDriver[] | undefined): boolean {
    const { clock, onDue, steadyMs = STEADY_MS } = this.#options;
    const seen = JSON.stringify(gateways?.map(({ hostname }) => hostname).toSorted());
    if (seen !== this.#gatewaysSeen) {
      this.#gatewaysSeen = seen;
      this.#gatewaysSinceMs = clock.monotonic();
      if (this.next !== undefined) void clock.sleep(steadyMs).then(onDue);
    }
    return clock.monotonic() - this.#gatewaysSinceMs >= steadyMs;
  }

  #tell({ use, awaitedClusters, awaitedGateways }: ChangeDecision): void {
    const { config, logger } = this.#options;
    const { cableDriver: to } = config;
    if (use === to) return;
    const [clusters, gateways] = [awaitedClusters.join(), awaitedGateways.join()];
    const { awaitedClusters: a, awaitedGateways: b } = this.#decision ?? {};
    if (a?.join() === clusters && b?.join() === gateways) return;
    logger.info('goes on with the former cable driver until the others change too', { use, to, clusters, gateways });
  }
}

/** What the newest Endpoint of each cluster says. */
function clusterDrivers(endpoints: readonly unknown[]): readonly ClusterDriver[] {
  const newest = new Map<string, Endpoint>();
  for (const object of endpoints) {
    const parsed = parseEndpoint(object);
    if (parsed.problem !== undefined) continue;
    const { endpoint } = parsed;
    const { cluster_id: id } = endpoint.spec;
    const known = newest.get(id);
    if (known === undefined || supersedes(endpoint, known)) newest.set(id, endpoint);
  }
  return [...newest.values()].map((endpoint) => ({
    clusterId: endpoint.spec.cluster_id,
    backend: endpoint.spec.backend.toLowerCase(),
    change: parseGateways(endpoint)?.change,
  }));
}

function gatewayDrivers(
  gateways: readonly Gateway[],
  { clusterId, nodeName }: Pick<EngineConfig, 'clusterId' | 'nodeName'>,
): readonly GatewayDriver[] {
  return gateways
    .map(({ status }) => status.localEndpoint)
    .filter((spec) => spec.cluster_id === clusterId && spec.hostname !== nodeName)
    .map((spec) => ({ hostname: spec.hostname, backend: spec.backend, next: nextBackendOf(spec) }));
}
