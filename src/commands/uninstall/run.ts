import { readFile } from 'node:fs/promises';
import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { KubeClient } from '../../kube/client.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { renderTemplate } from '../../kube/templates.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { ClusterAccess } from '../access.ts';
import { applyManifests } from '../applying.ts';
import type { CommandRun } from '../context.ts';
import { admissionPolicyName } from '../deploybroker/admission.ts';
import { type CleanedNode, cleanNodes } from '../nodecleaning.ts';
import type { Written } from '../objects.ts';
import { printResult, reportWritten } from '../report.ts';
import { requireRights } from '../rights.ts';
import { type Deadline, startDeadline } from '../waiting.ts';
import { removeNamespace, removeUnusedDefinitions, remove, stopDaemons, unlabelGateways } from './cluster.ts';
import { incompleteError } from './finish.ts';
import { findMembership, leaveSet, type LeftSet } from './membership.ts';
import type { UninstallOptions } from './options.ts';
import {
  cleaningImages,
  DAEMON_SETS,
  isInstalled,
  isStripped,
  planUninstall,
  requireNodes,
  type UninstallPlan,
} from './plan.ts';
import { NAMESPACE_RIGHTS, uninstallRights } from './rights.ts';
import { type Survey, surveyCluster } from './survey.ts';

const DEFAULT_TIMEOUT_MS = 3 * 60_000;
/** Nodes get so long to clean up, and never more than what is left of the whole time. */
const CLEANING_MS = 90_000;

interface Uninstall {
  readonly run: CommandRun;
  readonly target: ClusterAccess;
  readonly survey: Survey;
  readonly deadline: Deadline;
}

/** Removes everything that join and deploy-broker made; every step can be repeated. */
export async function uninstall(run: CommandRun, options: UninstallOptions): Promise<void> {
  const { reporter, flags, context } = run;
  const target = await (await run.access()).current();
  const readOnly = options.dryRun;
  await reporter.step('Checking permissions', async () =>
    requireRights([
      { where: target.name, client: target.client, rights: uninstallRights(context.templatesDir, readOnly) },
    ]),
  );
  const survey = await reporter.step(`Looking at cluster ${target.cluster}`, async () =>
    surveyCluster(target.client, context.templatesDir),
  );
  if (!readOnly && (options.nodes !== undefined || isStripped(survey)))
    await requireRights([{ where: target.name, client: target.client, rights: NAMESPACE_RIGHTS }]);
  const work = { run, target, survey, deadline: startDeadline(context.clock, flags.timeoutMs ?? DEFAULT_TIMEOUT_MS) };
  if (options.nodes !== undefined) {
    await cleanOnly(work, options.nodes, options);
    return;
  }
  const membership = await findMembership(run, target, survey, options);
  if (!isInstalled(survey) && membership === undefined) {
    reporter.done(`Nothing of subctl is in cluster ${target.cluster}`);
    return;
  }
  const plan = planUninstall(survey, membership, options, context.version);
  if (!(await agreed(work, plan, options))) return;
  await carryOut(work, plan);
}

async function agreed({ run, target }: Uninstall, plan: UninstallPlan, options: UninstallOptions): Promise<boolean> {
  const { reporter, flags, context } = run;
  reporter.warn(`this is removed, and with it the connection of cluster ${target.cluster} to the others:`);
  for (const line of plan.lines) reporter.info(`   ${line}`);
  for (const { namespace, why } of plan.keptBrokers)
    reporter.info(`   kept: the broker in namespace ${namespace}, ${why}`);
  if (options.dryRun) {
    reporter.done('Dry run: nothing was changed');
    return false;
  }
  if (flags.yes) return true;
  if (!context.terminal.interactive) {
    throw new ExpectedError(`nobody agreed to uninstall cluster ${target.cluster}`, {
      hint: 'Agree with --yes, or look first with --dry-run. Nothing was changed.',
    });
  }
  if (await context.prompter.confirm('Remove all this?')) return true;
  throw new ExpectedError('not uninstalled', { hint: 'Nothing was changed.' });
}

async function carryOut(work: Uninstall, plan: UninstallPlan): Promise<void> {
  const { run, survey, target } = work;
  const { reporter } = run;
  const records: Written[] = [];
  if (survey.namespace) records.push(...(await stop(work)));
  const stripped = isStripped(survey);
  if (stripped) await prepareNamespace(run, target.client);
  const left = await leave(work, plan);
  records.push(...left.records);
  const nodes = survey.namespace || stripped ? await clean(work, plan.images, survey.nodes) : [];
  records.push(...(await removeObjects(work, plan)));
  const used = await reporter.step('Removing CRDs that nobody uses', async (step) =>
    removeUnusedDefinitions({ client: target.client, deadline: work.deadline, onPending: step.update }),
  );
  records.push(...used.removed);
  reportWritten(run, records);
  await printResult(run, resultFacts(work, left, nodes), records);
  for (const { name, objects } of used.used) reporter.info(`   kept: CRD ${name}, it has ${objects.length} objects`);
  if (stripped && plan.membership === undefined) {
    reporter.warn(
      `namespace ${OPERATOR_NAMESPACE} was gone already, and with it what says which broker the cluster had; if a broker still knows it: subctl uninstall --context ${target.name} --broker-info broker-info.subm`,
    );
  }
  const problem = incompleteError(target.name, left, nodes);
  if (problem !== undefined) throw problem;
  reporter.done(`Cluster ${target.cluster} is as before it joined`);
}

