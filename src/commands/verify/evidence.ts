import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ExpectedError, messageOf } from '../../runtime/errors.ts';
import type { ClusterAccess, KubeAccess } from '../access.ts';
import type { CommandRun } from '../context.ts';
import { parsePlace } from '../explain/place.ts';
import { renderExplanation } from '../explain/render.ts';
import { followWay } from '../explain/run.ts';
import { liveSource } from '../explain/source.ts';
import { gatherAll } from '../gather/collect.ts';
import { GATHER_TYPES } from '../gather/collector.ts';
import { tarSink } from '../gather/sink.ts';
import { renderStructured } from '../output.ts';
import type { Peer } from '../peers/peer.ts';
import type { Case, Destination, Source } from './cases.ts';
import type { CaseResult } from './judge.ts';
import { structuredVerification, type Verification } from './report.ts';

const LOG_LINES = 2000;
const GATHER_MS = 2 * 60_000;

/** Stamp for the names of files: UTC, digits only. */
function stamp({ context }: CommandRun): string {
  return new Date(context.clock.now()).toISOString().replaceAll(/\D/g, '').slice(0, 14);
}

/** The directory for evidence: the one asked for, else one named after the time. */
export function evidenceDirectory(run: CommandRun, asked: string | undefined): string {
  return path.resolve(run.context.cwd, asked ?? `subctl-verify-${stamp(run)}`);
}

/** The clusters under test, whichever kubeconfig they are from. */
function accessTo(peers: readonly Peer[], access: KubeAccess): KubeAccess {
  const one = (name?: string): ClusterAccess => {
    const found = peers.find((peer) => peer.clusterId === name) ?? peers[0];
    if (found === undefined) throw new ExpectedError('there is no cluster to look at');
    return found;
  };
  return {
    contexts: async () => peers,
    current: async () => one(),
    connect: async (name) => one(name),
    broker: async (target) => access.broker(target),
  };
}

/** Objects, logs and daemon states of the clusters, as `subctl gather` archives them; answers with what could not be had. */
async function gatherInto(run: CommandRun, directory: string, peers: readonly Peer[]): Promise<void> {
  const name = 'gather.tar.gz';
  const access = accessTo(peers, await run.access());
  const { server: _, ...connection } = run.flags.connection;
  const here: CommandRun = { ...run, access: async () => access, flags: { ...run.flags, connection } };
  await gatherAll(here, {
    contexts: peers.map(({ clusterId }) => clusterId),
    wishes: { types: GATHER_TYPES, nodes: undefined, logLines: LOG_LINES, workloads: false },
    sink: await tarSink(path.join(directory, name), name, `submariner-${stamp(run)}`, run.context.clock.now()),
    timeUp: AbortSignal.timeout(GATHER_MS),
    interrupted: run.context.interrupted(),
  });
}

/** Ways that are explained: more of them tend to say the same. */
const MAX_WAYS = 4;

/** The first failed case of each direction, then others, from different places. */
function waysToExplain(results: readonly CaseResult[]): readonly Case[] {
  const failed = results.filter(({ status }) => status === 'failed').map(({ tested }) => tested);
  const firsts = [...Map.groupBy(failed, ({ from, to }) => JSON.stringify([from.cluster, to.cluster])).values()];
  const bySource = [...Map.groupBy(failed, ({ from }) => JSON.stringify(from)).values()];
  const chosen = [...firsts, ...bySource].flatMap(([one]) => one ?? []);
  return [...new Set(chosen)].slice(0, MAX_WAYS);
}

function placeText({ cluster, kind, node, address }: Source | Destination): string {
  return kind === 'node' ? `${cluster}:node/${node}` : `${cluster}:${address}`;
}

/** Follows the ways that failed and keeps what was found; answers with the causes, each once. */
async function explainInto(
  run: CommandRun,
  directory: string,
  peers: readonly Peer[],
  results: readonly CaseResult[],
): Promise<readonly string[]> {
  const nowMs = run.context.clock.now();
  const sources = peers.map((peer) => liveSource({ ...peer, nowMs }));
  const causes = new Map<string, string>();
  for (const [index, { from, to }] of waysToExplain(results).entries()) {
    const texts = [placeText(from), placeText(to)] as const;
    let text: string;
    try {
      const places = [parsePlace(texts[0]), parsePlace(texts[1])] as const;
      const way = await followWay(sources, places, run.context.interrupted());
      text = renderExplanation(way);
      const cause = way.broken === null ? undefined : `${way.broken.cause}; ${way.broken.mend}`;
      // The same cause may be seen at another time.
      if (cause !== undefined) causes.set(cause.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, ''), cause);
    } catch (error) {
      if (!(error instanceof ExpectedError) || run.context.interrupted().aborted) throw error;
      text = `cannot be explained: ${error.message}\n`;
    }
    const file = path.join(directory, `explain-${index + 1}.txt`);
    writeFileSync(file, `subctl explain ${texts.join(' ')}\n\n${text}`, { mode: 0o600 });
  }
  return [...causes.values()];
}

async function orCannotKeep<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new ExpectedError(`the evidence cannot be kept in ${directory}: ${messageOf(error)}`, {
      hint: 'Give another directory with --evidence DIRECTORY.',
      cause: error,
    });
  }
}

/**
 * Keeps what is needed to find out why tests failed, while the test pods are still there: the results and an archive of
 * both clusters, and some of the ways explained. Answers with the causes that were found. Rejects with ExpectedError when
 * the directory cannot be written; a gap in the archive is only said.
 */
export async function keepEvidence(
  run: CommandRun,
  directory: string,
  peers: readonly Peer[],
  verification: Verification,
): Promise<readonly string[]> {
  return run.reporter.step('Keeping the evidence', async (step) => {
    const causes = await orCannotKeep(directory, async () => {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      step.progress('Keeping the evidence: explaining what failed');
      const found = await explainInto(run, directory, peers, verification.results);
      const results = await renderStructured(structuredVerification({ ...verification, causes: found }), 'json');
      writeFileSync(path.join(directory, 'results.json'), results, { mode: 0o600 });
      return found;
    });
    try {
      step.progress('Keeping the evidence: gathering');
      await gatherInto(run, directory, peers);
      step.done(`The evidence is in ${directory}`);
    } catch (error) {
      if (!(error instanceof ExpectedError) || run.context.interrupted().aborted) throw error;
      step.warn(`The evidence in ${directory} has no archive: ${error.message}`);
    }
    return causes;
  });
}
