import { OPERATOR_NAMESPACE, SUBMARINER_NAME } from '../../api/names.ts';
import type { Submariner } from '../../api/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { selectContexts } from './contexts.ts';
import type { ShownCluster } from './view.ts';

/** A cluster that could not be looked at. */
export interface Problem {
  readonly cluster: string;
  readonly context: string;
  readonly message: string;
}

/** What became of each cluster, in the order of the kubeconfig. */
export interface LoopResult<T> {
  readonly results: readonly { readonly cluster: ShownCluster; readonly value: T }[];
  readonly problems: readonly Problem[];
}

/** Names of the contexts the flags choose; remarks are told to the operator. */
export async function chooseContexts(run: CommandRun): Promise<readonly string[]> {
  const { connection } = run.flags;
  const access = await run.access();
  // Without contexts there may still be a server: --server, or the only cluster of an in-cluster kubeconfig.
  const all = await access.contexts();
  if (all.length === 0 || connection.server !== undefined) return [(await access.current()).name];
  const { contexts, remarks } = selectContexts(all, connection);
  for (const remark of remarks) run.reporter.warn(remark);
  return contexts.map(({ name }) => name);
}

/** How what join recorded is read; undefined for a cluster that has not joined. */
type ReadRecord = (client: KubeClient) => Promise<Submariner | undefined>;

async function readSubmariner(client: KubeClient): Promise<Submariner | undefined> {
  return client.find<Submariner>(RESOURCES.submariners, SUBMARINER_NAME, { namespace: OPERATOR_NAMESPACE });
}

/** Connects to the clusters the flags choose (or to those chosen before) and does `work` in each, all at the same time; failures of one do not stop the others. */
export async function overClusters<T>(
  run: CommandRun,
  work: (cluster: ShownCluster) => Promise<T>,
  chosen?: readonly string[],
  readRecord: ReadRecord = readSubmariner,
): Promise<LoopResult<T>> {
  const names = chosen ?? (await chooseContexts(run));
  const outcomes = await Promise.all(names.map(async (name) => attempt(run, name, work, readRecord)));
  return {
    results: outcomes.flatMap((outcome) => ('problem' in outcome ? [] : [outcome])),
    problems: outcomes.flatMap((outcome) => ('problem' in outcome ? [outcome.problem] : [])),
  };
}

async function attempt<T>(
  run: CommandRun,
  name: string,
  work: (cluster: ShownCluster) => Promise<T>,
  readRecord: ReadRecord,
): Promise<{ readonly cluster: ShownCluster; readonly value: T } | { readonly problem: Problem }> {
  let clusterName = name;
  try {
    const cluster = await connect(run, name, readRecord);
    clusterName = cluster.cluster;
    return { cluster, value: await work(cluster) };
  } catch (error) {
    if (!(error instanceof ExpectedError)) throw error;
    const message = error.hint === undefined ? error.message : `${error.message} (${error.hint})`;
    return { problem: { cluster: clusterName, context: name, message } };
  }
}

async function connect(run: CommandRun, name: string, readRecord: ReadRecord): Promise<ShownCluster> {
  const access = await run.access();
  const current = run.flags.connection.server !== undefined;
  const target = current ? await access.current() : await access.connect(name);
  const submariner = await readRecord(target.client);
  return {
    ...target,
    submariner,
    clusterId: submariner?.spec.clusterID ?? target.cluster,
    nowMs: run.context.clock.now(),
  };
}
