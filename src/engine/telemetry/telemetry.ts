import { ENGINE_OWNERSHIP } from '../../net/ownership.ts';
import { linkMetrics } from '../../host/linkmetrics.ts';
import { observeLinkCounters } from '../../host/nodenetwork.ts';
import { daemonMetrics, stuckLoops } from '../../runtime/daemonmetrics.ts';
import type { Telemetry } from '../../runtime/endpoints.ts';
import { Totals, type Metric } from '../../runtime/metrics.ts';
import { cableCounters, engineMetrics } from './metrics.ts';
import { cacheStates, engineState, unreadyReasons, type EngineView } from './state.ts';
import { observeTunnels } from './tunnels.ts';

/** Name of the loop that upstream's submariner_gateway_sync_iterations counts. */
const CABLES_LOOP = 'cables';

/** What an engine tells of itself; looks at the node only when it is asked. */
export class EngineTelemetry implements Telemetry {
  readonly #view: EngineView;
  readonly #received = new Totals();
  readonly #sent = new Totals();

  constructor(view: EngineView) {
    this.#view = view;
  }

  unready(): readonly string[] {
    return unreadyReasons(this.#view);
  }

  stuck(): readonly string[] {
    return stuckLoops(this.#view.recorder.loops.map(({ counts }) => counts));
  }

  async state(signal: AbortSignal): Promise<object> {
    return engineState(this.#view, signal);
  }

  async metrics(signal: AbortSignal): Promise<readonly Metric[]> {
    const { config, version, recorder, stores, elector, mirror, runner } = this.#view;
    const { cables, gateway, startedAtMs } = recorder;
    const links = await observeLinkCounters(runner, signal);
    const own = links.filter(({ name }) => ENGINE_OWNERSHIP.links.includes(name));
    const wireguardLinks = own.filter(({ kind }) => kind === 'wireguard').map(({ name }) => name);
    const tunnels = await observeTunnels({ runner, stateDir: config.stateDir, wireguardLinks });
    // Counters that could not be read this time would look as if they had started anew the next time.
    const unread = tunnels.problems.length > 0;
    const wanted = cables?.cables ?? [];
    const loops = recorder.loops.map(({ counts }) => counts);
    return [
      ...engineMetrics({
        gateway,
        gateways: stores.gateways.list().length,
        startedAtMs,
        syncs: loops.find(({ name }) => name === CABLES_LOOP)?.runs ?? 0,
        connectedSince: (connection) => recorder.connectedSince(connection),
        rxBytes: unread ? this.#received.last : this.#received.take(cableCounters('rxBytes', tunnels, wanted)),
        txBytes: unread ? this.#sent.last : this.#sent.take(cableCounters('txBytes', tunnels, wanted)),
        brokerConnected: elector.leader ? mirror.brokerProblem === undefined : undefined,
      }),
      ...linkMetrics(own, ENGINE_OWNERSHIP.links),
      ...daemonMetrics({
        version,
        startedAtMs,
        ready: this.unready().length === 0,
        loops,
        caches: cacheStates(stores),
      }),
    ];
  }
}
