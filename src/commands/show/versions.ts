import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { RouteAgent } from '../../api/types.ts';
import type { DaemonSet, Deployment, Node, Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { Column } from '../output.ts';
import { readGateways } from './connections.ts';
import { shown, type ShownCluster, type View } from './view.ts';

/** A component and its version, as -o json prints it. */
interface VersionItem {
  readonly cluster: string;
  readonly component: string;
  readonly repository: string;
  readonly configured: string;
  /** Versions that running instances report; empty when none does. */
  readonly running: readonly string[];
  readonly arch: readonly string[];
}

const COLUMNS: readonly Column<VersionItem>[] = [
  { header: 'COMPONENT', value: ({ component }) => component },
  { header: 'REPOSITORY', value: ({ repository }) => repository },
  { header: 'CONFIGURED', value: ({ configured }) => configured },
  { header: 'RUNNING', value: ({ running }) => (running.length === 0 ? 'Unavailable' : running) },
  { header: 'ARCH', value: ({ arch }) => arch },
];

/** Repository and tag (or digest) of an image reference. */
export function splitImage(image: string): { readonly repository: string; readonly tag: string } {
  const slash = image.lastIndexOf('/');
  const repository = slash === -1 ? '' : image.slice(0, slash);
  const name = image.slice(slash + 1);
  const digest = name.indexOf('@');
  if (digest !== -1) return { repository, tag: name.slice(digest + 1) };
  const colon = name.indexOf(':');
  return { repository, tag: colon === -1 ? 'latest' : name.slice(colon + 1) };
}

/** What the instances of each component say about themselves. */
async function runningVersions(cluster: ShownCluster): Promise<ReadonlyMap<string, readonly string[]>> {
  const [gateways, agents] = await Promise.all([
    readGateways(cluster),
    cluster.client.list<RouteAgent>(RESOURCES.routeAgents, { namespace: OPERATOR_NAMESPACE }),
  ]);
  const unique = (versions: readonly string[]): readonly string[] =>
    [...new Set(versions.filter((version) => version !== ''))].sort();
  return new Map([
    ['submariner-gateway', unique(gateways.map(({ status }) => status.version))],
    ['submariner-routeagent', unique(agents.items.map(({ status }) => status.version))],
  ]);
}

async function readVersions(cluster: ShownCluster): Promise<readonly VersionItem[]> {
  const { client, clusterId } = cluster;
  const namespace = OPERATOR_NAMESPACE;
  const [daemonSets, deployments, pods, nodes, running] = await Promise.all([
    client.list<DaemonSet>(RESOURCES.daemonSets, { namespace }),
    client.list<Deployment>(RESOURCES.deployments, { namespace }),
    client.list<Pod>(RESOURCES.pods, { namespace }),
    client.list<Node>(RESOURCES.nodes),
    runningVersions(cluster),
  ]);
  const archOf = new Map(
    nodes.items.map(({ metadata, status }) => [
      metadata.name,
      metadata.labels?.['kubernetes.io/arch'] ?? status?.nodeInfo?.['architecture'] ?? '',
    ]),
  );
  return [...daemonSets.items, ...deployments.items].map(({ metadata, spec }) => {
    const component = metadata.name ?? '';
    const { repository, tag } = splitImage(spec.template.spec.containers[0]?.image ?? '');
    const own = pods.items.filter((pod) => pod.metadata.labels?.['app'] === component);
    const arch = [...new Set(own.map((pod) => archOf.get(pod.spec.nodeName) ?? ''))].filter((name) => name !== '');
    return { cluster: clusterId, component, repository, configured: tag, running: running.get(component) ?? [], arch };
  });
}

/** `subctl show versions`. */
export const versionsView: View = {
  name: 'versions',
  summary: 'versions of the deployed components',
  joinedOnly: true,
  empty: 'no components found',
  emptyIsFailure: false,
  read: async (cluster) => shown(await readVersions(cluster), COLUMNS, ({ component }) => `component/${component}`),
};
