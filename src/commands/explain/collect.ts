import type { DaemonName } from '../../api/daemonstate.ts';
import { OPERATOR_NAMESPACE, ROUTEAGENT_COMPONENT } from '../../api/names.ts';
import type { Endpoint, Gateway } from '../../api/types.ts';
import { parseEndpoint } from '../../api/validate.ts';
import type { NodeLook } from '../../host/look.ts';
import type { ProbeTarget } from '../../host/prober/protocol.ts';
import type { KubeObject } from '../../kube/client.ts';
import { listEndpointSlices } from '../../kube/endpointslices.ts';
import type { Node, Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { overlayAddress } from '../../net/vtep.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { StateOf } from '../daemonstate.ts';
import { podsByNode } from '../diagnose/cluster.ts';
import { sendProbes } from '../testpods/send.ts';
import { endpointOf, gatewayNode, nodeAddress } from './leg.ts';
import type { Answer, ClusterEvidence, Echo, End, NodeReading } from './model.ts';
import { announced, type Resolved } from './resolve.ts';
import type { Source } from './source.ts';
import { backendEnd } from './walk.ts';

const PING = { count: 3 } as const;
const ANSWER_MS = 1000;
const EXEC_MS = 20_000;

async function orProblem<T>(read: Promise<T>): Promise<Answer<T>> {
  try {
    return { state: await read };
  } catch (error) {
    if (!(error instanceof ExpectedError)) throw error;
    return { problem: error.message };
  }
}

function readable(object: KubeObject): readonly Endpoint[] {
  const parsed = parseEndpoint(object);
  return parsed.problem === undefined ? [parsed.endpoint] : [];
}

/** What the API server, or an archive, knows of a cluster; daemons are not asked yet. */
async function readObjects({ source, pod, service, end }: Resolved): Promise<ClusterEvidence> {
  const { client } = source;
  const namespace = OPERATOR_NAMESPACE;
  const [nodes, endpoints, gateways, slices] = await Promise.all([
    client.list<Node>(RESOURCES.nodes),
    client.list<KubeObject>(RESOURCES.endpoints, { namespace }),
    client.list<Gateway>(RESOURCES.gateways, { namespace }),
    service === undefined ? [] : listEndpointSlices(client, service.metadata.namespace ?? ''),
  ]);
  const { pods: podCidrs, services: serviceCidrs } = announced(source);
  const base: ClusterEvidence = {
    clusterId: source.clusterId,
    context: source.context,
    podCidrs,
    serviceCidrs,
    nodes: nodes.items,
    pods: pod === undefined ? [] : [pod],
    services: service === undefined ? [] : [service],
    slices,
    endpoints: endpoints.items.flatMap(readable),
    gateways: gateways.items,
    engines: new Map(),
    routeAgents: new Map(),
    networks: new Map(),
    echoes: [],
  };
  return withBackend(source, base, end);
}

/** The pod that stands for a Service is evidence too. */
async function withBackend(source: Source, base: ClusterEvidence, end: End): Promise<ClusterEvidence> {
  const { end: receiver } = backendEnd(base, end);
  if (receiver.kind !== 'pod' || end.kind !== 'service') return base;
  const [namespace = '', name = ''] = receiver.name.replace(/^pod /, '').split('/');
  const read = await orProblem(source.client.find<Pod>(RESOURCES.pods, name, { namespace }));
  return read.state === undefined ? base : { ...base, pods: [...base.pods, read.state] };
}

/** The network of a node as its route agent tells it, else as it is found without it. */
async function readNetwork(
  source: Source,
  agents: ReadonlyMap<string, Pod>,
  node: string,
  told: readonly Answer<StateOf<DaemonName>>[],
): Promise<NodeReading> {
  const agent = told.find(({ state }) => state?.daemon === 'routeagent')?.state;
  if (agent !== undefined) return { node: agent.observed.node, own: agent.observed.network };
  const looked = await lookInto(source, agents.get(node)?.metadata.name);
  const engine = told.find(({ state }) => state?.daemon === 'engine')?.state;
  return looked ?? { node: engine?.observed.node ?? null, own: null };
}

async function lookInto({ client, live }: Source, pod: string | undefined): Promise<NodeReading | undefined> {
  if (!live || pod === undefined) return undefined;
  try {
    const command = ['routeagent', 'probe', 'look'];
    const { exitCode, stdout } = await client.exec(OPERATOR_NAMESPACE, pod, command, { timeoutMs: EXEC_MS });
    if (exitCode !== 0) return undefined;
    const { node, network } = JSON.parse(stdout) as NodeLook;
    return { node, own: network };
  } catch (error) {
    if (error instanceof ExpectedError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Asks the daemons of the nodes on the way. */
async function readDaemons(
  source: Source,
  base: ClusterEvidence,
  end: End,
  agents: ReadonlyMap<string, Pod>,
): Promise<ClusterEvidence> {
  const gateway = gatewayNode(base);
  const { end: receiver } = backendEnd(base, end);
  const nodes = [...new Set([end.node, receiver.node, gateway].filter((node) => node !== undefined))];
  const read = await Promise.all(
    nodes.map(async (node) => {
      const [routeAgent, engine] = await Promise.all([
        orProblem(source.state({ node, daemon: 'routeagent' })),
        node === gateway ? orProblem(source.state({ node, daemon: 'engine' })) : undefined,
      ]);
      const network = await readNetwork(
        source,
        agents,
        node,
        engine === undefined ? [routeAgent] : [routeAgent, engine],
      );
      return { node, routeAgent, engine, network };
    }),
  );
  return {
    ...base,
    routeAgents: new Map(read.map(({ node, routeAgent }) => [node, routeAgent])),
    engines: new Map(read.flatMap(({ node, engine }) => (engine === undefined ? [] : [[node, engine] as const]))),
    networks: new Map(read.map(({ node, network }) => [node, network])),
  };
}

interface Wanted {
  readonly node: string;
  readonly address: string;
}

/** Echo requests along the way inside one cluster and into the cable: each proves one stretch. */
function wantedEchoes(own: ClusterEvidence, other: ClusterEvidence, end: End): readonly Wanted[] {
  const gateway = gatewayNode(own);
  if (gateway === undefined) return [];
  const { end: receiver } = backendEnd(own, end);
  const health = endpointOf(own, other.clusterId)?.healthCheckIP ?? '';
  const address = nodeAddress(own, gateway);
  const viaOverlay = receiver.node !== undefined && receiver.node !== gateway && address !== undefined;
  return [
    ...(viaOverlay ? [{ node: receiver.node ?? '', address: overlayAddress(address) }] : []),
    ...(health === '' ? [] : [{ node: gateway, address: health }]),
    ...(receiver.kind === 'service' ? [] : [{ node: gateway, address: receiver.address }]),
  ];
}

async function sendEchoes(
  source: Source,
  agents: ReadonlyMap<string, Pod>,
  wanted: readonly Wanted[],
  signal: AbortSignal,
): Promise<readonly Echo[]> {
  const byNode = Map.groupBy(wanted, ({ node }) => node);
  const sent = await Promise.all(
    [...byNode].map(async ([node, targets]) => {
      const pod = agents.get(node)?.metadata.name;
      if (pod === undefined) return [];
      const orders = targets.map(({ address }): ProbeTarget => ({ id: address, address, icmp: PING }));
      const mouth = { client: source.client, namespace: OPERATOR_NAMESPACE, pod };
      const order = { targets: orders, timeoutMs: ANSWER_MS };
      const { reports } = await sendProbes(mouth, order, { signal, timeoutMs: EXEC_MS });
      return [...reports.values()].flatMap(({ id, icmp }) =>
        icmp === undefined ? [] : [{ node, address: id, ...icmp }],
      );
    }),
  );
  return sent.flat();
}

/** Reads all that the two clusters tell about the way between two ends, and sends echo requests along it. */
export async function collectEvidence(
  from: Resolved,
  to: Resolved,
  signal: AbortSignal,
): Promise<{ readonly a: ClusterEvidence; readonly b: ClusterEvidence }> {
  const sides = await Promise.all(
    [from, to].map(async (resolved) => {
      const { source, end } = resolved;
      const options = { namespace: OPERATOR_NAMESPACE, labelSelector: `app=${ROUTEAGENT_COMPONENT}` };
      const pods = source.live ? (await source.client.list<Pod>(RESOURCES.pods, options)).items : [];
      const agents = podsByNode(pods, ROUTEAGENT_COMPONENT);
      const evidence = await readDaemons(source, await readObjects(resolved), end, agents);
      return { source, end, agents, evidence };
    }),
  );
  const [one, two] = sides;
  if (one === undefined || two === undefined) throw new Error('a way has two ends');
  const echoes = async (own: typeof one, other: typeof one): Promise<ClusterEvidence> => {
    if (!own.source.live) return own.evidence;
    const wanted = wantedEchoes(own.evidence, other.evidence, own.end);
    return { ...own.evidence, echoes: await sendEchoes(own.source, own.agents, wanted, signal) };
  };
  const [a, b] = await Promise.all([echoes(one, two), echoes(two, one)]);
  return { a, b };
}
