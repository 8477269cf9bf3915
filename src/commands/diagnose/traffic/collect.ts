import { ROUTEAGENT_COMPONENT, OPERATOR_NAMESPACE } from '../../../api/names.ts';
import { PROBER_PORT, type ProbeOrder } from '../../../host/prober/protocol.ts';
import type { KubeClient } from '../../../kube/client.ts';
import type { Pod } from '../../../kube/objects.ts';
import type { CommandRun } from '../../context.ts';
import { refuseWhenInterrupted, withTestPods, type TestPod, type TestPods } from '../../testpods/run.ts';
import { sendProbes, type Mouth } from '../../testpods/send.ts';
import type { Deadline } from '../../waiting.ts';
import { isReadyNode, podsByNode, type DiagnosedCluster } from '../cluster.ts';
import type { Crossing, Place, Traffic } from './model.ts';
import { planTraffic, type Errand, type TrafficCluster } from './plan.ts';

/** Longest wait for one answer. */
const ANSWER_MS = 1500;
const SEND_MS = 90_000;

/** A cluster with what is needed to send from its nodes. */
interface Sender {
  readonly cluster: DiagnosedCluster;
  /** Route agent pods by node. */
  readonly agents: ReadonlyMap<string, Pod>;
  /** Ready nodes with a route agent, gateways first. */
  readonly nodes: readonly string[];
  readonly untried: Traffic['untried'];
}

async function readSender(cluster: DiagnosedCluster, maxNodes: number): Promise<Sender> {
  const { clusterId, facts } = cluster;
  const [nodes, pods, gateways] = await Promise.all([facts.nodes(), facts.pods(), facts.gateways()]);
  const agents = podsByNode(pods, ROUTEAGENT_COMPONENT);
  const isGateway = new Set(gateways.map(({ metadata }) => metadata.name));
  const ready = nodes
    .filter(isReadyNode)
    .map(({ metadata }) => metadata.name ?? '')
    .toSorted((a, b) => Number(isGateway.has(b)) - Number(isGateway.has(a)) || (a < b ? -1 : 1));
  const able = ready.filter((node) => agents.has(node));
  const tried = able.slice(0, maxNodes);
  const left = able.length - tried.length;
  return {
    cluster,
    agents,
    nodes: tried,
    untried: [
      ...ready
        .filter((node) => !agents.has(node))
        .map((node) => ({ cluster: clusterId, object: `node ${node}`, reason: 'no route agent runs on it' })),
      ...(left === 0
        ? []
        : [{ cluster: clusterId, object: `${left} more nodes`, reason: `--max-nodes is ${maxNodes}` }]),
    ],
  };
}

/** Addresses of the gateways of other clusters, as this cluster knows them. */
async function readGateways({ clusterId, facts }: DiagnosedCluster): Promise<TrafficCluster['gateways']> {
  const endpoints = await facts.endpoints();
  return endpoints.flatMap(({ spec }) =>
    spec.cluster_id === clusterId || spec.healthCheckIP === undefined || spec.healthCheckIP === ''
      ? []
      : [{ cluster: spec.cluster_id, node: spec.hostname, address: spec.healthCheckIP }],
  );
}

/** Where the active gateway sends its tunnel packets. */
async function readTunnels({ facts }: DiagnosedCluster): Promise<TrafficCluster['tunnels']> {
  const active = (await facts.gateways()).find(({ status }) => status.haStatus === 'active');
  const to = (active?.status.connections ?? []).map(({ endpoint, usingIP }) => ({
    cluster: endpoint.cluster_id,
    node: endpoint.hostname,
    address: usingIP || endpoint.private_ip,
  }));
  return { from: active?.metadata.name, to };
}

async function trafficCluster(sender: Sender, pods: readonly TestPod[]): Promise<TrafficCluster> {
  const { clusterId } = sender.cluster;
  const own = new Map(pods.filter((pod) => pod.clusterId === clusterId).map((pod) => [pod.node, pod.address]));
  return {
    clusterId,
    nodes: sender.nodes.map((name) => ({ name, podAddress: own.get(name) })),
    gateways: await readGateways(sender.cluster),
    tunnels: await readTunnels(sender.cluster),
  };
}

