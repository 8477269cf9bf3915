import { GATEWAY_LABEL } from '../api/names.ts';
import type { RouteAgent } from '../api/types.ts';
import type { CommandRunner } from '../host/command.ts';
import { observeNode } from '../host/facts.ts';
import { convergeNetwork } from '../host/network.ts';
import type { ProbeResult } from '../host/probe.ts';
import type { KubeObject } from '../kube/client.ts';
import type { Node } from '../kube/objects.ts';
import type { Store } from '../kube/store.ts';
import type { NetworkPlan } from '../net/diff.ts';
import { ROUTEAGENT_OWNERSHIP } from '../net/ownership.ts';
import { EMPTY_STATE, type NetworkState } from '../net/state.ts';
import { systemClock, type Clock } from '../runtime/clock.ts';
import type { EndpointsAddress } from '../runtime/endpoints.ts';
import { messageOf } from '../runtime/errors.ts';
import type { Logger } from '../runtime/logger.ts';
import { ReconcileLoop, type LoopCounts } from '../runtime/loop.ts';
import { desiredNetwork } from './desired/index.ts';
import { gatherInputs, nodeAddress, type Gathered } from './inputs.ts';
import { Probes, type ProbeTarget, type ProbeVerdict } from './probes.ts';
import { routeAgentStatus, statusKey } from './status.ts';

export interface RouteAgentConfig {
  readonly clusterId: string;
  readonly nodeName: string;
  readonly namespace: string;
  readonly version: string;
  readonly podCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly healthCheck: { readonly enabled: boolean; readonly intervalMs: number; readonly maxLosses: number };
  /** Where health, metrics and state are served; undefined: nowhere. */
  readonly serve?: EndpointsAddress | undefined;
}

export interface RouteAgentDependencies {
  readonly config: RouteAgentConfig;
  readonly endpoints: Store<KubeObject>;
  readonly nodes: Store<Node>;
  readonly runner: CommandRunner;
  readonly logger: Logger;
  /** Called with what is about to be changed on the node. */
  readonly beforeChange?: (plan: NetworkPlan) => void;
  readonly clock?: Clock;
  readonly probe: (
    target: { readonly address: string; readonly source?: string },
    signal: AbortSignal,
  ) => Promise<ProbeResult>;
  /** Writes the RouteAgent object of this node. */
  readonly publish: (agent: RouteAgent, signal: AbortSignal) => Promise<void>;
}

/** What a route agent last saw and did, for its endpoints. */
export interface RouteAgentView {
  readonly gathered: Gathered | undefined;
  /** Why the network of the node is not, or not wholly, as wanted. */
  readonly failure: string | undefined;
  /** The last plan that was not empty, and when it had been carried out (milliseconds since the epoch). */
  readonly applied: { readonly plan: NetworkPlan; readonly atMs: number } | undefined;
  readonly loops: readonly LoopCounts[];
  readonly verdict: (clusterId: string) => ProbeVerdict | undefined;
}

const RESYNC_MS = 30_000;
/** What was seen of the kernel serves for so long while it reports nothing; the timer, 27 s at least, looks anew. */
export const OBSERVED_MS = 26_000;
/** Changes that come together (a node and its Endpoint, a flood of kernel messages) are looked at once. */
const SETTLE_MS = 20;
/** The published status is at most so old, for its round-trip times. */
const STATUS_MS = 60_000;
/** Probes of a cluster that answers are so many times rarer than the engine's. */
const CALM_FACTOR = 30;

/**
 * Keeps one node's part of the data plane as the API server's objects ask.
 *
 * INVARIANTS: nothing is written to the kernel before both stores are synced; every run starts from what the API
 * server and the kernel say (where the kernel is watched, from what it said last as long as it reports nothing: see
 * RecentLooks), nothing else is remembered but the last outcome, for the status.
 */
export class RouteAgentDaemon {
  readonly #dependencies: RouteAgentDependencies;
  readonly #clock: Clock;
  readonly #probes: Probes;
  readonly #networkLoop: ReconcileLoop;
  readonly #statusLoop: ReconcileLoop;
  #gathered: Gathered | undefined;
  #failure: string | undefined;
  #applied: RouteAgentView['applied'];
  #nodesSeen = '';
  #published = { key: '', atMs: -Infinity };

