import type { ClusterGateways } from '../api/gateways.ts';
import type { Endpoint } from '../api/types.ts';
import type { KubeObject } from '../kube/client.ts';
import type { EngineDependencies, EngineState } from './context.ts';
import { localCluster, localEndpoint } from './localendpoint.ts';
import { labelPod, publishLocal } from './publish.ts';

/** The role in the labels of the own pod is written again so often, in case somebody else has changed it. */
const LABEL_MS = 50_000;

/** The active gateway makes its Cluster and Endpoint be in the local API; any writes its role into its pod's labels. */
export async function publish(
  dependencies: EngineDependencies,
  state: EngineState,
  signal: AbortSignal,
): Promise<void> {
  const { client, config, elector, logger, stores, clock } = dependencies;
  const { current } = state.local;
  const pod = { name: config.podName ?? '', namespace: config.namespace, node: config.nodeName };
  if (current?.ready === true && elector.confirmed) {
    await publishLocal(
      {
        client,
        logger,
        cluster: localCluster(config),
        endpoint: localEndpoint(current.spec, config.namespace, announcement(state)),
        known: stores.endpoints.list() as readonly (KubeObject & Endpoint)[],
        mayWrite: () => elector.confirmed,
        onEndpoint: () => state.headStart.end(),
      },
      signal,
    );
  }
  const { leader: active } = elector;
  const nowMs = clock.monotonic();
  // A request that is under way would hold up the Endpoint of a gateway that takes over just then.
  if (pod.name === '' || (state.labelled.active === active && nowMs - state.labelled.atMs < LABEL_MS)) return;
  await labelPod(client, pod, active, signal);
  state.labelled = { active, atMs: nowMs };
}

/** The gateways of the cluster, and that they are about to change. */
function announcement({ availability, choice }: EngineState): ClusterGateways | undefined {
  const { announced: gateways } = availability;
  const { announced: change } = choice;
  return gateways === undefined || change === undefined ? gateways : { ...gateways, change };
}