async function stop({ run, target, deadline }: Uninstall): Promise<readonly Written[]> {
  return run.reporter.step('Stopping the daemons', async (step) =>
    stopDaemons({ client: target.client, deadline, onPending: step.update }, DAEMON_SETS),
  );
}

async function leave({ run, survey }: Uninstall, { membership }: UninstallPlan): Promise<LeftSet> {
  if (membership === undefined) {
    return { outcome: 'none', reason: '', server: '', namespace: '', clusterIds: [], records: [] };
  }
  return run.reporter.step(`Leaving the broker ${membership.server}`, async (step) => {
    const left = await leaveSet(membership, survey.clusterUid);
    if (left.reason !== '') step.warn(`The broker ${left.server} still knows this cluster: ${left.reason}`);
    return left;
  });
}

async function clean(
  { run, target, deadline }: Uninstall,
  images: UninstallPlan['images'],
  nodes: Survey['nodes'],
): Promise<readonly CleanedNode[]> {
  const { context, reporter } = run;
  return reporter.step(`Cleaning ${nodes.length} nodes`, async (step) => {
    const tools = {
      client: target.client,
      templatesDir: context.templatesDir,
      images,
      deadline: startDeadline(context.clock, Math.min(CLEANING_MS, deadline.remainingMs())),
      onPending: step.update,
    };
    const cleaned = await cleanNodes(tools, nodes, ['gateway', 'routeagent']);
    const bad = cleaned.filter(({ outcome }) => outcome !== 'cleaned');
    if (bad.length > 0) step.warn(`Not clean: ${bad.map(({ node, reason }) => `${node} (${reason})`).join(', ')}`);
    return cleaned;
  });
}

async function removeObjects(
  { run, target, survey, deadline }: Uninstall,
  plan: UninstallPlan,
): Promise<readonly Written[]> {
  const { client } = target;
  const records: Written[] = [];
  await run.reporter.step(`Removing objects of cluster ${target.cluster}`, async (step) => {
    const tools = { client, deadline, onPending: step.update };
    records.push(...(await unlabelGateways(client, survey.gatewayNodes)));
    for (const one of survey.elsewhere) records.push(...(await remove(client, one.type, one.name, one.namespace)));
    if (survey.namespace || isStripped(survey)) records.push(...(await removeNamespace(tools, OPERATOR_NAMESPACE)));
    for (const { namespace } of plan.brokers) {
      records.push(...(await removeNamespace(tools, namespace)));
      for (const type of [RESOURCES.admissionPolicyBindings, RESOURCES.admissionPolicies])
        records.push(...(await remove(client, type, admissionPolicyName(namespace))));
    }
  });
  return records;
}

function resultFacts(
  { target, survey }: Uninstall,
  { outcome, reason, server, namespace, clusterIds }: LeftSet,
  nodes: readonly CleanedNode[],
): Readonly<Record<string, unknown>> {
  return {
    clusterId: survey.submariner?.spec.clusterID ?? clusterIds[0] ?? '',
    context: target.name,
    broker: { server, namespace, outcome, reason },
    nodes,
  };
}

/** For nodes that were away when their cluster was uninstalled. */
async function cleanOnly(work: Uninstall, names: readonly string[], options: UninstallOptions): Promise<void> {
  const { run, target, survey, deadline } = work;
  requireNodes(survey, names);
  if (survey.submariner !== undefined) {
    throw new ExpectedError(`cluster ${target.cluster} is joined: cleaning a node would cut it off`, {
      hint: 'Without --nodes uninstall takes the whole cluster out of its set. Nothing was changed.',
    });
  }
  if (options.dryRun) {
    run.reporter.done(`Dry run: ${names.join(', ')} would be cleaned, nothing was changed`);
    return;
  }
  await prepareNamespace(run, target.client);
  const nodes = survey.nodes.filter(({ metadata }) => names.includes(metadata.name ?? ''));
  const cleaned = await clean(work, cleaningImages(survey, options, run.context.version), nodes);
  await removeNamespace({ client: target.client, deadline, onPending: () => undefined }, OPERATOR_NAMESPACE);
  const left: LeftSet = { outcome: 'none', reason: '', server: '', namespace: '', clusterIds: [], records: [] };
  await printResult(run, resultFacts(work, left, cleaned), []);
  const problem = incompleteError(target.name, left, cleaned);
  if (problem !== undefined) throw problem;
  run.reporter.done(`Clean: ${names.join(', ')}`);
}

/** The pods that clean nodes need rights that only a namespace made for them gives. */
async function prepareNamespace(run: CommandRun, client: KubeClient): Promise<void> {
  const manifest = await readFile(`${run.context.templatesDir}/engine/namespace.yaml`, 'utf8');
  await run.reporter.step('Making a namespace to clean from', async (step) =>
    applyManifests({ client, on: 'cluster' }, renderTemplate(manifest, {}), run.context, step),
  );
}
