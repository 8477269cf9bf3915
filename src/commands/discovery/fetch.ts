import type { KubeClient, KubeObject, ListOptions, ResourceType } from '../../kube/client.ts';
import { isForbidden, isNotFound } from '../../kube/errors.ts';
import type { ConfigMap, DaemonSet, Node, Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { ClusterObjects, ForeignObject } from './objects.ts';

const CALICO_POOLS: ResourceType = {
  group: 'crd.projectcalico.org',
  version: 'v1',
  plural: 'ippools',
  kind: 'IPPool',
  namespaced: false,
};
const CILIUM_NODES: ResourceType = {
  group: 'cilium.io',
  version: 'v2',
  plural: 'ciliumnodes',
  kind: 'CiliumNode',
  namespaced: false,
};
const OPENSHIFT_NETWORKS: ResourceType = {
  group: 'config.openshift.io',
  version: 'v1',
  plural: 'networks',
  kind: 'Network',
  namespaced: false,
};

/** Namespaces in which control planes and CNIs live. */
const SYSTEM_NAMESPACES = ['kube-system', 'kube-flannel', 'calico-system', 'ovn-kubernetes'] as const;
/** TEST-NET-free address that is in nobody's service range; the refusal names the range. */
const PROBE_IP = '1.1.1.1';

/** Lists a kind; where the kind or the right is missing the answer is empty, and a missing right is reported. */
async function listIfAny<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType,
  problems: string[],
  options: ListOptions = {},
): Promise<readonly T[]> {
  try {
    return (await client.list<T>(type, options)).items;
  } catch (error) {
    if (isNotFound(error)) return [];
    if (!isForbidden(error)) throw error;
    problems.push(
      `not allowed to list ${type.plural}${options.namespace === undefined ? '' : ` in ${options.namespace}`}`,
    );
    return [];
  }
}

async function inSystemNamespaces<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType,
  problems: string[],
): Promise<readonly T[]> {
  const lists = SYSTEM_NAMESPACES.map((namespace) => listIfAny<T>(client, type, problems, { namespace }));
  return (await Promise.all(lists)).flat();
}

/** Servers before 1.22 take any address in a dry run. */
async function dryRunsTell(client: KubeClient): Promise<boolean> {
  const { gitVersion = '' } = await client.request<{ readonly gitVersion?: string }>('GET', '/version');
  const [, minor] = /^v?1\.(\d+)/.exec(gitVersion) ?? [];
  return minor === undefined || Number(minor) >= 22;
}

/**
 * The refusal of a Service with an impossible cluster IP, which names the range. A dry run first; old servers look at the
 * address only when it is meant seriously, and refuse it then.
 */
async function probeServiceRange(client: KubeClient): Promise<string | undefined> {
  const name = 'subctl-service-range-probe';
  const namespace = 'default';
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { clusterIP: PROBE_IP, ports: [{ port: 443 }] },
  };
  try {
    await client.create(RESOURCES.services, service, { namespace, dryRun: true });
    if (await dryRunsTell(client)) return undefined;
    await client.create(RESOURCES.services, service, { namespace });
    await client.delete(RESOURCES.services, name, { namespace });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Fetches everything the sources look at. Rejects only when the API server cannot be reached. */
export async function fetchClusterObjects(client: KubeClient): Promise<ClusterObjects> {
  const problems: string[] = [];
  const list = <T extends KubeObject>(type: ResourceType): Promise<readonly T[]> =>
    listIfAny<T>(client, type, problems);
  const [nodes, pods, daemonSets, configMaps, serviceCidrs, calicoPools, ciliumNodes, networks, invalidServiceMessage] =
    await Promise.all([
      list<Node>(RESOURCES.nodes),
      inSystemNamespaces<Pod>(client, RESOURCES.pods, problems),
      inSystemNamespaces<DaemonSet>(client, RESOURCES.daemonSets, problems),
      inSystemNamespaces<ConfigMap>(client, RESOURCES.configMaps, problems),
      list<ForeignObject>(RESOURCES.serviceCidrs),
      list<ForeignObject>(CALICO_POOLS),
      list<ForeignObject>(CILIUM_NODES),
      list<ForeignObject>(OPENSHIFT_NETWORKS),
      probeServiceRange(client),
    ]);
  const openshiftNetwork = networks.find(({ metadata }) => metadata.name === 'cluster');
  return {
    nodes,
    pods,
    daemonSets,
    configMaps,
    serviceCidrs,
    calicoPools,
    ciliumNodes,
    openshiftNetwork,
    invalidServiceMessage,
    problems,
  };
}
