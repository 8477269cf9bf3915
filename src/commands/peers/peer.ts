import {
  CLUSTER_ID_LABEL,
  GATEWAY_LABEL,
  OPERATOR_NAMESPACE,
  ROUTEAGENT_COMPONENT,
  SUBMARINER_NAME,
} from '../../api/names.ts';
import type { Cluster, Gateway, Submariner } from '../../api/types.ts';
import type { DaemonSet, Namespace, Node } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { ClusterAccess } from '../access.ts';
import type { CommandRun } from '../context.ts';
import { requireRights, type Right } from '../rights.ts';
import { peerContexts, refuseSame } from './contexts.ts';
import type { PeerFlags } from './flags.ts';

/** A node on which test pods can run. */
export interface PeerNode {
  readonly name: string;
  readonly gateway: boolean;
  /** Its address in the network of the nodes. */
  readonly address: string;
}

/** A joined cluster that traffic is sent from or to. */
export interface Peer extends ClusterAccess {
  readonly clusterId: string;
  /** Of namespace kube-system: what makes a cluster this cluster. */
  readonly uid: string;
  readonly podCidrs: readonly string[];
  readonly submariner: Submariner;
  /** Ready nodes, by name. */
  readonly nodes: readonly PeerNode[];
  /** Node of the active gateway; undefined when none says that it is. */
  readonly activeGateway: string | undefined;
  /** IDs of the clusters it knows. */
  readonly known: readonly string[];
  /** What test pods run: the route agent's image, which every node has already. */
  readonly image: string;
  readonly imagePullPolicy: string | undefined;
}

