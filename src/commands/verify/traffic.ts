import { OPERATOR_NAMESPACE, ROUTEAGENT_COMPONENT } from '../../api/names.ts';
import type { ProbeReport } from '../../host/prober/protocol.ts';
import type { Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { CommandRun } from '../context.ts';
import { podsByNode } from '../diagnose/cluster.ts';
import { testNodes, type Peer, type PeerNode } from '../peers/peer.ts';
import { refuseWhenInterrupted, type TestPod } from '../testpods/run.ts';
import { sendProbes, type Mouth } from '../testpods/send.ts';
import type { Deadline } from '../waiting.ts';
import { planCases, type Case, type CasePlaces, type Destination, type Source } from './cases.ts';
import { judgeCase, type CaseResult } from './judge.ts';

/** A cluster with its test pods and route agents, from which packets are sent. */
export interface Stage {
  readonly peer: Peer;
  readonly pods: readonly TestPod[];
  /** Route agent pods by node. */
  readonly agents: ReadonlyMap<string, Pod>;
}

/** What the tests between clusters are limited by. */
export interface TrafficLimits {
  readonly packetBytes: number;
  readonly timeoutMs: number;
  readonly attempts: number;
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
}

/** Sources that send at the same time; more would disturb each other. */
const AT_ONCE = 4;
/** Targets a prober tries at the same time. */
const PROBER_AT_ONCE = 8;

/** Adds what has to be known of a cluster to send from it. */
export async function readStage(peer: Peer, pods: readonly TestPod[]): Promise<Stage> {
  const { items } = await peer.client.list<Pod>(RESOURCES.pods, { namespace: OPERATOR_NAMESPACE });
  return {
    peer,
    pods: pods.filter(({ clusterId }) => clusterId === peer.clusterId),
    agents: podsByNode(items, ROUTEAGENT_COMPONENT),
  };
}

/** The pods and nodes of a cluster that packets are sent from and to. */
function placesOf({ peer, pods, agents }: Stage): CasePlaces {
  const { gateway, other } = testNodes(peer);
  const nodes = [other, gateway].filter((node): node is PeerNode => node !== undefined);
  const at = (node: PeerNode): Pick<Source, 'cluster' | 'node' | 'gateway'> => ({
    cluster: peer.clusterId,
    node: node.name,
    gateway: node.gateway,
  });
  const podOn = (node: PeerNode): TestPod | undefined => pods.find((pod) => pod.node === node.name);
  return {
    cluster: peer.clusterId,
    sources: nodes.flatMap((node): readonly Source[] => {
      const pod = podOn(node);
      return [
        ...(pod === undefined ? [] : [{ ...at(node), kind: 'pod' as const, address: pod.address }]),
        ...(agents.has(node.name) ? [{ ...at(node), kind: 'node' as const, address: '' }] : []),
      ];
    }),
    destinations: nodes.flatMap((node): readonly Destination[] => {
      const pod = podOn(node);
      if (pod === undefined) return [];
      return [
        { ...at(node), kind: 'pod', address: pod.address },
        { ...at(node), kind: 'service', address: pod.serviceAddress },
      ];
    }),
  };
}

/** All cases between the clusters. */
export function casesBetween(stages: readonly Stage[], packetBytes: number): readonly Case[] {
  return planCases(stages.map(placesOf), packetBytes);
}

/** The pod from which packets of a source are sent. */
function mouthOf({ cluster, kind, node }: Source, stages: readonly Stage[]): Mouth | undefined {
  const stage = stages.find(({ peer }) => peer.clusterId === cluster);
  if (stage === undefined) return undefined;
  const { client } = stage.peer;
  if (kind === 'node') {
    const pod = stage.agents.get(node)?.metadata.name;
    return pod === undefined ? undefined : { client, namespace: OPERATOR_NAMESPACE, pod };
  }
  const own = stage.pods.find((pod) => pod.node === node);
  return own === undefined ? undefined : { client, namespace: own.namespace, pod: own.name };
}

function execMs(cases: readonly Case[], { timeoutMs, deadline }: TrafficLimits): number {
  const targets = cases.reduce((sum, one) => sum + one.targets.length, 0);
  const rounds = Math.ceil(targets / PROBER_AT_ONCE);
  // One target may wait for an answer several times over, a UDP one also for what the other side says.
  return Math.max(1, Math.ceil(Math.min(10_000 + rounds * 4 * timeoutMs, deadline.remainingMs())));
}

/** Runs the cases of one source; never rejects because of what is lost. */
async function runFrom(
  cases: readonly Case[],
  stages: readonly Stage[],
  limits: TrafficLimits,
): Promise<readonly CaseResult[]> {
  const from = cases[0]?.from;
  const mouth = from === undefined ? undefined : mouthOf(from, stages);
  const stage = stages.find(({ peer }) => peer.clusterId === from?.cluster);
  const podCidrs = stage?.peer.podCidrs ?? [];
  let reports: ReadonlyMap<string, ProbeReport> = new Map();
  let failure = 'there is no pod to send from';
  if (mouth !== undefined) {
    const order = { targets: cases.flatMap(({ targets }) => targets), timeoutMs: limits.timeoutMs };
    ({ reports, failure } = await sendProbes(mouth, order, {
      signal: limits.signal,
      timeoutMs: execMs(cases, limits),
    }));
  }
  return cases.map((tested) => judgeCase(tested, reports, { podCidrs, failure }));
}

/** One round over all sources, some at the same time; `onDone` is told how many results there are. */
async function runRound(
  cases: readonly Case[],
  stages: readonly Stage[],
  limits: TrafficLimits,
  onDone: (results: readonly CaseResult[]) => void,
): Promise<readonly CaseResult[]> {
  const bySource = Map.groupBy(cases, ({ from }) => JSON.stringify([from.cluster, from.kind, from.node]));
  const queue = bySource.values();
  const results: CaseResult[] = [];
  const work = async (): Promise<void> => {
    for (const own of queue) {
      refuseWhenInterrupted(limits.signal);
      results.push(...(await runFrom(own, stages, limits)));
      onDone(results);
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
  for (const worker of workers) if (worker.status === 'rejected') throw worker.reason;
  refuseWhenInterrupted(limits.signal);
  return results;
}

/** Runs cases; those that fail are tried again as often as asked for. In the order of the cases. */
export async function runCases(
  run: CommandRun,
  cases: readonly Case[],
  stages: readonly Stage[],
  limits: TrafficLimits,
): Promise<readonly CaseResult[]> {
  return run.reporter.step(`Sending packets: ${cases.length} tests`, async (step) => {
    const results = new Map<string, CaseResult>();
    let open = cases;
    for (let attempt = 1; attempt <= limits.attempts && open.length > 0; attempt += 1) {
      const again = attempt === 1 ? '' : ', again';
      const round = await runRound(open, stages, limits, (done) =>
        step.progress(`Sending packets${again}: ${done.length} of ${open.length} tests`),
      );
      for (const result of round) results.set(result.tested.id, result);
      open = cases.filter(({ id }) => results.get(id)?.status === 'failed');
      if (limits.deadline.remainingMs() <= 0) break;
    }
    const failed = open.length;
    const text = `${cases.length - failed} of ${cases.length} tests between clusters passed`;
    if (failed === 0) step.done(text);
    else step.fail(text);
    return cases.flatMap(({ id }) => results.get(id) ?? []);
  });
}
