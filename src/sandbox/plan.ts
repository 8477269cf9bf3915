import { UsageError } from '../runtime/errors.ts';

/** What a sandbox is to consist of. */
export interface SandboxSize {
  /** 1 to 16 lower-case letters, digits and dashes. */
  readonly name: string;
  /** Names of the clusters, DNS labels of at most 40 characters. */
  readonly clusters: readonly string[];
  /** Nodes of each cluster. */
  readonly nodes: number;
  /** How many of the nodes of each cluster are gateways: the first ones. */
  readonly gateways: number;
}

/** One node: a network namespace with one uplink into the LAN of its cluster. */
export interface NodePlan {
  /** `<cluster>-<k>`, k from 1. */
  readonly name: string;
  readonly cluster: string;
  readonly namespace: string;
  /** On the LAN; the node's InternalIP. */
  readonly address: string;
  /** The link of the node that this address is on. */
  readonly uplink: string;
  /** The node's share of the pod CIDR. */
  readonly podCidr: string;
  /** Address of the node on its pod bridge. */
  readonly podGateway: string;
  readonly gateway: boolean;
  /** The other end of the uplink, in the WAN namespace. */
  readonly port: string;
}

/** The control plane of a cluster: a namespace of its own on the LAN and on the WAN, not a node. */
export interface ControlPlanePlan {
  readonly namespace: string;
  readonly lanAddress: string;
  readonly wanAddress: string;
  readonly lanPort: string;
  readonly wanPort: string;
}

export interface ClusterPlan {
  readonly name: string;
  /** From 1. */
  readonly index: number;
  readonly podCidr: string;
  readonly serviceCidr: string;
  readonly lanCidr: string;
  /** Address of the router on the LAN: every default route of the cluster. */
  readonly router: string;
  /** The LAN's bridge in the WAN namespace. */
  readonly bridge: string;
  readonly controlPlane: ControlPlanePlan;
  readonly nodes: readonly NodePlan[];
}

/** Names and addresses of everything in a sandbox. */
export interface SandboxPlan {
  readonly name: string;
  readonly wan: {
    readonly namespace: string;
    readonly cidr: string;
    readonly router: string;
    readonly bridge: string;
  };
  readonly clusters: readonly ClusterPlan[];
}

/** Port every API server of a sandbox listens on. */
export const API_PORT = 6443;
/** The link of a node, and of a control plane, on its LAN. */
export const LAN_LINK = 'eth0';
/** The link of a control plane on the WAN. */
export const WAN_LINK = 'eth1';

const MAX_CLUSTERS = 60;
const MAX_NODES = 200;

function check(size: SandboxSize): void {
  const mistake = namingMistake(size) ?? countMistake(size);
  if (mistake !== undefined) throw new UsageError(`a sandbox cannot be made like this: ${mistake}`);
}

function namingMistake({ name, clusters }: SandboxSize): string | undefined {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,14}[a-z0-9])?$/.test(name)) {
    return `its name "${name}" is not 1 to 16 lower-case letters, digits and dashes`;
  }
  const wrong = clusters.find((cluster) => !/^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/.test(cluster));
  if (wrong !== undefined) {
    return `the cluster name "${wrong}" is not 1 to 40 lower-case letters, digits and dashes that begin with a letter`;
  }
  const twice = clusters.find((cluster, index) => clusters.indexOf(cluster) !== index);
  return twice === undefined ? undefined : `two clusters have the name "${twice}"`;
}

function countMistake({ clusters, nodes, gateways }: SandboxSize): string | undefined {
  if (clusters.length === 0 || clusters.length > MAX_CLUSTERS) return `it needs 1 to ${MAX_CLUSTERS} clusters`;
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES) return `a cluster needs 1 to ${MAX_NODES} nodes`;
  if (!Number.isInteger(gateways) || gateways < 0 || gateways > nodes) {
    return `${gateways} gateways do not fit on ${nodes} nodes`;
  }
  return undefined;
}

