import { ExpectedError, UsageError } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { clusterUid, distinctClusters } from '../distinct.ts';
import { openArchive } from '../gather/archive.ts';
import { renderStructured } from '../output.ts';
import { overClusters } from '../show/loop.ts';
import { reportProblems } from '../show/run.ts';
import { refuseWhenInterrupted } from '../testpods/run.ts';
import { collectEvidence } from './collect.ts';
import { parsePlace, type PlaceText } from './place.ts';
import { type Explanation, explanation, renderExplanation } from './render.ts';
import { resolvePlace, type Resolved } from './resolve.ts';
import { archivedSource, liveSource, type Source } from './source.ts';
import { walk } from './walk.ts';

/** Flags of `subctl explain`. */
export interface ExplainOptions {
  readonly archive?: string;
}

async function sourcesOf(run: CommandRun, { archive }: ExplainOptions): Promise<readonly Source[]> {
  if (archive !== undefined) {
    const { clusters } = await openArchive(archive);
    return Promise.all(clusters.map(archivedSource));
  }
  const { results, problems } = await overClusters(run, async (cluster) => liveSource(cluster));
  reportProblems(run, problems);
  if (results.length === 0) {
    throw new ExpectedError('no cluster could be looked at', {
      hint: 'Choose the clusters to look at with --contexts, or read an archive: --archive.',
    });
  }
  const sources = results.map(({ cluster, value }) => ({ name: cluster.name, client: cluster.client, value }));
  const idOf = async ({ client }: (typeof sources)[number]): Promise<string> => clusterUid(client);
  const distinct = await distinctClusters(run, sources, { idOf, once: 'looked at' });
  return distinct.map(({ value }) => value);
}

function requireTwo(from: Resolved, to: Resolved): void {
  for (const { end, source } of [from, to]) {
    if (source.submariner !== undefined) continue;
    throw new ExpectedError(`cluster ${end.cluster} has not joined: there is no way from it to another cluster`, {
      hint: `subctl join broker-info.subm --context ${source.context ?? end.cluster} joins it.`,
    });
  }
  if (from.end.cluster !== to.end.cluster && from.source.client.server !== to.source.client.server) return;
  throw new ExpectedError(`${from.end.name} and ${to.end.name} are in one cluster, ${to.end.cluster}`, {
    hint: 'Ways inside a cluster are those of its CNI; give two places in different clusters.',
  });
}

async function print(run: CommandRun, result: Explanation): Promise<void> {
  const { output } = run.flags;
  const { broken } = result;
  if (output === 'json' || output === 'yaml') run.print(await renderStructured(result, output));
  else if (output !== 'name') run.print(renderExplanation(result));
  else if (broken !== null) run.print(`hop/${broken.way}/${broken.node}/${broken.what.replaceAll(' ', '-')}\n`);
}

/** Follows the way between two places of these clusters; rejects with ExpectedError when one is not found, or both are in one cluster. */
export async function followWay(
  sources: readonly Source[],
  [fromText, toText]: readonly [PlaceText, PlaceText],
  signal: AbortSignal,
): Promise<Explanation> {
  const [from, to] = await Promise.all([resolvePlace(sources, fromText), resolvePlace(sources, toText)]);
  requireTwo(from, to);
  const evidence = await collectEvidence(from, to, signal);
  return explanation(from.end, to.end, walk({ from: from.end, to: to.end, ...evidence }));
}

/** `subctl explain FROM TO`: prints the way hop by hop; rejects with ExpectedError when it is broken. */
export async function explain(run: CommandRun, args: readonly string[], options: ExplainOptions): Promise<void> {
  const [fromText, toText] = [parsePlace(args[0] ?? ''), parsePlace(args[1] ?? '')];
  if (fromText.kind === 'service') {
    throw new UsageError(`a packet does not start at a Service: ${fromText.text}`, { hint: 'Give one of its pods.' });
  }
  const signal = run.context.interrupted();
  const result = await run.reporter.step('Reading the way', async (step) => {
    const sources = await sourcesOf(run, options);
    const way = await followWay(sources, [fromText, toText], signal);
    refuseWhenInterrupted(signal);
    step.clear();
    return way;
  });
  await print(run, result);
  if (result.broken === null) return;
  throw new ExpectedError(`the way is broken: ${result.broken.cause}`, { hint: `${result.broken.mend}.` });
}
