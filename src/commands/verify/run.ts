import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import { PROBER_PORT } from '../../host/prober/protocol.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError, messageOf } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { readPeers, testNodes, type Peer } from '../peers/peer.ts';
import { requireRights, type Right } from '../rights.ts';
import { testPodRights } from '../testpods/rights.ts';
import { withTestPods, type TestPodRequest, type TestPods } from '../testpods/run.ts';
import { type Deadline, startDeadline } from '../waiting.ts';
import { conclude } from './conclusions.ts';
import { evidenceDirectory, keepEvidence } from './evidence.ts';
import { runFailovers } from './failover.ts';
import { renderJunit } from './junit.ts';
import type { VerifyOptions } from './options.ts';
import { junitCases, printVerification, type Verification } from './report.ts';
import { FAILOVER, readSelection, type Selection } from './selection.ts';
import { casesBetween, readStage, runCases, type Stage } from './traffic.ts';

const DEFAULT_TIMEOUT_MS = 10 * 60_000;

/** One run of verify. */
interface Verify {
  readonly run: CommandRun;
  readonly options: VerifyOptions;
  readonly selection: Selection;
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
}

function failoverRights(): readonly Right[] {
  return [
    { verbs: ['delete'], type: RESOURCES.pods, namespace: OPERATOR_NAMESPACE },
    { verbs: ['patch'], type: RESOURCES.nodes },
  ];
}

/** Gateways are taken away only when that was agreed to. */
async function agreesToFailover({ run, options, selection }: Verify): Promise<boolean> {
  if (!selection.failover) return false;
  if (options.disruptive || options.disruptiveTests) return true;
  const { terminal, prompter } = run.context;
  if (terminal.interactive && !run.flags.yes) {
    return prompter.confirm('Also take gateways away for a while, which interrupts the traffic of other pods?');
  }
  run.reporter.warn(`${FAILOVER} is skipped: it interrupts traffic; run it with --disruptive`);
  return false;
}

function podRequest(peer: Peer, namespace: string | undefined): TestPodRequest {
  const { gateway, other } = testNodes(peer);
  const { client, name: context, clusterId, image, imagePullPolicy } = peer;
  const plan = {
    namespace,
    image,
    ...(imagePullPolicy === undefined ? {} : { imagePullPolicy }),
    nodes: [gateway, other].flatMap((node) => (node === undefined ? [] : [node.name])),
    hostNetwork: false,
    args: ['probe', 'serve'],
    port: PROBER_PORT,
    services: true,
  };
  return { client, context, clusterId, plan };
}

function refuseMissingPods({ problems }: TestPods): void {
  const [first] = problems;
  if (first === undefined) return;
  const reasons = problems.map(({ clusterId, node, reason }) => `${clusterId}, node ${node}: ${reason}`);
  throw new ExpectedError(`test pods do not run: ${reasons.join('; ')}`, {
    hint: 'They run the image of DaemonSet submariner-routeagent; look at the nodes, or give another --namespace.',
  });
}

async function testTraffic(verify: Verify, stages: readonly Stage[]): Promise<Verification['results']> {
  const { run, options, selection, deadline, signal } = verify;
  const cases = casesBetween(stages, options.packetSize).filter(selection.chooses);
  if (cases.length === 0) return [];
  const limits = {
    packetBytes: options.packetSize,
    timeoutMs: options.connectionTimeout,
    attempts: options.connectionAttempts,
    deadline,
    signal,
  };
  return runCases(run, cases, stages, limits);
}

/** Everything that is done while the test pods run. */
async function performWith(
  verify: Verify,
  peers: readonly Peer[],
  pods: TestPods,
  disruptive: boolean,
): Promise<Verification> {
  const { run, options, signal } = verify;
  refuseMissingPods(pods);
  const stages = await Promise.all(peers.map(async (peer) => readStage(peer, pods.ready)));
  const results = await testTraffic(verify, stages);
  const isBroken = results.some(({ status }) => status === 'failed');
  if (disruptive && isBroken) run.reporter.warn(`${FAILOVER} is skipped: traffic does not even flow without it`);
  const limits = { maxOutageMs: options.maxOutage, signal };
  const failovers = disruptive && !isBroken ? await runFailovers(run, stages, limits) : [];
  const clusters = peers.map(({ clusterId }) => clusterId);
  const found = { clusters, results, failovers, conclusions: conclude(results), causes: [], evidence: null };
  if ([...results, ...failovers].every(({ status }) => status !== 'failed')) return found;
  const evidence = evidenceDirectory(run, options.evidence);
  const causes = await keepEvidence(run, evidence, peers, { ...found, evidence });
  return { ...found, evidence, causes };
}

function writeJunit({ run, options }: Verify, verification: Verification): void {
  const file = options.junit ?? options.junitReport;
  if (file === undefined) return;
  const time = new Date(run.context.clock.now()).toISOString();
  try {
    writeFileSync(path.resolve(run.context.cwd, file), renderJunit(junitCases(verification), time));
  } catch (error) {
    throw new ExpectedError(`the JUnit report cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

function failIfNeeded({ results, failovers, conclusions, causes, evidence }: Verification): void {
  const all = [...results, ...failovers];
  const failed = all.filter(({ status }) => status === 'failed').length;
  if (failed === 0) return;
  const said = [...conclusions, ...causes].map((text) => `\n  ${text}`).join('');
  throw new ExpectedError(`${failed} of ${all.length} tests failed${said}`, {
    hint: `${evidence === null ? '' : `Evidence is in ${evidence}. `}subctl diagnose all looks for the cause.`,
  });
}

/** `subctl verify`: rejects with ExpectedError when a test failed or could not be made. */
export async function verify(run: CommandRun, options: VerifyOptions): Promise<void> {
  const selection = readSelection(options.only);
  const deadline = startDeadline(run.context.clock, run.flags.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const signal = run.context.interrupted();
  const one: Verify = { run, options, selection, deadline, signal };
  const peers = await readPeers(run, options, testPodRights(options.namespace));
  for (const remark of selection.remarks) run.reporter.warn(`skipped: ${remark}`);
  const disruptive = await agreesToFailover(one);
  if (!selection.traffic && !disruptive) throw new ExpectedError('there is nothing left to be tested');
  if (disruptive) {
    await requireRights(peers.map(({ name, client }) => ({ where: name, client, rights: failoverRights() })));
  }
  const requests = peers.map((peer) => podRequest(peer, options.namespace));
  const verification = await withTestPods(run, requests, { deadline, signal }, async (pods) =>
    performWith(one, peers, pods, disruptive),
  );
  await printVerification(run, verification);
  writeJunit(one, verification);
  failIfNeeded(verification);
}