  constructor(dependencies: RouteAgentDependencies) {
    const { config, logger, clock = systemClock } = dependencies;
    this.#dependencies = dependencies;
    this.#clock = clock;
    const statusLoop = new ReconcileLoop({
      name: 'status',
      reconcile: (signal) => this.#publish(signal),
      resyncMs: STATUS_MS,
      logger,
      clock,
    });
    this.#statusLoop = statusLoop;
    this.#networkLoop = new ReconcileLoop({
      name: 'network',
      reconcile: async (signal) => void (await this.reconcile(signal)),
      resyncMs: RESYNC_MS,
      settleMs: SETTLE_MS,
      logger,
      clock,
    });
    this.#probes = new Probes({
      probe: (address, signal) => dependencies.probe(this.#probeTarget(address), signal),
      clock,
      calmMs: config.healthCheck.intervalMs * CALM_FACTOR,
      alarmedMs: config.healthCheck.intervalMs,
      maxLosses: config.healthCheck.maxLosses,
      onChange: () => statusLoop.trigger(),
    });
  }

  get view(): RouteAgentView {
    return {
      gathered: this.#gathered,
      failure: this.#failure,
      applied: this.#applied,
      loops: [this.#networkLoop.counts, this.#statusLoop.counts],
      verdict: (clusterId) => this.#probes.verdict(clusterId),
    };
  }

  /** Asks for a look at the network soon. */
  trigger(): void {
    this.#networkLoop.trigger();
  }

  /** Runs until the signal is aborted; never rejects. Leaves the network as it is: traffic goes on. */
  async run(signal: AbortSignal): Promise<void> {
    const { endpoints, nodes } = this.#dependencies;
    const unsubscribe = [
      endpoints.onChange(() => this.trigger()),
      nodes.onChange(() => {
        if (this.#nodesChanged()) this.trigger();
      }),
    ];
    try {
      await Promise.all([this.#networkLoop.run(signal), this.#statusLoop.run(signal), this.#probes.run(signal)]);
    } finally {
      for (const stop of unsubscribe) stop();
    }
  }

  /** One look: observe, compare, change. Rejects when something is left to do; [] when nothing was, or not yet synced. */
  async reconcile(signal: AbortSignal): Promise<NetworkPlan> {
    const { endpoints, nodes } = this.#dependencies;
    if (!endpoints.synced || !nodes.synced) return [];
    try {
      const plan = await this.#converge(signal);
      this.#failure = undefined;
      if (plan.length > 0) this.#applied = { plan, atMs: this.#clock.now() };
      return plan;
    } catch (error) {
      this.#failure = messageOf(error);
      throw error;
    } finally {
      this.#statusLoop.trigger();
    }
  }

  /** Removes everything the route agent ever made on this node. */
  async cleanup(): Promise<NetworkPlan> {
    return convergeNetwork(this.#dependencies, ROUTEAGENT_OWNERSHIP, EMPTY_STATE);
  }

  async #converge(signal: AbortSignal): Promise<NetworkPlan> {
    return convergeNetwork(this.#dependencies, ROUTEAGENT_OWNERSHIP, this.#desired(signal), signal);
  }

  async #desired(signal: AbortSignal): Promise<NetworkState> {
    const { config, endpoints, nodes, runner } = this.#dependencies;
    const { clusterId, nodeName, podCidrs, serviceCidrs } = config;
    const question = {
      nodeAddress: nodeAddress(nodes.get(nodeName)),
      podCidrs,
      ignoredLinks: ROUTEAGENT_OWNERSHIP.links,
    };
    const host = await observeNode(runner, question, signal);
    const view = { clusterId, nodeName, podCidrs, serviceCidrs, endpoints: endpoints.list(), nodes: nodes.list() };
    this.#gathered = gatherInputs(view, host);
    this.#probes.setTargets(this.#probeTargets(this.#gathered));
    return desiredNetwork(this.#gathered.inputs);
  }

  #probeTargets(gathered: Gathered): readonly ProbeTarget[] {
    if (!this.#dependencies.config.healthCheck.enabled || gathered.inputs.gateway.role !== 'worker') return [];
    return gathered.remotes.flatMap(({ spec, refusal }) =>
      refusal !== undefined || spec.healthCheckIP === undefined || spec.healthCheckIP === ''
        ? []
        : [{ clusterId: spec.cluster_id, address: spec.healthCheckIP }],
    );
  }

  #probeTarget(address: string): { readonly address: string; readonly source?: string } {
    const cni = this.#gathered?.inputs.host.cni;
    return cni === undefined ? { address } : { address, source: cni.address };
  }

  /** Whether any node changed in what matters here; nodes report their health several times a minute. */
  #nodesChanged(): boolean {
    const { nodes, config } = this.#dependencies;
    const seen = nodes
      .list()
      .map((node) => [
        node.metadata.name,
        nodeAddress(node),
        node.metadata.labels?.['kubernetes.io/hostname'],
        node.metadata.labels?.[GATEWAY_LABEL],
        node.metadata.name === config.nodeName ? node.metadata.annotations : undefined,
      ]);
    const text = JSON.stringify([nodes.synced, seen]);
    const changed = text !== this.#nodesSeen;
    this.#nodesSeen = text;
    return changed;
  }

  #status(): RouteAgent {
    const { config, nodes } = this.#dependencies;
    const { remotes = [], problems = [], inputs } = this.#gathered ?? {};
    return routeAgentStatus({
      ...config,
      nodeUid: nodes.get(config.nodeName)?.metadata.uid,
      role: inputs?.gateway.role,
      remotes,
      problems: this.#failure === undefined ? problems : [this.#failure, ...problems],
      verdict: (clusterId) => this.#probes.verdict(clusterId),
    });
  }

  async #publish(signal: AbortSignal): Promise<void> {
    if (this.#gathered === undefined && this.#failure === undefined) return;
    const agent = this.#status();
    const key = statusKey(agent);
    const nowMs = this.#clock.monotonic();
    if (key === this.#published.key && nowMs - this.#published.atMs < STATUS_MS * 0.8) return;
    await this.#dependencies.publish(agent, signal);
    this.#published = { key, atMs: nowMs };
  }
}
