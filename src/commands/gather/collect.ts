import { ExpectedError, messageOf } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { clusterUid, distinctClusters } from '../distinct.ts';
import type { Problem } from '../show/loop.ts';
import { prepareTargets, refuseUnknownNodes, secretValues, type GatherTarget } from './clusters.ts';
import type { Collecting, Collector, GatherWishes } from './collector.ts';
import { COLLECTORS } from './collectors/index.ts';
import { type ArchivedCluster, type ArchiveIndex, FORMAT, INDEX_FILE, PAGE_FILE } from './format.ts';
import { renderPage } from './page.ts';
import { ClusterRecord } from './record.ts';
import { createRedactor } from './redact.ts';
import type { Sink } from './sink.ts';
import { unlessAborted } from './unlessaborted.ts';

/** What is gathered, and where to. */
export interface GatherTask {
  readonly contexts: readonly string[];
  readonly wishes: GatherWishes;
  readonly sink: Sink;
  /** Aborted when time is up: what is there by then is kept. */
  readonly timeUp: AbortSignal;
  /** Aborted when nothing is wanted any more; rejects then. */
  readonly interrupted: AbortSignal;
  readonly onProgress?: (text: string) => void;
}

const INTERRUPTED = 'interrupted';

/** Folder names of the clusters: their names, made fit for any file system, each once. */
export function directoriesOf(names: readonly string[]): readonly string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    const plain = name.replaceAll(/[^\w.-]+/g, '_').replace(/^\.+/, '_') || '_';
    let directory = plain;
    for (let n = 2; taken.has(directory.toLowerCase()); n += 1) directory = `${plain}-${n}`;
    taken.add(directory.toLowerCase());
    return directory;
  });
}

/** Whatever goes wrong in one collector is noted, bugs too: an archive with a gap is worth more than none. */
async function runCollector(
  collector: Collector,
  collecting: Omit<Collecting, 'write' | 'writeJson' | 'writeYaml' | 'fail'>,
  record: ClusterRecord,
): Promise<void> {
  const { signal } = collecting;
  try {
    const work = collector.collect({ ...collecting, ...record.writers(collector.name) });
    await unlessAborted(work, signal, 'time was up before it was done');
  } catch (error) {
    const bug = error instanceof Error && !(error instanceof ExpectedError) ? error.stack : undefined;
    record.fail(collector.name, bug === undefined ? messageOf(error) : `a bug of subctl: ${bug}`);
  }
}

async function collectFrom(
  target: GatherTarget,
  record: ClusterRecord,
  { run, task }: { readonly run: CommandRun; readonly task: GatherTask },
): Promise<void> {
  const { cluster, submariner, secrets, brokerNamespaces, failures } = target;
  const { wishes, timeUp, interrupted, onProgress } = task;
  const access = await run.access();
  for (const failure of failures) record.fail('access', failure);
  const collecting = {
    cluster,
    client: cluster.client,
    submariner,
    secrets,
    brokerNamespaces,
    broker: access.broker.bind(access),
    wishes,
    signal: AbortSignal.any([timeUp, interrupted]),
  };
  const wanted = COLLECTORS.filter(({ type }) => wishes.types.includes(type));
  let left = wanted.length;
  await Promise.all(
    wanted.map(async (collector) => {
      await runCollector(collector, collecting, record);
      left -= 1;
      onProgress?.(`${cluster.cluster}: ${left} of ${wanted.length} parts to go`);
    }),
  );
  record.close();
}

function archivedCluster(
  { cluster, submariner }: GatherTarget,
  record: ClusterRecord,
  directory: string,
): ArchivedCluster {
  const { files, failures } = record;
  const { name: context, server } = cluster;
  const clusterId = submariner?.spec.clusterID ?? null;
  return { cluster: cluster.cluster, context, server, clusterId, directory, files, failures };
}

function credentialsOf({ flags }: CommandRun): readonly Buffer[] {
  const { token, password } = flags.connection;
  return [token, password].filter((text) => text !== undefined).map((text) => Buffer.from(text));
}

/** Nothing was learned of any cluster. */
function nothingThere(problems: readonly Problem[]): ExpectedError {
  const reasons = problems.map(({ context, message }) => `\n  context ${context}: ${message}`);
  return new ExpectedError(`no cluster could be looked at:${reasons.join('')}`, {
    hint: 'Choose the clusters with --context or --contexts; nothing was written.',
  });
}

/**
 * Gathers from the clusters of these contexts and writes the index; returns it. What cannot be had is noted in it. Rejects
 * with ExpectedError when no cluster answers, when the sink cannot be written, or when it is interrupted; the sink is
 * discarded then.
 */
export async function gatherAll(run: CommandRun, task: GatherTask): Promise<ArchiveIndex> {
  const { sink, interrupted } = task;
  try {
    const index = await unlessAborted(gatherAndIndex(run, task), interrupted, INTERRUPTED);
    await sink.add(INDEX_FILE, `${JSON.stringify(index, undefined, 2)}\n`);
    await sink.add(PAGE_FILE, renderPage(index));
    await sink.finish();
    return index;
  } catch (error) {
    await sink.discard();
    if (!interrupted.aborted) throw error;
    throw new ExpectedError(`${INTERRUPTED}; ${sink.file} was not finished and has been removed`);
  }
}

async function distinctTargets(
  run: CommandRun,
  targets: readonly GatherTarget[],
  timeUp: AbortSignal,
): Promise<readonly GatherTarget[]> {
  const named = targets.map((target) => ({ name: target.cluster.name, target }));
  const idOf = async ({ target }: (typeof named)[number]): Promise<string> => {
    const { client } = target.cluster;
    return unlessAborted(clusterUid(client), timeUp, 'time was up').catch(() => client.server);
  };
  return (await distinctClusters(run, named, { idOf, once: 'gathered from' })).map(({ target }) => target);
}

async function gatherAndIndex(run: CommandRun, task: GatherTask): Promise<ArchiveIndex> {
  const { targets: found, problems } = await prepareTargets(run, task.contexts, task.timeUp);
  if (found.length === 0) throw nothingThere(problems);
  const targets = await distinctTargets(run, found, task.timeUp);
  if (task.wishes.nodes !== undefined) await refuseUnknownNodes(targets, task.wishes.nodes, task.timeUp);
  const redactor = createRedactor([...secretValues(targets), ...credentialsOf(run)]);
  const names = directoriesOf(targets.map(({ cluster, submariner }) => submariner?.spec.clusterID ?? cluster.cluster));
  const recorded = targets.map((target, index) => {
    const directory = names[index] ?? '';
    return { target, directory, record: new ClusterRecord(task.sink, redactor, directory) };
  });
  await Promise.all(recorded.map(async ({ target, record }) => collectFrom(target, record, { run, task })));
  const clusters = recorded.map(({ target, record, directory }) => archivedCluster(target, record, directory));
  const { version, clock } = run.context;
  const createdAt = new Date(clock.now()).toISOString();
  const told = problems.map((problem) => ({ ...problem, message: redactor.text(problem.message) }));
  return { ...FORMAT, version, createdAt, clusters, problems: told, redacted: redactor.count };
}
