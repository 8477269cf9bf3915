import { ExpectedError, UsageError, messageOf } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { distinctClusters } from '../distinct.ts';
import { renderStructured } from '../output.ts';
import type { ImageOptions } from '../join/images.ts';
import { findRecorded } from '../join/localcluster.ts';
import { overClusters, type Problem } from '../show/loop.ts';
import { reportProblems } from '../show/run.ts';
import type { ShownCluster } from '../show/view.ts';
import { refuseWhenInterrupted } from '../testpods/run.ts';
import { type Deadline, startDeadline } from '../waiting.ts';
import type { Category, Check, CheckContext, Outcome } from './check.ts';
import { checksOf } from './checks.ts';
import { diagnosed, type DiagnosedCluster } from './cluster.ts';
import { countResults, resultOf, ResultPrinter, type CheckResult } from './report.ts';
import { collectShots } from './shots/collect.ts';
import { surveySites } from './sites/collect.ts';
import type { Survey } from './sites/model.ts';
import { collectTraffic } from './traffic/collect.ts';

const DEFAULT_TIMEOUT_MS = 5 * 60_000;

/** Flags of `subctl diagnose`; those of images and of a join to come only with `pre`. */
export interface DiagnoseOptions extends ImageOptions {
  readonly maxNodes: number;
  readonly testPods: boolean;
  readonly gatewayNodes?: readonly string[];
  readonly nattport?: number;
  readonly cableDriver?: string;
}

/** Everything the checks of all clusters share. */
interface Examination {
  readonly run: CommandRun;
  readonly clusters: readonly DiagnosedCluster[];
  readonly options: DiagnoseOptions;
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
  readonly chosen: boolean;
}

/** Clusters of one broker form a set; undefined for one that has not joined. */
function setOf({ submariner }: DiagnosedCluster): string | undefined {
  if (submariner === undefined) return undefined;
  return `${submariner.spec.brokerK8sApiServer} ${submariner.spec.brokerK8sRemoteNamespace}`;
}

/** Sends once for each set of clusters, when the first check asks. */
function oncePerSet<T>(
  { clusters }: Examination,
  send: (members: readonly DiagnosedCluster[]) => Promise<T>,
): (cluster: DiagnosedCluster) => Promise<T> {
  const known = new Map<string, Promise<T>>();
  return (cluster) => {
    const set = setOf(cluster) ?? cluster.name;
    const sent = known.get(set) ?? send(clusters.filter((one) => setOf(one) === set));
    known.set(set, sent);
    return sent;
  };
}

/** Looks around on the gateway nodes of all clusters, when the first check asks. */
function onceForAll(examination: Examination): () => Promise<Survey> {
  const { run, clusters, options, deadline, signal } = examination;
  const { gatewayNodes = [], nattport, cableDriver } = options;
  const wishes = { gatewayNodes, nattport, cableDriver };
  let known: Promise<Survey> | undefined;
  return () => (known ??= surveySites(run, clusters, { ...options, wishes, deadline, signal }));
}

const OVER: Outcome = {
  status: 'failed',
  findings: [
    { object: 'subctl', reason: 'the time was over before this could be looked at', hint: 'Give it more --timeout.' },
  ],
};

async function outcomeOf(check: Check, context: CheckContext): Promise<Outcome> {
  refuseWhenInterrupted(context.signal);
  if (context.deadline.remainingMs() <= 0) return OVER;
  try {
    return await check.run(context);
  } catch (error) {
    refuseWhenInterrupted(context.signal);
    if (!(error instanceof ExpectedError) || error instanceof UsageError) throw error;
    const finding = { object: `context ${context.cluster.name}`, reason: messageOf(error) };
    const findings = [error.hint === undefined ? finding : { ...finding, hint: error.hint }];
    return { status: 'failed', findings };
  }
}

