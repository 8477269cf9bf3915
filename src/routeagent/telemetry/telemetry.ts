import { linkMetrics } from '../../host/linkmetrics.ts';
import { observeLinkCounters } from '../../host/nodenetwork.ts';
import { ROUTEAGENT_OWNERSHIP } from '../../net/ownership.ts';
import { daemonMetrics, stuckLoops } from '../../runtime/daemonmetrics.ts';
import type { Telemetry } from '../../runtime/endpoints.ts';
import type { Metric } from '../../runtime/metrics.ts';
import { routeAgentMetrics } from './metrics.ts';
import { cacheStates, routeAgentState, unreadyReasons, type RouteAgentSight } from './state.ts';

/** What a route agent tells of itself; looks at the node only when it is asked. */
export function routeAgentTelemetry(sight: RouteAgentSight): Telemetry {
  const unready = (): readonly string[] => unreadyReasons(sight);
  const metrics = async (signal: AbortSignal): Promise<readonly Metric[]> => {
    const { config, view, runner, startedAtMs } = sight;
    const { links } = ROUTEAGENT_OWNERSHIP;
    return [
      ...routeAgentMetrics(config, view()),
      ...linkMetrics(await observeLinkCounters(runner, signal), links),
      ...daemonMetrics({
        version: config.version,
        startedAtMs,
        ready: unready().length === 0,
        loops: view().loops,
        caches: cacheStates(sight),
      }),
    ];
  };
  return {
    unready,
    stuck: () => stuckLoops(sight.view().loops),
    metrics,
    state: async (signal) => routeAgentState(sight, signal),
  };
}