function list(text: string | undefined): readonly string[] {
  return (text ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function readyNodes(nodes: readonly Node[]): readonly PeerNode[] {
  return nodes
    .filter(({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True')
    .map(({ metadata, status }) => ({
      name: metadata.name ?? '',
      gateway: metadata.labels?.[GATEWAY_LABEL] === 'true',
      address: status?.addresses?.find(({ type }) => type === 'InternalIP')?.address ?? '',
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function requireJoined(access: ClusterAccess, submariner: Submariner | undefined): Submariner {
  if (submariner !== undefined) return submariner;
  throw new ExpectedError(
    `cluster ${access.cluster} (context ${access.name}) has not joined: there is no Submariner object in namespace ${OPERATOR_NAMESPACE}`,
    { hint: `Join it first: subctl join broker-info.subm --context ${access.name}` },
  );
}

function requireImage(
  access: ClusterAccess,
  daemonSet: DaemonSet | undefined,
): Pick<Peer, 'image' | 'imagePullPolicy'> {
  const container = daemonSet?.spec.template.spec.containers[0] as
    { readonly image?: string; readonly imagePullPolicy?: string } | undefined;
  if (container?.image !== undefined) return { image: container.image, imagePullPolicy: container.imagePullPolicy };
  throw new ExpectedError(
    `cluster ${access.cluster} has no DaemonSet ${ROUTEAGENT_COMPONENT}, whose image the test pods run`,
    { hint: `Join it again: subctl join broker-info.subm --context ${access.name}` },
  );
}

/** Reads what has to be known of one cluster; rejects with ExpectedError when it has not joined. */
async function readPeer(access: ClusterAccess): Promise<Peer> {
  const { client } = access;
  const namespace = OPERATOR_NAMESPACE;
  const found = await client.find<Submariner>(RESOURCES.submariners, SUBMARINER_NAME, { namespace });
  const submariner = requireJoined(access, found);
  const { spec } = submariner;
  const [system, nodes, gateways, clusters, daemonSet] = await Promise.all([
    client.get<Namespace>(RESOURCES.namespaces, 'kube-system'),
    client.list<Node>(RESOURCES.nodes),
    client.list<Gateway>(RESOURCES.gateways, { namespace }),
    client.list<Cluster>(RESOURCES.clusters, { namespace }),
    client.find<DaemonSet>(RESOURCES.daemonSets, ROUTEAGENT_COMPONENT, { namespace }),
  ]);
  return {
    ...access,
    clusterId: spec.clusterID,
    uid: system.metadata.uid ?? '',
    podCidrs: list(spec.clusterCIDR),
    submariner,
    nodes: readyNodes(nodes.items),
    activeGateway: gateways.items.find(({ status }) => status.haStatus === 'active')?.metadata.name,
    known: clusters.items.map(({ metadata, spec: one }) => metadata.labels?.[CLUSTER_ID_LABEL] ?? one.cluster_id),
    ...requireImage(access, daemonSet),
  };
}

function refuseStrangers(peers: readonly Peer[]): void {
  for (const peer of peers) {
    const stranger = peers.find(({ clusterId }) => clusterId !== peer.clusterId && !peer.known.includes(clusterId));
    if (stranger === undefined) continue;
    throw new ExpectedError(`cluster ${peer.clusterId} does not know cluster ${stranger.clusterId}`, {
      hint: 'They have to have joined the same broker; when they have just done so, wait: subctl show connections --wait',
    });
  }
}

function refuseEmpty(peers: readonly Peer[]): void {
  const empty = peers.find(({ nodes }) => nodes.length === 0);
  if (empty === undefined) return;
  throw new ExpectedError(`cluster ${empty.clusterId} has no node that is ready`, {
    hint: `Look at: kubectl --context ${empty.name} get nodes`,
  });
}

/** What reading a cluster needs. */
function readingRights(): readonly Right[] {
  const namespace = OPERATOR_NAMESPACE;
  const { submariners, gateways, clusters, daemonSets, pods, nodes, namespaces } = RESOURCES;
  return [
    { verbs: ['get'], type: submariners, namespace },
    { verbs: ['list'], type: gateways, namespace },
    { verbs: ['list'], type: clusters, namespace },
    { verbs: ['get'], type: daemonSets, namespace },
    { verbs: ['list'], type: pods, namespace },
    { verbs: ['list'], type: nodes },
    { verbs: ['get'], type: namespaces },
  ];
}

/** Reading, and what else is going to be done: all that is missing is said at once. */
async function checkRights(
  run: CommandRun,
  contexts: readonly ClusterAccess[],
  rights: readonly Right[],
): Promise<void> {
  const all = [...readingRights(), ...rights];
  await run.reporter.step('Checking permissions', async () =>
    requireRights(contexts.map(({ name, client }) => ({ where: name, client, rights: all }))),
  );
}

/**
 * Reads the clusters that the flags name. Rejects with ExpectedError when `rights` are lacking, two of the clusters are the
 * same, one has not joined, or they are not in one set; changes nothing.
 */
export async function readPeers(run: CommandRun, flags: PeerFlags, rights: readonly Right[]): Promise<readonly Peer[]> {
  const contexts = await peerContexts(run, flags);
  await checkRights(run, contexts, rights);
  return run.reporter.step(`Reading clusters ${contexts.map(({ cluster }) => cluster).join(' and ')}`, async () => {
    const peers = await Promise.all(contexts.map(readPeer));
    refuseSame(peers);
    refuseStrangers(peers);
    refuseEmpty(peers);
    return peers;
  });
}

/** Reads the one cluster of --context; the same refusals. */
export async function readOnePeer(run: CommandRun, rights: readonly Right[]): Promise<Peer> {
  const access = await (await run.access()).current();
  await checkRights(run, [access], rights);
  return run.reporter.step(`Reading cluster ${access.cluster}`, async () => {
    const peer = await readPeer(access);
    refuseEmpty([peer]);
    return peer;
  });
}

/** Where test pods go: the active gateway's node (else any gateway's) and the first node that is no gateway. */
export function testNodes({ nodes, activeGateway }: Peer): {
  readonly gateway: PeerNode | undefined;
  readonly other: PeerNode | undefined;
} {
  const gateways = nodes.filter(({ gateway }) => gateway);
  return {
    gateway: gateways.find(({ name }) => name === activeGateway) ?? gateways[0],
    other: nodes.find(({ gateway }) => !gateway),
  };
}
