import { PROBER_PORT } from '../../host/prober/protocol.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { formatDuration } from '../duration.ts';
import { refuseWhenInterrupted, type TestPod } from '../testpods/run.ts';
import { sendProbes } from '../testpods/send.ts';
import type { Status } from './judge.ts';
import { planDisruptions, type Disruption, type DisruptionKind } from './disruption.ts';
import { startFlows, type FlowResult } from './flows.ts';
import type { Stage } from './traffic.ts';

/** What became of traffic while a gateway was taken away. */
export interface FailoverResult {
  readonly cluster: string;
  readonly kind: DisruptionKind;
  readonly gateway: string;
  /** The gateway that was active afterwards; '' when none was. */
  readonly successor: string;
  readonly status: Status;
  readonly message: string;
  readonly seconds: number;
  readonly flows: readonly FlowResult[];
}

/** Limits of the tests that take gateways away. */
export interface FailoverLimits {
  /** Longest time without an answer that passes. */
  readonly maxOutageMs: number;
  readonly signal: AbortSignal;
}

/** Traffic before and after, so that the figures are about the fail-over and not about the start. */
const LEAD_MS = 1500;
const LOOK_MS = 300;
const PROBE_MS = 1000;
/** How long a gateway may take to come back. */
const BACK_MS = 60_000;

/** The pod that stays out of it: on a node that is no gateway, if there is one. */
function bystander({ pods, peer }: Stage): TestPod | undefined {
  const isGateway = new Set(peer.nodes.filter(({ gateway }) => gateway).map(({ name }) => name));
  return pods.find(({ node }) => !isGateway.has(node)) ?? pods[0];
}

/** Looks until it holds or the time is over. */
async function until(
  run: CommandRun,
  timeoutMs: number,
  signal: AbortSignal,
  look: () => Promise<boolean>,
): Promise<boolean> {
  const { clock } = run.context;
  const endMs = clock.monotonic() + timeoutMs;
  for (;;) {
    refuseWhenInterrupted(signal);
    // An API server that does not answer now may do so later.
    if (await look().catch(() => false)) return true;
    if (clock.monotonic() >= endMs) return false;
    await clock.sleep(LOOK_MS, signal);
  }
}

async function reaches(from: TestPod, to: TestPod, signal: AbortSignal): Promise<boolean> {
  const tcp = { port: PROBER_PORT, upBytes: 1, downBytes: 1 };
  const order = { targets: [{ id: 'x', address: to.address, tcp }], timeoutMs: PROBE_MS };
  const mouth = { client: from.client, namespace: from.namespace, pod: from.name };
  const { reports } = await sendProbes(mouth, order, { signal, timeoutMs: 10_000 });
  return reports.get('x')?.tcp?.ok === true;
}

/** Why the traffic did not come through well enough; '' when it did. */
export function judgeFlows(flows: readonly FlowResult[], maxOutageMs: number): string {
  const troubles = flows.flatMap(({ from, to, protocol, failure, received, longestOutageMs, reconnects }) => {
    const way = `${protocol} ${from} -> ${to}`;
    if (failure !== '') return [`${way}: ${failure}`];
    if (received === 0) return [`${way}: nothing ever came back`];
    return [
      ...(longestOutageMs > maxOutageMs ? [`${way}: no answer for ${formatDuration(longestOutageMs)}`] : []),
      ...(reconnects > 0 ? [`${way}: the connection broke`] : []),
    ];
  });
  return troubles.join('; ');
}

interface Attempt {
  readonly successor: string;
  readonly message: string;
}

/** Takes the gateway away and waits for traffic to flow again over another, or the same one anew. */
async function disrupt(
  run: CommandRun,
  disruption: Disruption,
  [a, b]: readonly [TestPod, TestPod],
  { maxOutageMs, signal }: FailoverLimits,
): Promise<Attempt> {
  const { clock } = run.context;
  let successor = '';
  await disruption.begin();
  const taken = await until(run, maxOutageMs, signal, async () => {
    successor = (await disruption.successor(clock.now())) ?? '';
    return successor !== '';
  });
  const limit = formatDuration(maxOutageMs);
  if (!taken) return { successor, message: `no gateway works ${limit} after it was taken away` };
  const flowing = await until(
    run,
    maxOutageMs,
    signal,
    async () => (await reaches(a, b, signal)) && (await reaches(b, a, signal)),
  );
  return {
    successor,
    message: flowing ? '' : `nothing gets through ${limit} after gateway ${successor} has taken over`,
  };
}

