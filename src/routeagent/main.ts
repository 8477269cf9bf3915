import path from 'node:path';
import { ENDPOINT_PORTS } from '../api/daemonstate.ts';
import type { RouteAgent } from '../api/types.ts';
import { createRunner } from '../host/command.ts';
import { FormerSysctls } from '../host/formersysctls.ts';
import { watchNetwork } from '../host/monitor.ts';
import { convergeNetwork } from '../host/network.ts';
import { probeOnce } from '../host/probe.ts';
import { runProber } from '../host/prober/program.ts';
import { RecentLooks } from '../host/recent.ts';
import { removeState, ROUTEAGENT_STATE } from '../host/statefolder.ts';
import type { KubeClient, KubeObject } from '../kube/client.ts';
import { inClusterClient } from '../kube/incluster.ts';
import type { Node } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import { createStore } from '../kube/store.ts';
import { ROUTEAGENT_OWNERSHIP } from '../net/ownership.ts';
import { EMPTY_STATE } from '../net/state.ts';
import { systemClock } from '../runtime/clock.ts';
import { printDebugState } from '../runtime/debugstate.ts';
import { serveEndpoints } from '../runtime/endpoints.ts';
import type { Logger } from '../runtime/logger.ts';
import { runDaemon, type Environment } from '../runtime/process.ts';
import { isCleanup, readRouteAgentConfig, stateDirOf } from './config.ts';
import { RELEVANT } from './relevant.ts';
import { OBSERVED_MS, RouteAgentDaemon, type RouteAgentConfig } from './routeagent.ts';
import { routeAgentTelemetry } from './telemetry/telemetry.ts';

const FIELD_MANAGER = 'submariner-routeagent';

/** Works also by hand on the node, outside of a pod; the object in the API server is left to `subctl uninstall`. */
async function cleanUp(logger: Logger, env: Environment): Promise<void> {
  const runner = createRunner({ logger });
  await convergeNetwork({ runner, logger }, ROUTEAGENT_OWNERSHIP, EMPTY_STATE);
  const stateDir = stateDirOf(env);
  const restored = await formerSysctls(stateDir, logger).restore(runner);
  removeState(stateDir, (entry) => entry === ROUTEAGENT_STATE);
  logger.info('everything of the route agent was removed from this node', { restored });
}

function formerSysctls(stateDir: string, logger: Logger): FormerSysctls {
  return new FormerSysctls(path.join(stateDir, ROUTEAGENT_STATE), ROUTEAGENT_OWNERSHIP, logger);
}

async function serve(
  config: RouteAgentConfig,
  stateDir: string,
  client: KubeClient,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const recent = new RecentLooks({ maxAgeMs: OBSERVED_MS });
  const runner = createRunner({ logger, recent });
  const former = formerSysctls(stateDir, logger);
  const endpoints = createStore<KubeObject>(client, RESOURCES.endpoints, { namespace: config.namespace, logger });
  const nodes = createStore<Node>(client, RESOURCES.nodes, { logger });
  const daemon = new RouteAgentDaemon({
    config,
    endpoints,
    nodes,
    runner,
    logger,
    beforeChange: (plan) => former.note(plan),
    probe: (target, probeSignal) => probeOnce(runner, target, probeSignal),
    publish: async (agent: RouteAgent, publishSignal) => {
      const options = { namespace: config.namespace, fieldManager: FIELD_MANAGER, force: true, signal: publishSignal };
      await client.apply(RESOURCES.routeAgents, agent, options);
    },
  });
  const startedAtMs = systemClock.now();
  const sight = {
    config,
    endpoints,
    nodes,
    // What an operator asks for is looked at anew.
    runner: createRunner({ logger }),
    startedAtMs,
    now: () => systemClock.now(),
    view: () => daemon.view,
  };
  await Promise.all([
    serveEndpoints(routeAgentTelemetry(sight), { address: config.serve, logger }, signal),
    endpoints.run(signal),
    nodes.run(signal),
    daemon.run(signal),
    watchNetwork({ logger, recent }, RELEVANT, () => daemon.trigger(), signal),
  ]);
}

async function start(signal: AbortSignal, logger: Logger, env: Environment, args: readonly string[]): Promise<void> {
  if (args[0] === 'probe') {
    const write = (line: string): void => void process.stdout.write(line);
    await runProber(args.slice(1), signal, logger, write);
    return;
  }
  if (isCleanup(env, args)) {
    await cleanUp(logger, env);
    return;
  }
  const config = readRouteAgentConfig(env);
  const client = inClusterClient(env);
  await serve(config, stateDirOf(env), client, logger, signal).finally(() => client.close());
}

/**
 * The route agent as a process: SUBMARINER_* and NODE_NAME of the environment, `--cleanup` to remove all it made,
 * `--debug-state` to print the state of the one that runs on this machine. `probe …` is another program in the same
 * image: it sends and answers test packets, needs no configuration and changes nothing.
 */
export async function main(): Promise<void> {
  const args = process.argv.slice(2);
  if (args.includes('--debug-state')) await printDebugState(ENDPOINT_PORTS.routeagent);
  else await runDaemon((signal, logger, env) => start(signal, logger, env, args));
}
