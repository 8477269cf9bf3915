import path from 'node:path';
import { UsageError } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { renderStructured } from '../output.ts';
import { chooseContexts } from '../show/loop.ts';
import { gatherAll } from './collect.ts';
import { GATHER_TYPES, type GatherType, type GatherWishes } from './collector.ts';
import type { ArchivedCluster, ArchiveIndex } from './format.ts';
import { directorySink, tarSink, type Sink } from './sink.ts';

/** Flags of `subctl gather`. */
export interface GatherOptions {
  readonly dir?: string;
  readonly file?: string;
  readonly type?: readonly string[];
  readonly nodes?: readonly string[];
  readonly logLines: number;
  readonly workloads: boolean;
  readonly includeSensitiveData?: boolean;
}

const DEFAULT_TIMEOUT_MS = 5 * 60_000;
/** More failures than these are left to the index. */
const SHOWN_FAILURES = 8;

function wishesOf({ type, nodes, logLines, workloads }: GatherOptions): GatherWishes {
  const unknown = (type ?? []).filter((name) => !GATHER_TYPES.some((known) => known === name));
  if (unknown.length > 0) {
    throw new UsageError(`--type knows ${GATHER_TYPES.join(', ')}, not ${unknown.join(', ')}`);
  }
  return { types: (type as readonly GatherType[] | undefined) ?? GATHER_TYPES, nodes, logLines, workloads };
}

/** `submariner-20300102030405`, as upstream names what it gathers; the time is UTC. */
function defaultName(nowMs: number): string {
  return `submariner-${new Date(nowMs).toISOString().replaceAll(/\D/g, '').slice(0, 14)}`;
}

async function openSink({ cwd, clock }: CommandRun['context'], { dir, file }: GatherOptions): Promise<Sink> {
  if (dir !== undefined && file !== undefined) throw new UsageError('give either --dir or --file');
  if (dir !== undefined) return directorySink(path.resolve(cwd, dir), dir);
  const name = file ?? `${defaultName(clock.now())}.tar.gz`;
  const root = path.basename(name).replace(/\.(?:tar\.gz|tgz)$/, '');
  return tarSink(path.resolve(cwd, name), name, root === '' ? 'submariner' : root, clock.now());
}

function summarise(file: string, index: ArchiveIndex): object {
  const { createdAt, redacted, clusters, problems } = index;
  return {
    file,
    createdAt,
    redacted,
    clusters: clusters.map(({ cluster, context, clusterId, directory, files, failures }) => ({
      cluster: clusterId ?? cluster,
      context,
      joined: clusterId !== null,
      directory,
      files: files.length,
      failures,
    })),
    problems,
  };
}

function reportFailures({ reporter }: CommandRun, { directory: cluster, failures }: ArchivedCluster): void {
  for (const { collector, message } of failures.slice(0, SHOWN_FAILURES)) {
    reporter.warn(`${cluster}: ${collector}: ${message.split('\n')[0] ?? ''}`);
  }
  const more = failures.length - SHOWN_FAILURES;
  if (more > 0) reporter.warn(`${cluster}: ${more} more things could not be had; README.md of the archive names them`);
}

async function reportResult(run: CommandRun, file: string, index: ArchiveIndex): Promise<void> {
  const { reporter, flags } = run;
  for (const { context, message } of index.problems) reporter.warn(`context ${context}: ${message}`);
  for (const cluster of index.clusters) reportFailures(run, cluster);
  reporter.info(
    `Secrets were taken out (${index.redacted} values); names and addresses were not. Look through it first.`,
  );
  const { output } = flags;
  if (output === 'json' || output === 'yaml') run.print(await renderStructured(summarise(file, index), output));
  else run.print(`${file}\n`);
}

/** `subctl gather`: one archive with what is needed to find out what is wrong; prints its name. */
export async function gather(run: CommandRun, options: GatherOptions): Promise<void> {
  if (options.includeSensitiveData === true) {
    throw new UsageError('secrets never get into an archive; --include-sensitive-data is not offered', {
      hint: 'Leave the flag out.',
    });
  }
  const wishes = wishesOf(options);
  const interrupted = run.context.interrupted();
  const contexts = await chooseContexts(run);
  const sink = await openSink(run.context, options);
  const index = await run.reporter.step(`Gathering from ${contexts.join(', ')}`, async (step) => {
    const timeUp = AbortSignal.timeout(run.flags.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const found = await gatherAll(run, { contexts, wishes, sink, timeUp, interrupted, onProgress: step.progress });
    const files = found.clusters.reduce((sum, one) => sum + one.files.length, 0);
    step.done(`Gathered ${files} files from ${found.clusters.map(({ directory }) => directory).join(', ')}`);
    return found;
  });
  await reportResult(run, sink.file, index);
}