async function runDisruption(
  run: CommandRun,
  disruption: Disruption,
  pods: readonly [TestPod, TestPod],
  limits: FailoverLimits,
): Promise<FailoverResult> {
  const { clock } = run.context;
  const { kind, gateway, peer } = disruption;
  const startedMs = clock.monotonic();
  const flows = startFlows(...pods, 3 * limits.maxOutageMs + BACK_MS, limits.signal);
  let attempt: Attempt = { successor: '', message: '' };
  try {
    await clock.sleep(LEAD_MS, limits.signal);
    attempt = await disrupt(run, disruption, pods, limits);
    await clock.sleep(LEAD_MS, limits.signal);
  } catch (error) {
    refuseWhenInterrupted(limits.signal);
    attempt = { successor: '', message: messageOf(error) };
  } finally {
    await giveBack(run, disruption, limits.signal);
  }
  const results = await flows.stop();
  refuseWhenInterrupted(limits.signal);
  const troubles = [attempt.message, judgeFlows(results, limits.maxOutageMs)].filter((text) => text !== '');
  return {
    cluster: peer.clusterId,
    kind,
    gateway,
    successor: attempt.successor,
    status: troubles.length === 0 ? 'passed' : 'failed',
    message: troubles.join('; '),
    seconds: Math.round(clock.monotonic() - startedMs) / 1000,
    flows: results,
  };
}

/** Also after an interruption: what was taken away is given back, and waited for unless somebody is in a hurry. */
async function giveBack(run: CommandRun, disruption: Disruption, signal: AbortSignal): Promise<void> {
  const { peer, gateway } = disruption;
  const hint = `kubectl --context ${peer.name} label node ${gateway} submariner.io/gateway=true --overwrite`;
  try {
    await disruption.undo();
  } catch (error) {
    run.reporter.warn(`node ${gateway} is no gateway any more: ${messageOf(error)}; make it one: ${hint}`);
    return;
  }
  if (signal.aborted) return;
  const back = await until(run, BACK_MS, signal, async () => disruption.isBack(run.context.clock.now()));
  if (!back) run.reporter.warn(`gateway ${gateway} of ${peer.clusterId} is not back after ${formatDuration(BACK_MS)}`);
}

const TITLES: Readonly<Record<DisruptionKind, string>> = {
  restart: 'restart of gateway',
  'hand-over': 'hand-over from gateway',
};

/** The name of a test that takes a gateway away. */
export function describeFailover({
  cluster,
  kind,
  gateway,
}: Pick<FailoverResult, 'cluster' | 'kind' | 'gateway'>): string {
  return `${cluster}: ${TITLES[kind]} ${gateway}`;
}

function summary({ flows }: FailoverResult): string {
  const worst = (protocol: string): number =>
    Math.max(0, ...flows.filter((flow) => flow.protocol === protocol).map(({ longestOutageMs }) => longestOutageMs));
  const lost = flows.filter(({ protocol }) => protocol === 'udp').reduce((sum, flow) => sum + flow.lost, 0);
  return `${lost} datagrams lost, longest outage ${worst('udp')} ms (UDP), ${worst('tcp')} ms (TCP)`;
}

/** Takes gateways away, one after the other, in each cluster, while traffic flows between it and the next one. */
export async function runFailovers(
  run: CommandRun,
  stages: readonly Stage[],
  limits: FailoverLimits,
): Promise<readonly FailoverResult[]> {
  const results: FailoverResult[] = [];
  for (const [index, stage] of stages.entries()) {
    const next = stages[(index + 1) % stages.length];
    const [a, b] = [bystander(stage), next === undefined ? undefined : bystander(next)];
    if (a === undefined || b === undefined) continue;
    const kinds = (await planDisruptions(stage.peer)).map(({ kind }) => kind);
    for (const kind of kinds) {
      // The active gateway may be another one after each of them.
      const disruption = (await planDisruptions(stage.peer)).find((one) => one.kind === kind);
      if (disruption === undefined) continue;
      const name = { cluster: stage.peer.clusterId, kind, gateway: disruption.gateway };
      await run.reporter.step(`${describeFailover(name)}, traffic flowing`, async (step) => {
        const result = await runDisruption(run, disruption, [a, b], limits);
        results.push(result);
        if (result.status === 'passed') step.done(`${describeFailover(name)}: ${summary(result)}`);
        else step.fail(`${describeFailover(name)}: ${result.message}`);
      });
    }
  }
  return results;
}
