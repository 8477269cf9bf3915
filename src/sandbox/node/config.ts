import type { ImageTable } from '../pods/image.ts';
import { clusterOf, nodeOf, type SandboxPlan } from '../plan.ts';
import type { KubeletConfig } from './kubelet.ts';

/** Configuration of the agent of one node. */
export interface NodeConfig {
  readonly sandbox: string;
  readonly node: string;
  /** Its network namespace. */
  readonly namespace: string;
  /** On the LAN; the node's InternalIP. */
  readonly address: string;
  /** The link of the node on its LAN. */
  readonly uplink: string;
  readonly podCidr: string;
  readonly podGateway: string;
  /** Pod CIDR of the whole cluster. */
  readonly clusterPodCidr: string;
  /** URL of the API server on the LAN. */
  readonly server: string;
  readonly caFile: string;
  readonly token: string;
  /** Files of the node: `logs`, `pods`, and the host paths of its pods. */
  readonly nodeDir: string;
  /** Added to the labels every node has. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly images: ImageTable;
  /** Folder of the podman that runs all other images; without it they are refused. */
  readonly podmanHome?: string;
  /** Where a real API server is to find a kubelet; the embedded one looks after logs and exec itself. */
  readonly kubelet?: KubeletConfig;
  /** Time between two renewals of the node's Lease; default 2000. */
  readonly heartbeatMs?: number;
  /** Wait before the first restart of a container; default 500, doubled with each further restart up to 10 s. */
  readonly restartMs?: number;
}

/** What the plan does not know about a node. */
export type NodeSettings = Pick<
  NodeConfig,
  | 'server'
  | 'caFile'
  | 'token'
  | 'nodeDir'
  | 'images'
  | 'podmanHome'
  | 'kubelet'
  | 'labels'
  | 'heartbeatMs'
  | 'restartMs'
>;

/** The configuration of the agent of a planned node. Throws UsageError for an unknown name. */
export function nodeConfig(plan: SandboxPlan, cluster: string, node: string, settings: NodeSettings): NodeConfig {
  const clusterPlan = clusterOf(plan, cluster);
  const { name, namespace, address, uplink, podCidr, podGateway } = nodeOf(clusterPlan, node);
  return {
    sandbox: plan.name,
    node: name,
    namespace,
    address,
    uplink,
    podCidr,
    podGateway,
    clusterPodCidr: clusterPlan.podCidr,
    ...settings,
  };
}
