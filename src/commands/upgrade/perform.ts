import { inOrder } from '../../kube/apply.ts';
import type { KubeObject } from '../../kube/client.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError, messageOf } from '../../runtime/errors.ts';
import { formatDuration } from '../duration.ts';
import { listGateways } from '../gateway/handover.ts';
import { refuseWhenInterrupted } from '../testpods/run.ts';
import { startDeadline, waitFor } from '../waiting.ts';
import type { HostedBroker } from '../uninstall/survey.ts';
import { asBefore } from './before.ts';
import { connectionObstacle } from './health.ts';
import { readBefore } from './observe.ts';
import { DAEMON_SETS, type Observed, savedUpgrade, type UpgradePlan } from './plan.ts';
import { printUpgrade, type UpgradeResult } from './report.ts';
import { recordVersion, removeObjects, rollBack } from './rollback.ts';
import { applyForced, rollOut } from './rollout.ts';
import { removeSaved, type SavedUpgrade, writeSaved } from './saved.ts';
import { type DoneStep, timed, type UpgradeWork } from './work.ts';

/** What is known before anything is changed. */
export interface Prepared {
  readonly work: UpgradeWork;
  readonly clusterId: string;
  readonly observed: Observed & { readonly brokers: readonly HostedBroker[] };
  readonly plan: UpgradePlan;
  readonly notes: readonly string[];
}

/** Going back has a time of its own: the upgrade may have failed because its time was over. */
const UNDO_MS = 10 * 60_000;
const CONNECTED_MS = 60_000;
/** What is applied last, when everything works. */
const LAST: ReadonlySet<string> = new Set([RESOURCES.daemonSets.kind, RESOURCES.submariners.kind]);

/** Carries a plan out, and undoes it when a new pod does not work; rejects with ExpectedError unless all is done. */
export async function perform(prepared: Prepared): Promise<void> {
  const { work, plan, observed, clusterId } = prepared;
  const { run, target } = work;
  const steps: DoneStep[] = [];
  const startedMs = run.context.clock.monotonic();
  const now = { ...(await readBefore(target.client, work.manifests)), startedAt: isoTime(run.context.clock.now()) };
  const saved = withExtras(savedUpgrade(plan, observed, now), work.extras);
  await writeSaved(target.client, saved);
  try {
    await carryOut(work, plan, steps);
  } catch (error) {
    if (!(error instanceof ExpectedError)) throw error;
    if (work.signal.aborted) throw await interrupted(prepared, steps);
    return await failed(prepared, saved, steps, error);
  }
  await removeSaved(target.client);
  await printUpgrade(run, { ...resultOf(prepared, steps), outcome: 'upgraded', reason: '' });
  const took = formatDuration(run.context.clock.monotonic() - startedMs);
  run.reporter.done(`Cluster ${clusterId} has version ${plan.to} (${took})`);
}

/** What is going to be removed can be applied again. */
function withExtras(saved: SavedUpgrade, extras: readonly KubeObject[]): SavedUpgrade {
  const keyOf = ({ kind = '', metadata }: KubeObject): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
  const known = new Set(saved.before.map(keyOf));
  const others = extras.filter((object) => !known.has(keyOf(object)));
  return { ...saved, before: [...saved.before, ...others.map((object) => asBefore(object, bare(object)))] };
}

