import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ExpectedError, messageOf } from '../../runtime/errors.ts';
import type { ClusterAccess, KubeAccess } from '../access.ts';
import type { CommandRun } from '../context.ts';
import { gatherAll } from '../gather/collect.ts';
import { GATHER_TYPES } from '../gather/collector.ts';
import { tarSink } from '../gather/sink.ts';
import { renderStructured } from '../output.ts';
import type { Peer } from '../peers/peer.ts';
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

/**
 * Keeps what is needed to find out why tests failed, while the test pods are still there: the results and an archive of
 * both clusters. Rejects with ExpectedError when the directory cannot be written; a gap in the archive is only said.
 */
export async function keepEvidence(
  run: CommandRun,
  directory: string,
  peers: readonly Peer[],
  verification: Verification,
): Promise<void> {
  await run.reporter.step('Keeping the evidence', async (step) => {
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      const results = await renderStructured(structuredVerification(verification), 'json');
      writeFileSync(path.join(directory, 'results.json'), results, { mode: 0o600 });
    } catch (error) {
      throw new ExpectedError(`the evidence cannot be kept in ${directory}: ${messageOf(error)}`, {
        hint: 'Give another directory with --evidence DIRECTORY.',
        cause: error,
      });
    }
    try {
      await gatherInto(run, directory, peers);
      step.done(`The evidence is in ${directory}`);
    } catch (error) {
      if (!(error instanceof ExpectedError) || run.context.interrupted().aborted) throw error;
      step.warn(`The evidence in ${directory} has no archive: ${error.message}`);
    }
  });
}
