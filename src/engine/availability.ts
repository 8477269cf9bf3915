import type { CableState, Failover } from '../api/availability.ts';
import type { ClusterGateways } from '../api/gateways.ts';
import type { LeaseElector } from '../kube/lease.ts';
import { offerOf } from '../kube/leaserules.ts';
import type { Lease } from '../kube/objects.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import { beatPeers, chooseGateways, witnesses } from './beatpeers.ts';
import type { EngineConfig } from './config.ts';
import type { CableLookup } from './drivers/driver.ts';
import type { GatewayPulse } from './ha/pulse.ts';
import { assignSlots } from './ha/slots.ts';
import { considerTakeover, mustStepDown, type LeaseView, type TakeoverMemory } from './ha/takeover.ts';
import { announcementOf, presentGateways, type Announcement } from './owngateways.ts';
import { readiness, type Readiness } from './readiness.ts';
import type { Surroundings } from './surroundings.ts';
import { leaseIdentity, nodeOfIdentity, Tenure } from './tenure.ts';

/** So long a former active gateway goes on as before, until the node's route agent sends its pods to the new one. */
const SETTLE_MS = 3000;
/** Rules that depend on time alone are looked at that often. */
const LOOK_MS = 1000;

export interface AvailabilityOptions {
  readonly config: Pick<EngineConfig, 'clusterId' | 'nodeName' | 'beatIntervalMs'>;
  readonly elector: LeaseElector;
  readonly pulse: GatewayPulse;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The part of this gateway among those of its cluster: which slot it has, whether it may take the lease, and through
 * which gateway of each other cluster packets go.
 *
 * INVARIANTS: everything is worked out from the Endpoints, the lease and the beats; remembered is only what happened
 * when, for damping and for the status.
 */
export class Availability {
  readonly tenure: Tenure;
  readonly #options: AvailabilityOptions;
  readonly #listeners = new Set<() => void>();
  #seen: Surroundings | undefined;
  #own: Announcement | undefined;
  #announced: ClusterGateways | undefined;
  #problems: readonly string[] = [];
  #uses: ReadonlyMap<string, string> = new Map();
  #memory: TakeoverMemory | undefined;
  #cause: string | undefined;
  #settled = false;
  #leaves = false;
  #dueMs = Number.POSITIVE_INFINITY;