/** The pod from which packets of a place are sent. */
function mouthOf({ kind, node, cluster }: Place, senders: readonly Sender[], pods: readonly TestPod[]): Mouth {
  const own = pods.find((pod) => pod.clusterId === cluster && pod.node === node);
  if (kind === 'pod' && own !== undefined) return { client: own.client, namespace: own.namespace, pod: own.name };
  const sender = senders.find((one) => one.cluster.clusterId === cluster);
  const pod = sender?.agents.get(node)?.metadata.name ?? '';
  return { client: sender?.cluster.client as KubeClient, namespace: OPERATOR_NAMESPACE, pod };
}

async function runErrand(
  { from, sends }: Errand,
  mouth: Mouth,
  { signal, deadline }: Pick<TrafficOptions, 'signal' | 'deadline'>,
): Promise<readonly Crossing[]> {
  const order: ProbeOrder = { targets: sends.map(({ target }) => target), timeoutMs: ANSWER_MS };
  const timeoutMs = Math.max(1, Math.ceil(Math.min(SEND_MS, deadline.remainingMs())));
  const { reports, failure } = await sendProbes(mouth, order, { signal, timeoutMs });
  return sends.map(({ to, target }) => {
    const report = reports.get(target.id);
    return { from, to, report, failure: report === undefined ? failure || 'the prober said nothing' : '' };
  });
}

/** How many sources send at the same time; more would disturb each other. */
const AT_ONCE = 4;

async function runErrands(
  errands: readonly Errand[],
  senders: readonly Sender[],
  pods: readonly TestPod[],
  { run, signal, deadline }: Pick<TrafficOptions, 'signal' | 'deadline'> & { readonly run: CommandRun },
): Promise<readonly Crossing[]> {
  return run.reporter.step(`Sending test packets from ${errands.length} places`, async (step) => {
    const crossings: Crossing[] = [];
    const queue = errands.values();
    let done = 0;
    const work = async (): Promise<void> => {
      for (const errand of queue) {
        if (signal.aborted) return;
        crossings.push(...(await runErrand(errand, mouthOf(errand.from, senders, pods), { signal, deadline })));
        done += 1;
        step.progress(`Sending test packets: ${done} of ${errands.length} places`);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    refuseWhenInterrupted(signal);
    step.done(`Test packets sent from ${errands.length} places`);
    return crossings;
  });
}

/** What sending test packets is limited by. */
export interface TrafficOptions {
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
  readonly maxNodes: number;
  /** False: nothing is created, packets go from nodes to gateways only. */
  readonly testPods: boolean;
}

/**
 * Sends packets between clusters of one set: from every node, and from a test pod on every node, to the gateways and test
 * pods of the others. Of a cluster that is known but not among these only the gateway is a destination.
 */
export async function collectTraffic(
  run: CommandRun,
  clusters: readonly DiagnosedCluster[],
  { deadline, signal, maxNodes, testPods }: TrafficOptions,
): Promise<Traffic> {
  const senders = await Promise.all(clusters.map(async (cluster) => readSender(cluster, maxNodes)));
  const untried = senders.flatMap((sender) => sender.untried);
  const send = async ({ ready, problems }: TestPods): Promise<Traffic> => {
    const plan = planTraffic(await Promise.all(senders.map(async (sender) => trafficCluster(sender, ready))));
    const crossings = await runErrands(plan, senders, ready, { run, signal, deadline });
    const failed = problems.map(({ clusterId, node, reason }) => ({
      cluster: clusterId,
      object: `test pod on node ${node}`,
      reason,
    }));
    return { crossings, untried: [...untried, ...failed] };
  };
  const places = senders.filter(({ nodes }) => nodes.length > 0);
  if (!testPods || places.length < 2) return send({ ready: [], problems: [] });
  return withTestPods(run, places.map(testPodPlace), { deadline, signal }, send);
}

function testPodPlace({ cluster, agents, nodes }: Sender): Parameters<typeof withTestPods>[1][number] {
  const { client, name, clusterId } = cluster;
  const container = [...agents.values()][0]?.spec.containers[0] as
    { readonly image?: string; readonly imagePullPolicy?: string } | undefined;
  const pull = container?.imagePullPolicy === undefined ? {} : { imagePullPolicy: container.imagePullPolicy };
  const plan = {
    image: container?.image ?? '',
    ...pull,
    nodes,
    hostNetwork: false,
    args: ['probe', 'serve'],
    port: PROBER_PORT,
  };
  return { client, context: name, clusterId, plan };
}
