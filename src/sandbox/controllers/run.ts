import type { KubeClient, ResourceType } from '../../kube/client.ts';
import type { DaemonSet, EndpointSlice, Lease, Node, Pod, Service } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { createStore } from '../../kube/store.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import { ReconcileLoop } from '../../runtime/loop.ts';
import type { ClusterStores, Controller, ControllerContext } from './controller.ts';
import { endpointSliceController } from './endpointslices.ts';
import type { ReplicaSet, RollingDeployment } from './workload-types.ts';
import { nodeLifecycleController, podGarbageController } from './nodes.ts';
import { scheduler } from './scheduler.ts';
import { daemonSetController, deploymentController, replicaSetController } from './workloads.ts';

/** The controllers every control plane needs besides its API server. */
export const CORE_CONTROLLERS: readonly Controller[] = [
  scheduler,
  daemonSetController,
  deploymentController,
  replicaSetController,
  endpointSliceController,
  nodeLifecycleController,
  podGarbageController,
];

export interface ControllersOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Silence after which a node counts as lost. */
  readonly nodeGraceMs: number;
  readonly controllers?: readonly Controller[];
  /** The version in which the server has EndpointSlices; default v1. */
  readonly sliceType?: ResourceType;
}

const STORE_NAMES: readonly (keyof ClusterStores)[] = [
  'nodes',
  'pods',
  'services',
  'endpointSlices',
  'daemonSets',
  'deployments',
  'replicaSets',
  'nodeLeases',
];

function createStores({ client, logger, clock }: ControllersOptions, sliceType: ResourceType): ClusterStores {
  const options = { logger, clock };
  return {
    nodes: createStore<Node>(client, RESOURCES.nodes, options),
    pods: createStore<Pod>(client, RESOURCES.pods, options),
    services: createStore<Service>(client, RESOURCES.services, options),
    endpointSlices: createStore<EndpointSlice>(client, sliceType, options),
    daemonSets: createStore<DaemonSet>(client, RESOURCES.daemonSets, options),
    deployments: createStore<RollingDeployment>(client, RESOURCES.deployments, options),
    replicaSets: createStore<ReplicaSet>(client, RESOURCES.replicaSets, options),
    nodeLeases: createStore<Lease>(client, RESOURCES.leases, { ...options, namespace: 'kube-node-lease' }),
  };
}

/** Runs controllers until the signal is aborted; none acts before every cache is complete. Never rejects. */
export async function runControllers(options: ControllersOptions, signal: AbortSignal): Promise<void> {
  const { client, clock, nodeGraceMs, sliceType = RESOURCES.endpointSlices } = options;
  const stores = createStores(options, sliceType);
  const synced = (): boolean => STORE_NAMES.every((name) => stores[name].synced);
  const loops = (options.controllers ?? CORE_CONTROLLERS).map((controller) => {
    const logger = options.logger.with({ controller: controller.name });
    const context: ControllerContext = { client, sliceType, stores, logger, now: () => clock.now(), nodeGraceMs };
    const loop = new ReconcileLoop({
      name: controller.name,
      logger,
      clock,
      reconcile: async (inner) => {
        if (synced()) await controller.reconcile(context, inner);
      },
      ...(controller.resyncMs === undefined ? {} : { resyncMs: controller.resyncMs }),
      backoff: { initialMs: 100, maxMs: 5000 },
    });
    for (const name of controller.watches) stores[name].onChange(() => loop.trigger());
    return loop;
  });
  let complete = false;
  for (const name of STORE_NAMES) {
    stores[name].onChange(() => {
      if (complete || !synced()) return;
      complete = true;
      for (const loop of loops) loop.trigger();
    });
  }
  await Promise.all([...STORE_NAMES.map((name) => stores[name].run(signal)), ...loops.map((loop) => loop.run(signal))]);
}
