import type { ClusterAccess } from '../access.ts';
import type { CommandRun } from '../context.ts';
import type { Step } from '../reporter.ts';
import { refuseWhenInterrupted } from '../testpods/run.ts';
import type { Deadline } from '../waiting.ts';
import type { KubeObject } from '../../kube/client.ts';

/** What every step of an upgrade, or of its undoing, needs. */
export interface UpgradeWork {
  readonly run: CommandRun;
  readonly target: ClusterAccess;
  readonly deadline: Deadline;
  readonly signal: AbortSignal;
  /** The manifests to end with. */
  readonly manifests: readonly KubeObject[];
  /** Objects of former versions that are to go. */
  readonly extras: readonly KubeObject[];
  /** Going back, to a version that may tell less of itself. */
  readonly back: boolean;
  /** IDs of the clusters that were connected before. */
  readonly connected: readonly string[];
}

/** One thing that was done, for -o json. */
export interface DoneStep {
  readonly step: string;
  readonly seconds: number;
}

/** Runs a step with its time; not when it was interrupted before. */
export async function timed(
  { run, signal }: UpgradeWork,
  done: DoneStep[],
  text: string,
  act: (step: Step) => Promise<void>,
): Promise<void> {
  refuseWhenInterrupted(signal);
  const { clock } = run.context;
  const startedMs = clock.monotonic();
  await run.reporter.step(text, act);
  done.push({ step: text, seconds: Math.round((clock.monotonic() - startedMs) / 100) / 10 });
}
