import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { RouteAgent } from '../../api/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { Node } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { Column } from '../output.ts';
import { shown, type View } from './view.ts';

/** What the route agent of a node reports, as -o json prints it. */
interface RouteAgentItem {
  readonly cluster: string;
  readonly node: string;
  readonly summary: string;
  /** Why the network of the node is not as it should be; '' when it is. */
  readonly failure: string;
  readonly version: string;
  readonly remotes: readonly { readonly cluster: string; readonly status: string; readonly message: string }[];
}

/** Route agents of a cluster; none when the cluster has never joined. */
export async function readRouteAgents(client: KubeClient): Promise<readonly RouteAgent[]> {
  return (await client.list<RouteAgent>(RESOURCES.routeAgents, { namespace: OPERATOR_NAMESPACE })).items;
}

/** Nodes that are gone or silent: what their route agents said last is no longer known to be true. */
async function readLostNodes(client: KubeClient, agents: readonly RouteAgent[]): Promise<ReadonlySet<string>> {
  const { items } = await client.list<Node>(RESOURCES.nodes);
  const ready = items.filter(
    ({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True',
  );
  const alive = new Set(ready.map(({ metadata }) => metadata.name));
  return new Set(agents.map(({ metadata }) => metadata.name ?? '').filter((name) => !alive.has(name)));
}

function routeAgentItem(cluster: string, { metadata, status }: RouteAgent, lost: ReadonlySet<string>): RouteAgentItem {
  const node = metadata.name ?? '';
  const failure = lost.has(node) ? LOST : status.statusFailure;
  const remotes = status.remoteEndpoints.map((remote) => ({
    cluster: remote.spec.cluster_id,
    status: remote.status,
    message: remote.statusMessage,
  }));
  return {
    cluster,
    node,
    summary: summarise(failure, remotes),
    failure,
    version: status.version,
    remotes,
  };
}

const LOST = 'the node is not ready, so the state of its routes is not known';

function summarise(failure: string, remotes: RouteAgentItem['remotes']): string {
  if (failure !== '') return failure;
  const troubles = remotes.filter(({ status }) => status === 'error');
  if (troubles.length > 0) return troubles.map(({ cluster, message }) => `${cluster}: ${message}`).join('; ');
  return remotes.length === 0 ? 'no other clusters' : `routes to ${remotes.length} remote endpoints`;
}

const COLUMNS: readonly Column<RouteAgentItem>[] = [
  { header: 'NODE', value: ({ node }) => node, maxWidth: 30 },
  { header: 'SUMMARY', value: ({ summary }) => summary },
  { header: 'VERSION', value: ({ version }) => version, wideOnly: true },
  {
    header: 'REMOTES',
    value: ({ remotes }) => remotes.map(({ cluster, status }) => `${cluster}=${status}`),
    wideOnly: true,
  },
];

/** `subctl show routeagents`. */
export const routeAgentsView: View = {
  name: 'routeagents',
  summary: 'nodes and what is wrong with their routes',
  joinedOnly: true,
  empty: 'no route agents found',
  emptyIsFailure: false,
  read: async ({ client, clusterId }) => {
    const agents = await readRouteAgents(client);
    const lost = await readLostNodes(client, agents);
    return shown(
      agents.map((agent) => routeAgentItem(clusterId, agent, lost)),
      COLUMNS,
      ({ node }) => `routeagent.submariner.io/${node}`,
    );
  },
};