/** The checks that apply; of a cluster that has not joined, at least the one that says so. */
function applicable(category: Category | 'all', { submariner }: DiagnosedCluster): readonly Check[] {
  // What has to be known before joining is told only to those who ask for it, with the version that is needed.
  const before = category === 'pre' ? checksOf('k8s') : [];
  const checks = [...before, ...checksOf(category).filter((one) => category === 'pre' || one.category !== 'pre')];
  if (submariner !== undefined) return checks;
  const joined = checksOf('deployment').filter(({ name }) => name === 'joined');
  const others = checks.filter(({ joinedOnly, name }) => !joinedOnly && name !== 'joined');
  return others.length === checks.length ? checks : [...others, ...joined];
}

async function examine(category: Category | 'all', examination: Examination): Promise<readonly CheckResult[]> {
  const { run, clusters, deadline, signal, chosen } = examination;
  const traffic = oncePerSet(examination, async (members) =>
    collectTraffic(run, members, { ...examination.options, deadline, signal }),
  );
  const shots = oncePerSet(examination, async (members) =>
    collectShots(run, members, { ...examination.options, signal }),
  );
  const sites = onceForAll(examination);
  const printer = new ResultPrinter(run);
  const results: CheckResult[] = [];
  for (const cluster of clusters) {
    const set = setOf(cluster);
    const others = clusters.filter((one) => one !== cluster && set !== undefined && setOf(one) === set);
    const context = {
      run,
      cluster,
      others,
      everyone: clusters,
      deadline,
      signal,
      chosen,
      traffic: () => traffic(cluster),
      shots: () => shots(cluster),
      sites,
    };
    for (const check of applicable(category, cluster)) {
      const step = run.reporter.start(`${cluster.clusterId}: ${check.title}?`);
      const outcome = await outcomeOf(check, context).finally(() => step.clear());
      const result = resultOf(check, outcome, { clusterId: cluster.clusterId, context: cluster.name });
      results.push(result);
      printer.print(result);
    }
  }
  return results;
}

/** `subctl diagnose CATEGORY`: rejects with ExpectedError when a check failed or a cluster could not be looked at. */
export async function diagnose(run: CommandRun, category: Category | 'all', options: DiagnoseOptions): Promise<void> {
  const { connection, timeoutMs = DEFAULT_TIMEOUT_MS } = run.flags;
  const deadline = startDeadline(run.context.clock, timeoutMs);
  const access = await run.access();
  // Which rights are missing before join, its own check tells.
  const readRecord = category === 'pre' ? findRecorded : undefined;
  const look = async (cluster: ShownCluster): Promise<DiagnosedCluster> => diagnosed(cluster, access);
  const { results: looked, problems } = await overClusters(run, look, undefined, readRecord);
  const clusters = await distinctClusters(
    run,
    looked.map(({ value }) => value),
    { idOf: async ({ facts, client }) => facts.uid().catch(() => client.server), once: 'examined' },
  );
  const named = connection.contexts !== undefined || connection.context !== undefined;
  const chosen = named || clusters.every(({ submariner }) => submariner === undefined);
  const signal = run.context.interrupted();
  const results = await examine(category, { run, clusters, options, deadline, signal, chosen });
  await finish(run, results, problems);
}

async function finish(run: CommandRun, results: readonly CheckResult[], problems: readonly Problem[]): Promise<void> {
  const { output } = run.flags;
  if (output === 'json' || output === 'yaml') run.print(await renderStructured({ checks: results, problems }, output));
  if (output === 'name') {
    const failed = results.filter(({ status }) => status === 'failed');
    run.print(failed.map(({ cluster, category, check }) => `check/${cluster}/${category}/${check}\n`).join(''));
  }
  reportProblems(run, problems);
  const failed = results.filter(({ status }) => status === 'failed').length;
  const counts = countResults(results);
  if (failed === 0 && problems.length === 0) {
    run.reporter.done(counts);
    return;
  }
  const { length } = problems;
  const unseen = length === 0 ? [] : [`${length === 1 ? '1 cluster' : `${length} clusters`} could not be looked at`];
  throw new ExpectedError([...(results.length === 0 ? [] : [counts]), ...unseen].join('; '), {
    hint: 'Each line with ✗ is followed by what mends it. Start with the first: what comes later often follows from it.',
  });
}