  constructor(options: AvailabilityOptions) {
    const { elector, config, clock, pulse } = options;
    this.#options = options;
    this.tenure = new Tenure(elector, config.nodeName, clock);
    elector.onChange(() => this.#leaseChanged());
    pulse.onChange(() => this.#beatsChanged());
  }

  /** Called when another gateway is to carry, or what the status says changed. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** The gateways of the own cluster, as this gateway announces them while it leads. */
  get announced(): ClusterGateways | undefined {
    return this.#announced;
  }

  /** The tunnel instance of peers that this gateway's cables are in. */
  get slot(): number | undefined {
    return this.#announced?.gateways.find(({ spec }) => spec.cable_name === this.#name)?.slot;
  }

  get lookup(): CableLookup {
    const settling = !this.#settled && this.#options.clock.monotonic() - this.tenure.lostMs < SETTLE_MS;
    return this.#options.elector.leader || settling ? 'all' : 'transit';
  }

  /** It is being stopped: nobody is to count on it any more, however well it has been until now. */
  leave(): void {
    this.#leaves = true;
    this.#claim();
  }

  /** For a gateway that stops: the pods of its node go through the new one by now. */
  settle(): void {
    this.#settled = true;
  }

  /** Another gateway is known to hold the lease. Until the lease was seen, what a former process left is not touched. */
  get standsBy(): boolean {
    const { holder, leader } = this.#options.elector;
    return !leader && holder !== undefined && holder !== leaseIdentity(this.#options.config.nodeName);
  }

  /** Node whose gateway published the cluster's Endpoint, when it is not this one. */
  get activeElsewhere(): string | undefined {
    return this.#own?.hostname === this.#options.config.nodeName ? undefined : this.#own?.hostname;
  }

  /** What the operator ought to know. */
  get problems(): readonly string[] {
    const { failure } = this.#options.pulse;
    return failure === undefined ? this.#problems : [...this.#problems, failure];
  }

  /** cable_name of the gateway that packets for a cluster go to. */
  get uses(): ReadonlyMap<string, string> {
    return this.#uses;
  }

  /** Whether this gateway could take over now. */
  get readiness(): Readiness {
    const { clock, pulse, elector, config } = this.#options;
    const remotes = this.#seen?.remotes.accepted ?? [];
    return readiness({
      nowMs: clock.monotonic(),
      local: this.#seen?.local,
      leaves: this.#leaves,
      leader: elector.leader,
      clusterId: config.clusterId,
      slot: this.slot,
      warmClusters: new Set(remotes.flatMap(({ announced, spec }) => (announced ? spec.cluster_id : []))),
      activeName: this.#own?.cableName,
      activeNode: this.activeElsewhere,
      reports: pulse.reports(),
      uses: this.#uses,
    });
  }

  /** The cables with what is known of them. */
  cables(): readonly CableState[] {
    return (this.#seen?.remotes.accepted ?? []).map(({ spec }) => ({
      cluster: spec.cluster_id,
      gateway: spec.hostname,
      state: this.#options.pulse.report(spec.cable_name)?.state ?? 'not probed',
      carries: this.#uses.get(spec.cluster_id) === spec.cable_name,
    }));
  }

  /** Looks at everything anew. */
  update(seen: Surroundings): void {
    const { config, pulse } = this.#options;
    this.#seen = seen;
    this.#own = announcementOf(seen.endpoints, config.clusterId);
    this.#announced = this.#announce(seen);
    const { local, remotes, cabled } = seen;
    pulse.setPeers(beatPeers({ config, spec: local.spec, announced: this.#announced, remotes, cabled }));
    this.#choose();
    this.#claim();
  }

  /** The elector asks while another gateway holds the lease. */
  mayTakeOver(lease: Lease): boolean {
    const { clock, config, pulse } = this.#options;
    if (this.#seen === undefined) return false;
    const { failedMs } = this.tenure;
    const { clusterId, nodeName: node } = config;
    const peers = witnesses(pulse.reports(), clusterId, this.#seen.choice.changing);
    const failed = failedMs === undefined ? {} : { failedMs };
    const self = { clusterId, cableName: this.#name, node, ready: this.readiness.ready, ...failed };
    const slots = new Map(this.#announced?.gateways.map(({ slot, spec }) => [spec.cable_name, slot]));
    const input = { nowMs: clock.monotonic(), lease: this.#view(lease), self, peers, slots };
    const { memory, take, waitMs } = considerTakeover(input, this.#memory);
    this.#memory = memory;
    this.#cause = take?.cause;
    if (waitMs !== undefined && take === undefined) this.#reconsiderWithin(waitMs);
    return take !== undefined;
  }

  /** This gateway took the lease because it was told to, with the former one still at work: there is no hurry. */
  get planned(): boolean {
    return this.#options.elector.leader && this.#cause?.startsWith('planned') === true;
  }

  /** The others know by now that this gateway is active: the fail-over that is complete by that, once. */
  published(): Failover | undefined {
    return this.#options.elector.leader ? this.tenure.complete() : undefined;
  }

  /** Looks again when only time has passed; runs until aborted, never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(LOOK_MS, signal);
      if (signal.aborted) return;
      this.#choose();
      this.#claim();
    }
  }

  /** One timer at a time: whoever comes earlier looks again when it is over. */
  #reconsiderWithin(ms: number): void {
    const { clock, elector } = this.#options;
    const dueMs = clock.monotonic() + Math.max(1, ms);
    if (dueMs >= this.#dueMs) return;
    this.#dueMs = dueMs;
    const reconsider = (): void => {
      if (this.#dueMs !== dueMs) return;
      this.#dueMs = Number.POSITIVE_INFINITY;
      elector.reconsider();
    };
    void clock.sleep(Math.max(1, ms)).then(reconsider);
  }

  get #name(): string {
    return this.#seen?.local.spec.cable_name ?? '';
  }

  #announce({ local, gateways }: Surroundings): ClusterGateways | undefined {
    this.#problems = [];
    if ((local.driver?.slots ?? 0) < 2 || !local.ready) return undefined;
    if (!this.#options.elector.leader) return this.#own?.announced;
    if (gateways === undefined) return this.#announced;
    const { specs, problems } = presentGateways(local.spec, gateways);
    this.#problems = problems;
    const active = { active: local.spec.cable_name, term: this.#options.elector.term ?? 0 };
    return assignSlots(this.#own?.announced, specs, active).announced;
  }

  #view(lease: Lease): LeaseView {
    const holder = lease.spec?.holderIdentity ?? '';
    const node = nodeOfIdentity(holder);
    const known = this.#cableOf(node);
    const moveTo = offerOf(lease);
    return {
      holder: holder === '' ? undefined : { node, ...(known === undefined ? {} : { cableName: known }) },
      term: lease.spec?.leaseTransitions ?? 0,
      expired: false,
      ...(moveTo === undefined ? {} : { moveTo: nodeOfIdentity(moveTo) }),
    };
  }

  #cableOf(node: string): string | undefined {
    return this.#announced?.gateways.find(({ spec }) => spec.hostname === node)?.spec.cable_name;
  }

  #choose(): void {
    if (this.#seen?.choice.switching === true) return;
    const { pulse, clock, logger } = this.#options;
    const before = this.#uses;
    const { remotes, cabled } = this.#seen ?? { remotes: { accepted: [] }, cabled: () => false };
    const report = pulse.report.bind(pulse);
    this.#uses = chooseGateways(remotes.accepted, { report, cabled, before, nowMs: clock.monotonic() });
    const switched = [...this.#uses].filter(([cluster, name]) => before.get(cluster) !== name);
    for (const [cluster, to] of switched) {
      const from = before.get(cluster);
      if (from === undefined) continue;
      logger.info('packets go to another gateway', { cluster, from, to, state: report(from)?.state });
    }
    if (switched.length > 0 || this.#uses.size !== before.size) this.#notify();
  }

  #claim(): void {
    const { elector, config, pulse } = this.#options;
    if (this.#name === '') return;
    pulse.setSelf({
      clusterId: config.clusterId,
      cableName: this.#name,
      active: elector.leader,
      term: elector.term ?? 0,
      ready: this.readiness.ready,
      uses: this.#uses,
    });
  }

  #beatsChanged(): void {
    const { elector, pulse, config, logger } = this.#options;
    if (elector.leader && this.#name !== '') {
      const { clusterId, nodeName: node } = config;
      const self = { clusterId, node, cableName: this.#name, term: elector.term ?? 0, confirmed: elector.confirmed };
      const reason = mustStepDown(self, undefined, pulse.reports());
      if (reason !== undefined) {
        logger.info('steps down', { reason });
        elector.stepAside();
      }
    } else elector.reconsider();
    this.#choose();
    this.#claim();
    this.#notify();
  }

  #leaseChanged(): void {
    const { clock, pulse } = this.#options;
    const turn = this.tenure.leaseChanged((former) => {
      const report = pulse.report(this.#cableOf(former) ?? '');
      return { cause: this.#cause, sinceMs: report?.state === 'silent' ? report.sinceMs : undefined };
    });
    if (turn === 'lost') void clock.sleep(SETTLE_MS).then(() => this.#notify());
    if (this.#seen !== undefined) this.update(this.#seen);
    this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}
