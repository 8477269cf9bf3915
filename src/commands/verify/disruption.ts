import { GATEWAY_COMPONENT, GATEWAY_LABEL, OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Gateway } from '../../api/types.ts';
import type { Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { podsByNode } from '../diagnose/cluster.ts';
import type { Peer } from '../peers/peer.ts';
import { silence } from '../show/freshness.ts';

/** restart: the pod of the active gateway is deleted. hand-over: its node is no gateway any more for a while. */
export type DisruptionKind = 'restart' | 'hand-over';

/** How a gateway is taken away and given back. */
export interface Disruption {
  readonly kind: DisruptionKind;
  readonly peer: Peer;
  /** Node of the gateway that is active before. */
  readonly gateway: string;
  /** Takes it away. */
  begin(): Promise<void>;
  /** The node of the gateway that has taken over and says that it works; undefined while there is none. */
  successor(nowMs: number): Promise<string | undefined>;
  /** Puts everything back as it was; does nothing when nothing was changed. */
  undo(): Promise<void>;
  /** Whether the gateway that was taken away is there again. */
  isBack(nowMs: number): Promise<boolean>;
}

const NAMESPACE = OPERATOR_NAMESPACE;

async function gatewaysOf({ client }: Peer): Promise<readonly Gateway[]> {
  return (await client.list<Gateway>(RESOURCES.gateways, { namespace: NAMESPACE })).items;
}

async function gatewayPods({ client }: Peer): Promise<ReadonlyMap<string, Pod>> {
  const { items } = await client.list<Pod>(RESOURCES.pods, { namespace: NAMESPACE });
  return podsByNode(items, GATEWAY_COMPONENT);
}

function isWorking(gateway: Gateway, nowMs: number): boolean {
  const { haStatus, statusFailure, connections } = gateway.status;
  const connected = connections.length > 0 && connections.every(({ status }) => status === 'connected');
  return haStatus === 'active' && statusFailure === '' && connected && silence(gateway, nowMs) === undefined;
}

async function workingGateway(peer: Peer, nowMs: number): Promise<string | undefined> {
  return (await gatewaysOf(peer)).find((gateway) => isWorking(gateway, nowMs))?.metadata.name;
}

async function setLabel({ client }: Peer, node: string, value: string | null): Promise<void> {
  const patch = { metadata: { labels: { [GATEWAY_LABEL]: value } } };
  await client.patch(RESOURCES.nodes, node, patch, { patchType: 'merge' });
}

function restart(peer: Peer, gateway: string): Disruption {
  let former: string | undefined;
  const fresh = async (): Promise<boolean> => {
    const uid = (await gatewayPods(peer)).get(gateway)?.metadata.uid;
    return uid !== undefined && uid !== former;
  };
  return {
    kind: 'restart',
    peer,
    gateway,
    begin: async () => {
      const pod = (await gatewayPods(peer)).get(gateway);
      if (pod === undefined) throw new ExpectedError(`no gateway pod runs on node ${gateway} of ${peer.clusterId}`);
      former = pod.metadata.uid;
      await peer.client.delete(RESOURCES.pods, pod.metadata.name ?? '', { namespace: NAMESPACE });
    },
    successor: async (nowMs) => ((await fresh()) ? workingGateway(peer, nowMs) : undefined),
    undo: async () => undefined,
    isBack: async () => fresh(),
  };
}

function handOver(peer: Peer, gateway: string): Disruption {
  let changed = false;
  return {
    kind: 'hand-over',
    peer,
    gateway,
    begin: async () => {
      changed = true;
      await setLabel(peer, gateway, null);
    },
    successor: async (nowMs) => {
      const active = await workingGateway(peer, nowMs);
      return active === gateway ? undefined : active;
    },
    undo: async () => {
      if (changed) await setLabel(peer, gateway, 'true');
      changed = false;
    },
    isBack: async (nowMs) =>
      (await gatewaysOf(peer)).some(({ metadata, ...rest }) =>
        metadata.name === gateway ? silence({ metadata, ...rest }, nowMs) === undefined : false,
      ),
  };
}

/** What can be tried in a cluster: with a second gateway also a hand-over. Rejects when no gateway is active. */
export async function planDisruptions(peer: Peer): Promise<readonly Disruption[]> {
  const gateways = await gatewaysOf(peer);
  const active = gateways.find(({ status }) => status.haStatus === 'active')?.metadata.name;
  if (active === undefined) {
    throw new ExpectedError(`cluster ${peer.clusterId} has no active gateway`, {
      hint: `Look at: subctl show gateways --context ${peer.name}`,
    });
  }
  return [restart(peer, active), ...(gateways.length > 1 ? [handOver(peer, active)] : [])];
}
