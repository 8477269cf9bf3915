import type { LatencyReport, ThroughputReport } from '../../host/prober/measurements.ts';
import { PROBER_PORT } from '../../host/prober/protocol.ts';
import { ExpectedError, UsageError } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { readOnePeer, readPeers, type Peer } from '../peers/peer.ts';
import { testPodRights } from '../testpods/rights.ts';
import { refuseWhenInterrupted, withTestPods, type TestPod, type TestPodRequest } from '../testpods/run.ts';
import { measure, type Mouth } from '../testpods/send.ts';
import { startDeadline } from '../waiting.ts';
import { latencyItems, throughputItems, type Run, type RunEnd, type Way } from './figures.ts';
import type { BenchmarkKind, BenchmarkOptions } from './options.ts';
import { waysBetween, waysWithin } from './plan.ts';
import { describeWay, printBenchmark, type Benchmark } from './report.ts';

/** How long starting the pods may take. */
const START_MS = 2 * 60_000;
const WARMUP_SECONDS = 1;
/** Beside the time of the measurement itself. */
const SLACK_MS = 60_000;
const DEFAULT_BYTES = 64;

interface Measuring {
  readonly run: CommandRun;
  readonly kind: BenchmarkKind;
  readonly options: BenchmarkOptions;
  readonly peers: readonly Peer[];
  readonly pods: readonly TestPod[];
  readonly signal: AbortSignal;
}

/** Pods in the network of the node have its address. */
function isOnHost(pod: TestPod, peers: readonly Peer[]): boolean {
  const node = peers.find(({ clusterId }) => clusterId === pod.clusterId)?.nodes.find(({ name }) => name === pod.node);
  return node?.address === pod.address;
}

function podAt({ cluster, node }: RunEnd, network: Way['network'], { pods, peers }: Measuring): TestPod {
  const found = pods.find(
    (pod) => pod.clusterId === cluster && pod.node === node && isOnHost(pod, peers) === (network === 'host'),
  );
  if (found === undefined) throw new ExpectedError(`no test pod runs on node ${node} of ${cluster}`);
  return found;
}

/** Orders and says how it went; only an interruption makes it reject. */
async function runWay<Report>(measuring: Measuring, way: Way): Promise<Run<Report>> {
  const { run, kind, options, signal } = measuring;
  const { streams, duration, size = DEFAULT_BYTES } = options;
  return run.reporter.step(`Measuring ${describeWay(way)}`, async (step) => {
    try {
      const from = podAt(way.from, way.network, measuring);
      const { address } = podAt(way.to, way.network, measuring);
      const common = { address, port: PROBER_PORT, streams, seconds: duration / 1000, warmupSeconds: WARMUP_SECONDS };
      const mouth: Mouth = { client: from.client, namespace: from.namespace, pod: from.name };
      const order = kind === 'latency' ? { ...common, bytes: size } : common;
      const limits = { signal, timeoutMs: duration + SLACK_MS };
      const report = (await measure(mouth, kind, order, limits)) as Report;
      return { way, report, failure: '' };
    } catch (error) {
      refuseWhenInterrupted(signal);
      if (!(error instanceof ExpectedError)) throw error;
      step.warn(`${describeWay(way)}: ${error.message}`);
      return { way, report: undefined, failure: error.message };
    }
  });
}

function requests(
  peers: readonly Peer[],
  ways: readonly Way[],
  namespace: string | undefined,
): readonly TestPodRequest[] {
  const nodesOf = (peer: Peer, network: Way['network']): readonly string[] => {
    const ends = ways.filter((way) => way.network === network).flatMap(({ from, to }) => [from, to]);
    return [...new Set(ends.filter(({ cluster }) => cluster === peer.clusterId).map(({ node }) => node))];
  };
  return peers.flatMap((peer) =>
    (['pods', 'host'] as const).map((network) => {
      const { client, name: context, clusterId, image, imagePullPolicy } = peer;
      const plan = {
        namespace,
        image,
        ...(imagePullPolicy === undefined ? {} : { imagePullPolicy }),
        nodes: nodesOf(peer, network),
        hostNetwork: network === 'host',
        args: ['probe', 'serve'],
        port: PROBER_PORT,
      };
      return { client, context, clusterId, plan };
    }),
  );
}

async function measureAll(measuring: Measuring, ways: readonly Way[]): Promise<Benchmark> {
  const { kind, options, peers } = measuring;
  const { streams, duration, size = DEFAULT_BYTES } = options;
  const settings = { clusters: peers.map(({ clusterId }) => clusterId), streams, seconds: duration / 1000 };
  if (kind === 'latency') {
    const runs: Run<LatencyReport>[] = [];
    for (const way of ways) runs.push(await runWay<LatencyReport>(measuring, way));
    return { kind, settings: { ...settings, bytes: size }, runs: latencyItems(runs) };
  }
  const runs: Run<ThroughputReport>[] = [];
  for (const way of ways) runs.push(await runWay<ThroughputReport>(measuring, way));
  return { kind, settings, runs: throughputItems(runs) };
}

function isIntraCluster({ intraCluster, tocontext, toconfig }: BenchmarkOptions): boolean {
  const second = tocontext !== undefined || toconfig !== undefined;
  if (intraCluster && second) throw new UsageError('--intra-cluster and --tocontext exclude each other');
  return !second;
}

async function planRuns(
  run: CommandRun,
  options: BenchmarkOptions,
): Promise<{ readonly peers: readonly Peer[]; readonly ways: readonly Way[] }> {
  const rights = testPodRights(options.namespace);
  if (isIntraCluster(options)) {
    const peer = await readOnePeer(run, rights);
    return { peers: [peer], ways: waysWithin(peer) };
  }
  const peers = await readPeers(run, options, rights);
  const [a, b] = peers;
  if (a === undefined || b === undefined) throw new UsageError('two clusters are needed');
  return { peers, ways: waysBetween(a, b) };
}

/** `subctl benchmark throughput|latency`: rejects with ExpectedError when traffic between pods could not be measured. */
export async function benchmark(run: CommandRun, kind: BenchmarkKind, options: BenchmarkOptions): Promise<void> {
  const signal = run.context.interrupted();
  const deadline = startDeadline(run.context.clock, run.flags.timeoutMs ?? START_MS);
  const { peers, ways } = await planRuns(run, options);
  const wanted = requests(peers, ways, options.namespace);
  const result = await withTestPods(run, wanted, { deadline, signal }, async ({ ready, problems }) => {
    for (const { clusterId, node, reason } of problems) run.reporter.warn(`${clusterId}, node ${node}: ${reason}`);
    return measureAll({ run, kind, options, peers, pods: ready, signal }, ways);
  });
  await printBenchmark(run, result);
  const failed = result.runs.filter(({ network, failure }) => network === 'pods' && failure !== '');
  if (failed.length > 0) {
    throw new ExpectedError(`${failed.length} of ${result.runs.length} measurements were not possible`, {
      hint: 'subctl diagnose all looks for the cause.',
    });
  }
}
