import { FIELD_MANAGER, OPERATOR_NAMESPACE } from '../../api/names.ts';
import { appliersOf } from '../../kube/appliers.ts';
import type { KubeClient, KubeObject } from '../../kube/client.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { ClusterAccess } from '../access.ts';
import type { CommandRun } from '../context.ts';
import { hasAdmissionPolicies } from '../deploybroker/admission.ts';
import { accessManifests } from '../deploybroker/plan.ts';
import { whileAlone } from '../changelock.ts';
import { compareObjects, type ObjectDrift } from '../drift/comparison.ts';
import { extraDrift, findExtras } from '../drift/extra.ts';
import { driftPaint } from '../drift/render.ts';
import { readDaemonSecrets } from '../drift/secrets.ts';
import { joinManifests, submarinerObject } from '../join/manifests.ts';
import { requireRights } from '../rights.ts';
import type { HostedBroker } from '../uninstall/survey.ts';
import { startDeadline } from '../waiting.ts';
import { connectedClusters } from './health.ts';
import { notesOn } from './notes.ts';
import { observeCluster, refuseNewer } from './observe.ts';
import type { UpgradeOptions } from './options.ts';
import { perform, type Prepared, undo } from './perform.ts';
import { isEmptyPlan, planUpgrade } from './plan.ts';
import { describePlan, printUpgrade } from './report.ts';
import { upgradeRights } from './rights.ts';
import { readSaved, removeSaved } from './saved.ts';
import { targetSettings } from './settings.ts';

const DEFAULT_TIMEOUT_MS = 15 * 60_000;

/** `subctl upgrade`: rejects with ExpectedError when the cluster is not as wanted at the end. */
export async function upgrade(run: CommandRun, options: UpgradeOptions): Promise<void> {
  const target = await (await run.access()).current();
  const rights = [{ where: target.name, client: target.client, rights: upgradeRights(options.dryRun) }];
  await run.reporter.step('Checking permissions', async () => requireRights(rights));
  const signal = run.context.interrupted();
  if (options.dryRun) return upgradeCluster(run, target, options, signal);
  const request = { what: 'subctl upgrade', force: options.force, signal };
  return whileAlone(run, target, request, async (alone) => upgradeCluster(run, target, options, alone));
}

async function upgradeCluster(
  run: CommandRun,
  target: ClusterAccess,
  options: UpgradeOptions,
  signal: AbortSignal,
): Promise<void> {
  const prepared = await run.reporter.step(`Looking at cluster ${target.cluster}`, async () =>
    prepare(run, target, options, signal),
  );
  if (options.rollback) return undoInterrupted(prepared);
  const { plan, observed, notes } = prepared;
  const base = { cluster: prepared.clusterId, context: target.name, plan, notes, reason: '', steps: [] };
  if (isEmptyPlan(plan)) {
    if (observed.saved !== undefined && !options.dryRun) await removeSaved(target.client);
    for (const note of notes) run.reporter.warn(note);
    await printUpgrade(run, { ...base, outcome: 'unchanged' });
    run.reporter.done(`Cluster ${prepared.clusterId} has version ${plan.to} already, nothing to do`);
    return;
  }
  showPlan(prepared, options.dryRun);
  if (options.dryRun) {
    await printUpgrade(run, { ...base, outcome: 'planned' });
    run.reporter.done('Dry run: nothing was changed');
    return;
  }
  await agree(run, `Upgrade cluster ${prepared.clusterId}?`);
  await perform(prepared);
}