function planNode(size: SandboxSize, cluster: string, index: number, number: number): NodePlan {
  const name = `${cluster}-${number}`;
  return {
    name,
    cluster,
    namespace: `${namespacePrefix(size.name)}node.${name}`,
    address: `172.${30 + index}.0.${10 + number}`,
    uplink: LAN_LINK,
    podCidr: `10.${129 + index}.${number}.0/24`,
    podGateway: `10.${129 + index}.${number}.1`,
    gateway: number <= size.gateways,
    port: `n${index}-${number}`,
  };
}

function planCluster(size: SandboxSize, name: string, index: number): ClusterPlan {
  return {
    name,
    index,
    podCidr: `10.${129 + index}.0.0/16`,
    serviceCidr: `100.${65 + index}.0.0/16`,
    lanCidr: `172.${30 + index}.0.0/24`,
    router: `172.${30 + index}.0.1`,
    bridge: `lan${index}`,
    controlPlane: {
      namespace: `${namespacePrefix(size.name)}cp.${name}`,
      lanAddress: `172.${30 + index}.0.2`,
      wanAddress: `198.18.0.${10 + index}`,
      lanPort: `c${index}-lan`,
      wanPort: `c${index}-wan`,
    },
    nodes: Array.from({ length: size.nodes }, (_, node) => planNode(size, name, index, node + 1)),
  };
}

/** Names and addresses of a sandbox, the same for the same size; throws UsageError for one that cannot be made. */
export function planSandbox(size: SandboxSize): SandboxPlan {
  check(size);
  return {
    name: size.name,
    wan: {
      namespace: `${namespacePrefix(size.name)}wan`,
      cidr: '198.18.0.0/24',
      router: '198.18.0.1',
      bridge: 'wan',
    },
    clusters: size.clusters.map((name, position) => planCluster(size, name, position + 1)),
  };
}

function namespacePrefix(sandbox: string): string {
  return `sbx-${sandbox}-`;
}

/** Name of the namespace of a pod with its own network; `key` is short and unique on the node. */
export function podNamespace(sandbox: string, node: string, key: string): string {
  return `${namespacePrefix(sandbox)}pod.${node}.${key}`;
}

/**
 * Whether a network namespace is one of this sandbox, and of nobody else: names of sandboxes have no dots, so `a` never
 * claims what belongs to a sandbox named `a-b`.
 */
export function isNamespaceOf(sandbox: string, namespace: string): boolean {
  const prefix = namespacePrefix(sandbox);
  return namespace.startsWith(prefix) && /^(?:wan$|cp\.|node\.|pod\.)/.test(namespace.slice(prefix.length));
}

/** Whether a network namespace is one of the pods of this node. */
export function isPodNamespaceOf(sandbox: string, node: string, namespace: string): boolean {
  return namespace.startsWith(podNamespace(sandbox, node, ''));
}

/** All namespaces of a plan, the WAN first; those of pods come and go and are not among them. */
export function plannedNamespaces(plan: SandboxPlan): readonly string[] {
  return [
    plan.wan.namespace,
    ...plan.clusters.flatMap(({ controlPlane, nodes }) => [
      controlPlane.namespace,
      ...nodes.map((node) => node.namespace),
    ]),
  ];
}

/** The bridges of the WAN namespace: the WAN's own and one for each LAN. */
export function wanBridges(plan: SandboxPlan): readonly string[] {
  return [plan.wan.bridge, ...plan.clusters.map((cluster) => cluster.bridge)];
}

/** The cluster with this name; throws UsageError with the known ones. */
export function clusterOf(plan: SandboxPlan, name: string): ClusterPlan {
  const found = plan.clusters.find((cluster) => cluster.name === name);
  if (found !== undefined) return found;
  throw new UsageError(`the sandbox has no cluster "${name}"`, {
    hint: `It has: ${plan.clusters.map((cluster) => cluster.name).join(', ')}.`,
  });
}

/** The node with this name, or with this number in its cluster; throws UsageError with the known ones. */
export function nodeOf(cluster: ClusterPlan, name: string): NodePlan {
  const found = cluster.nodes.find((node) => node.name === name || node.name === `${cluster.name}-${name}`);
  if (found !== undefined) return found;
  throw new UsageError(`cluster ${cluster.name} has no node "${name}"`, {
    hint: `It has: ${cluster.nodes.map((node) => node.name).join(', ')}.`,
  });
}
