import type { DaemonName } from '../../api/daemonstate.ts';
import type { Submariner } from '../../api/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import { readDaemonState, type StateOf } from '../daemonstate.ts';
import type { GatheredCluster } from '../gather/archive.ts';
import { archiveClient } from '../gather/offline.ts';
import { OPERATOR_NAMESPACE, SUBMARINER_NAME } from '../../api/names.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { ShownCluster } from '../show/view.ts';

/** Where the evidence of one cluster comes from: its API server and daemons, or an archive. */
export interface Source {
  readonly clusterId: string;
  /** Other names by which it may be called: context and name in the kubeconfig. */
  readonly names: readonly string[];
  /** For commands; undefined when this is an archive. */
  readonly context: string | undefined;
  readonly client: KubeClient;
  readonly submariner: Submariner | undefined;
  readonly live: boolean;
  readonly state: <Name extends DaemonName>(target: {
    readonly node: string;
    readonly daemon: Name;
  }) => Promise<StateOf<Name>>;
}

/** A cluster that is looked at now. */
export function liveSource({ clusterId, name, cluster, client, submariner }: ShownCluster): Source {
  return {
    clusterId,
    names: [clusterId, name, cluster],
    context: name,
    client,
    submariner,
    live: true,
    state: async (target) => readDaemonState({ client }, target),
  };
}

/** A cluster as an archive has it. */
export async function archivedSource(cluster: GatheredCluster): Promise<Source> {
  const client = archiveClient(cluster);
  const submariner = await client.find<Submariner>(RESOURCES.submariners, SUBMARINER_NAME, {
    namespace: OPERATOR_NAMESPACE,
  });
  const clusterId = cluster.clusterId ?? cluster.cluster;
  return {
    clusterId,
    names: [clusterId, cluster.context, cluster.cluster],
    context: undefined,
    client,
    submariner,
    live: false,
    state: async (target) => cluster.daemonState(target),
  };
}