async function prepare(
  run: CommandRun,
  target: ClusterAccess,
  options: UpgradeOptions,
  signal: AbortSignal,
): Promise<Prepared> {
  const { context, flags } = run;
  const { client } = target;
  const observed = await observeCluster(target);
  const settings = targetSettings(observed.submariner, options, context.version);
  const to = settings.options.version ?? context.version;
  if (!options.rollback) refuseNewer(target.cluster, observed, { own: context.version, to });
  const secrets = await readDaemonSecrets(client);
  if (!options.rollback) refuseWithoutSecrets(secrets.drifts);
  const manifests = [
    ...joinManifests(context.templatesDir, settings),
    ...(await brokerAccess(context.templatesDir, client, observed.brokers)),
  ];
  const extras = await findExtras(client, manifests);
  const drifts = [...(await compareObjects({ client, on: 'cluster' }, manifests)), ...extras.map(extraDrift)];
  if (!options.rollback && !options.takeOver) refuseOthers(observed.daemonSets);
  const active = observed.gateways.find(({ status }) => status.haStatus === 'active');
  const plan = planUpgrade(observed, {
    settings,
    submariner: submarinerObject(context.templatesDir, settings),
    drifts,
  });
  const work = {
    run,
    target,
    deadline: startDeadline(context.clock, flags.timeoutMs ?? DEFAULT_TIMEOUT_MS),
    signal,
    manifests,
    extras,
    back: false,
    connected: active === undefined ? [] : connectedClusters(active.status.connections),
  };
  return { work, observed, plan, clusterId: settings.clusterId, notes: notesOn(observed, plan, settings) };
}

/** What deploy-broker applies for the members of a broker that runs in this cluster. */
async function brokerAccess(
  templatesDir: string,
  client: KubeClient,
  brokers: readonly HostedBroker[],
): Promise<readonly KubeObject[]> {
  if (brokers.length === 0) return [];
  const policies = await hasAdmissionPolicies(client);
  return brokers.flatMap(({ namespace }) => accessManifests(templatesDir, namespace, policies));
}

function refuseWithoutSecrets(drifts: readonly ObjectDrift[]): void {
  const lacking = drifts.filter(({ state }) => state !== 'same').map(({ name }) => name);
  if (lacking.length === 0) return;
  throw new ExpectedError(
    `new pods could not start: Secrets ${lacking.join(', ')} of namespace ${OPERATOR_NAMESPACE} are missing or incomplete`,
    {
      hint: 'subctl join broker-info.subm makes them again. Nothing was changed.',
    },
  );
}

/** Objects that another tool applies would be put back by it: the upgrade belongs there. */
function refuseOthers(daemonSets: readonly KubeObject[]): void {
  const appliers = new Set(daemonSets.flatMap((one) => [...appliersOf(one)]));
  const tools = [...appliers].filter((manager) => manager !== FIELD_MANAGER);
  if (tools.length === 0) return;
  throw new ExpectedError(`the manifests of this cluster are applied by ${tools.join(', ')}`, {
    hint: 'Upgrade them there (subctl join broker-info.subm --dry-run prints them), or take them over with --take-over. Nothing was changed.',
  });
}

function showPlan({ work, plan, notes, clusterId }: Prepared, isResult: boolean): void {
  const { run } = work;
  const { output } = run.flags;
  const structured = output === 'json' || output === 'yaml';
  const text = describePlan(clusterId, plan, driftPaint(run));
  if (isResult && !structured) run.print(text);
  else run.reporter.info(text.trimEnd());
  for (const note of notes) run.reporter.warn(note);
}

async function agree({ flags, context }: CommandRun, question: string): Promise<void> {
  if (flags.yes) return;
  if (!context.terminal.interactive) {
    throw new ExpectedError('nobody agreed to the upgrade', {
      hint: 'Agree with --yes, or see what would change with --dry-run. Nothing was changed.',
    });
  }
  if (!(await context.prompter.confirm(question))) {
    throw new ExpectedError('not upgraded', { hint: 'Nothing was changed.' });
  }
}

async function undoInterrupted(prepared: Prepared): Promise<void> {
  const { run, target } = prepared.work;
  const saved = await readSaved(target.client);
  if (saved === undefined) {
    throw new ExpectedError(`cluster ${prepared.clusterId} has no upgrade that was interrupted`, {
      hint: 'An upgrade that fails is undone at once; one that is complete cannot be undone.',
    });
  }
  run.reporter.info(
    `Cluster ${prepared.clusterId} back from version ${saved.to} to ${saved.from}, the upgrade of ${saved.startedAt}`,
  );
  await agree(run, 'Go back?');
  await undo(prepared, saved);
}