function bare({ apiVersion = '', kind = '', metadata: { name = '', namespace } }: KubeObject): KubeObject {
  return { apiVersion, kind, metadata: namespace === undefined ? { name } : { name, namespace } };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

async function carryOut(work: UpgradeWork, plan: UpgradePlan, steps: DoneStep[]): Promise<void> {
  const { manifests, target } = work;
  const first = manifests.filter(({ kind }) => !LAST.has(kind ?? ''));
  await timed(work, steps, 'Applying CRDs and roles', async ({ progress }) => applyForced(work, first, progress));
  for (const daemonSet of DAEMON_SETS) {
    const nodes = plan.replacements.find((one) => one.daemonSet === daemonSet)?.nodes ?? [];
    const manifest = manifests.find(({ kind, metadata }) => kind === 'DaemonSet' && metadata.name === daemonSet);
    if (manifest !== undefined && nodes.length > 0) await rollOut(work, manifest, { daemonSet, nodes }, steps);
  }
  await timed(work, steps, 'Waiting for the connections there were before', async ({ update }) =>
    untilConnected(work, update),
  );
  await timed(work, steps, 'Recording the new version', async ({ progress }) => {
    await removeObjects(target.client, inOrder(work.extras).toReversed());
    const last = manifests.filter(({ kind }) => LAST.has(kind ?? ''));
    await applyForced(work, last, progress);
    await recordVersion(target.client, plan.to);
  });
}

async function untilConnected(work: UpgradeWork, note: (text: string) => void): Promise<void> {
  const { target, connected, run, signal } = work;
  if (connected.length === 0) return;
  await waitFor<true>({
    deadline: startDeadline(run.context.clock, Math.min(CONNECTED_MS, work.deadline.remainingMs())),
    what: 'the connections there were before',
    hint: 'subctl diagnose connections tells more.',
    onPending: note,
    look: async () => {
      refuseWhenInterrupted(signal);
      const active = (await listGateways(target)).find(({ status }) => status.haStatus === 'active');
      if (active === undefined) return { pending: 'no gateway is active' };
      const obstacle = connectionObstacle(active, connected);
      return obstacle === undefined ? { done: true } : { pending: obstacle };
    },
  });
}

function resultOf(
  { clusterId, work, plan, notes }: Prepared,
  steps: readonly DoneStep[],
): Omit<UpgradeResult, 'outcome' | 'reason'> {
  return { cluster: clusterId, context: work.target.name, plan, notes, steps };
}

async function interrupted(prepared: Prepared, steps: readonly DoneStep[]): Promise<ExpectedError> {
  const { work } = prepared;
  const taken: unknown = work.signal.reason;
  const reason = taken instanceof ExpectedError ? taken.message : 'interrupted';
  await printUpgrade(work.run, { ...resultOf(prepared, steps), outcome: 'interrupted', reason });
  const again = `subctl upgrade --context ${work.target.name}`;
  const why = taken instanceof ExpectedError ? `: ${reason}` : '';
  return new ExpectedError(`the upgrade of cluster ${prepared.clusterId} was interrupted${why}`, {
    hint: `Traffic flows, some pods are of the new version. Go on: ${again}; or go back: ${again} --rollback`,
  });
}

async function failed(prepared: Prepared, saved: SavedUpgrade, steps: DoneStep[], error: ExpectedError): Promise<void> {
  const { run } = prepared.work;
  run.reporter.warn(`${error.message}: going back to version ${saved.from}`);
  const reason = messageOf(error);
  await goBack(prepared, saved, steps, reason);
  await printUpgrade(run, { ...resultOf(prepared, steps), outcome: 'rolled back', reason });
  throw new ExpectedError(`cluster ${prepared.clusterId} was not upgraded: ${reason}`, {
    hint: `Everything is as before, version ${saved.from}. Mend the cause and run it again.`,
  });
}

async function goBack(prepared: Prepared, saved: SavedUpgrade, steps: DoneStep[], reason: string): Promise<void> {
  const { work, clusterId } = prepared;
  const deadline = startDeadline(work.run.context.clock, UNDO_MS);
  try {
    await rollBack({ ...work, deadline, back: true }, saved, steps);
  } catch (error) {
    if (!(error instanceof ExpectedError)) throw error;
    const why = work.signal.aborted ? 'interrupted' : error.message;
    const all = `${reason === '' ? '' : `${reason}; `}could not go back: ${why}`;
    await printUpgrade(work.run, { ...resultOf(prepared, steps), outcome: 'failed', reason: all });
    throw new ExpectedError(`cluster ${clusterId}: ${all}`, {
      hint: `Some pods are of the new version. Run it again when the cause is mended: subctl upgrade --context ${work.target.name} --rollback`,
      cause: error,
    });
  }
}

/** Undoes an upgrade that was interrupted. */
export async function undo(prepared: Prepared, saved: SavedUpgrade): Promise<void> {
  const steps: DoneStep[] = [];
  await goBack(prepared, saved, steps, '');
  await printUpgrade(prepared.work.run, { ...resultOf(prepared, steps), outcome: 'rolled back', reason: '' });
  prepared.work.run.reporter.done(`Cluster ${prepared.clusterId} has version ${saved.from} again`);
}
