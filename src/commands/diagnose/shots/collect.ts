import { OPERATOR_NAMESPACE, ROUTEAGENT_COMPONENT } from '../../../api/names.ts';
import type { ProbeTarget } from '../../../host/prober/protocol.ts';
import type { CommandRun } from '../../context.ts';
import { sendProbes, type Mouth } from '../../testpods/send.ts';
import { orReason, startTold } from '../../testpods/told.ts';
import { isReadyNode, podsByNode, type DiagnosedCluster } from '../cluster.ts';
import type { Shot, ShotResult } from './model.ts';
import { planShots, rulesAt, SHOTS, type ShotCluster } from './plan.ts';

const EXEC_MS = 60_000;
/** Long enough for packets under way when the last has been sent. */
const LINGER_MS = 500;

interface Member {
  readonly cluster: DiagnosedCluster;
  readonly shots: ShotCluster;
  readonly mouths: ReadonlyMap<string, Mouth>;
}

async function readMember(cluster: DiagnosedCluster, maxNodes: number): Promise<Member> {
  const { clusterId, facts, client } = cluster;
  const [nodes, pods, gateways, endpoints] = await Promise.all([
    facts.nodes(),
    facts.pods(),
    facts.gateways(),
    facts.endpoints(),
  ]);
  const agents = podsByNode(pods, ROUTEAGENT_COMPONENT);
  const active = gateways.find(({ status }) => status.haStatus === 'active');
  const gateway = active?.metadata.name;
  const able = nodes
    .filter((node) => isReadyNode(node) && agents.has(node.metadata.name ?? ''))
    .map(({ metadata, status }) => ({
      name: metadata.name ?? '',
      address:
        status?.addresses?.find(({ type, address }) => type === 'InternalIP' && !address.includes(':'))?.address ?? '',
    }))
    .toSorted((a, b) => Number(b.name === gateway) - Number(a.name === gateway));
  const reached = (active?.status.connections ?? []).map(
    ({ endpoint, usingIP }) => [endpoint.cluster_id, usingIP || endpoint.private_ip] as const,
  );
  return {
    cluster,
    shots: {
      clusterId,
      gateway,
      nodes: able.slice(0, maxNodes),
      endpoint: endpoints.find(({ spec }) => spec.cluster_id === clusterId)?.spec,
      reached: new Map(reached),
    },
    mouths: new Map(
      [...agents].map(([node, pod]) => [node, { client, namespace: OPERATOR_NAMESPACE, pod: pod.metadata.name ?? '' }]),
    ),
  };
}

type Counts = ReadonlyMap<string, Readonly<Record<string, number>> | string>;

const keyOf = (cluster: string, node: string): string => `${cluster} ${node}`;

async function shootAndCount(
  members: readonly Member[],
  shots: readonly Shot[],
  run: CommandRun,
  signal: AbortSignal,
): Promise<{ readonly counts: Counts; readonly failures: ReadonlyMap<string, string> }> {
  let stop = (_line: string): void => undefined;
  const stopped = new Promise<string>((resolve) => (stop = resolve));
  const places = members.flatMap((member) =>
    member.shots.nodes.flatMap(({ name }) => {
      const at = { cluster: member.shots.clusterId, node: name };
      const rules = rulesAt(shots, at);
      const mouth = member.mouths.get(name);
      return rules.length === 0 || mouth === undefined ? [] : [{ ...at, mouth, rules }];
    }),
  );
  const counters = places.map((place) => ({
    ...place,
    counter: startTold<Readonly<Record<string, number>>>(
      place.mouth,
      'count',
      { rules: place.rules },
      { stop: stopped, signal },
    ),
  }));
  try {
    await Promise.allSettled(counters.map(({ counter }) => counter.ready));
    const failures = await shoot(places, shots, signal);
    await run.context.clock.sleep(LINGER_MS, signal);
    stop('stop\n');
    const read = await Promise.all(
      counters.map(
        async ({ cluster, node, counter }) => [keyOf(cluster, node), await orReason(counter.result)] as const,
      ),
    );
    return { counts: new Map(read), failures };
  } finally {
    stop('stop\n');
  }
}

/** Sends from every node what it has to send; reasons by shot for what could not be sent. */
async function shoot(
  places: readonly { readonly cluster: string; readonly node: string; readonly mouth: Mouth }[],
  shots: readonly Shot[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const failures = await Promise.all(
    places.map(async ({ cluster, node, mouth }) => {
      const own = shots.filter(({ from }) => from.cluster === cluster && from.node === node);
      const targets = own.map(({ id, to, port, bytes }): ProbeTarget => ({
        id,
        address: to.address,
        udp: { port, bursts: [{ bytes, count: SHOTS }], ask: false },
      }));
      const { reports, failure } = await sendProbes(mouth, { targets, timeoutMs: 1 }, { signal, timeoutMs: EXEC_MS });
      return own.flatMap(({ id }) => (reports.has(id) ? [] : [[id, failure] as const]));
    }),
  );
  return new Map(failures.flat());
}

function countOf(counts: Counts, { cluster, node }: Shot['to'], id: string): number | null {
  const seen = counts.get(keyOf(cluster, node));
  return seen === undefined || typeof seen === 'string' ? null : (seen[id] ?? null);
}

function resultOf(shot: Shot, counts: Counts, failures: ReadonlyMap<string, string>): ShotResult {
  const { id, from, to } = shot;
  const unread = counts.get(keyOf(to.cluster, to.node));
  const failure = failures.get(id) ?? (typeof unread === 'string' ? unread : '');
  return {
    shot,
    sent: SHOTS,
    left: countOf(counts, from, `${id}-left`),
    arrived: countOf(counts, to, `${id}-arrived`),
    accepted: countOf(counts, to, `${id}-accepted`),
    failure,
  };
}

/**
 * Sends UDP packets to the ports of overlay, tunnel and NAT discovery, between nodes and gateways, and counts them where
 * they leave, arrive and are accepted. What listens on these ports ignores them.
 */
export async function collectShots(
  run: CommandRun,
  clusters: readonly DiagnosedCluster[],
  { signal, maxNodes }: { readonly signal: AbortSignal; readonly maxNodes: number },
): Promise<readonly ShotResult[]> {
  const members = await Promise.all(clusters.map(async (cluster) => readMember(cluster, maxNodes)));
  const shots = planShots(members.map((member) => member.shots));
  if (shots.length === 0) return [];
  return run.reporter.step(`Sending UDP packets on ${shots.length} ways`, async (step) => {
    const { counts, failures } = await shootAndCount(members, shots, run, signal);
    step.done(`UDP packets sent and counted on ${shots.length} ways`);
    return shots.map((shot) => resultOf(shot, counts, failures));
  });
}
