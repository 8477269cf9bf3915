import path from 'node:path';
import { FIELD_MANAGER, GATEWAY_LABEL, OPERATOR_NAMESPACE, SUBMARINER_NAME } from '../../api/names.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { Node, ServiceAccount } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { endCredentials } from '../brokercredential.ts';
import { readBrokerInfoFile } from '../brokerinfofile.ts';
import { whileAlone } from '../changelock.ts';
import type { CommandRun } from '../context.ts';
import { written, type Written } from '../objects.ts';
import { printResult, reportWritten } from '../report.ts';
import { type Deadline, startDeadline } from '../waiting.ts';
import { memberAccount } from './brokerview.ts';
import { applyToCluster } from './applychanges.ts';
import { checkJoinFlags } from './checkflags.ts';
import { readRouteAgents } from '../show/routeagents.ts';
import { claimClusterId } from './claim.ts';
import { submarinerStatus } from './configuration.ts';
import { awaitChange } from './driverchange.ts';
import { dryRun } from './dryrun.ts';
import { leaveBroker } from './leave.ts';
import { agreeToChanges } from './changes.ts';
import { type ClusterCredential, ensureCredential } from './credential.ts';
import { joinManifests, joinSecrets } from './manifests.ts';
import { ensureMember } from './member.ts';
import { type JoinPlan, prepareJoin } from './preflight.ts';
import { waitForDaemonSet, waitForGateway } from './ready.ts';
import type { JoinOptions } from './options.ts';
import { retireGateways } from './retiregateways.ts';

const DEFAULT_TIMEOUT_MS = 5 * 60_000;

/** Joins a cluster; every step can be repeated, so a second run completes an interrupted one and otherwise changes nothing. */
export async function join(run: CommandRun, file: string, options: JoinOptions): Promise<void> {
  const { context, flags } = run;
  checkJoinFlags(options);
  const info = await readBrokerInfoFile(path.resolve(context.cwd, file), context.clock.now());
  const plan = await prepareJoin(run, file, info, options);
  const deadline = startDeadline(context.clock, flags.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  if (options.dryRun) {
    await dryRun(run, plan, async () => {
      const { token } = await becomeMember(run, { ...plan, abandoned: [] }, deadline);
      return joinSecrets(plan.settings.broker, token, plan.psk);
    });
    return;
  }
  await agreeToChanges(run, plan.settings.clusterId, plan.changes);
  const work = async (): Promise<void> => carryOut(run, plan, deadline);
  if (!plan.claimant.joinedBefore) return work();
  // Interrupted, the process just ends: running join again goes on.
  const request = { what: 'subctl join', force: false, signal: new AbortController().signal };
  await whileAlone(run, plan.target, request, work);
}

async function carryOut(run: CommandRun, plan: JoinPlan, deadline: Deadline): Promise<void> {
  const { context, reporter } = run;
  const member = await becomeMember(run, plan, deadline);
  const labelled = await labelGateways(plan);
  const manifests = joinManifests(context.templatesDir, plan.settings);
  const objects = [...manifests, ...joinSecrets(plan.settings.broker, member.token, plan.psk)];
  const applied = await applyToCluster(run, plan, objects, deadline);
  await recordStatus(plan);
  const records = [...member.records, ...labelled, ...applied];
  reportWritten(run, records);
  await untilWorking(run, plan, deadline);
  const awaited = await awaitChange(run, plan.target, deadline);
  const retired = await retireGateways(run, plan, deadline);
  const ended = await endUsedCredentials(plan, member);
  await printResult(run, { ...facts(plan), awaitedClusters: awaited }, [...records, ...retired, ...ended]);
  reporter.done(`Cluster ${plan.settings.clusterId} has joined; see subctl show connections`);
}

async function becomeMember(run: CommandRun, plan: JoinPlan, deadline: Deadline): Promise<ClusterCredential> {
  const { brokerClient, claimant, settings, abandoned, formerEndpoints } = plan;
  const { namespace } = settings.broker;
  const { clusterId } = claimant;
  return run.reporter.step(`Claiming cluster ID ${clusterId} on the broker`, async (step) => {
    const left: Written[] = [];
    for (const id of abandoned) left.push(...(await leaveBroker(brokerClient, namespace, id)).removed);
    const outcome = await claimClusterId(brokerClient, namespace, claimant, settings.networks);
    const name = memberAccount(clusterId);
    const account = await brokerClient.get<ServiceAccount>(RESOURCES.serviceAccounts, name, { namespace });
    const rights = await ensureMember(brokerClient, { namespace, clusterId }, account, formerEndpoints);
    const owner = { namespace, clusterId, account: name, uid: account.metadata.uid ?? '' };
    const wait = { deadline, onPending: step.update };
    const { token, records, endless } = await ensureCredential(run, plan, owner, wait);
    step.done(`Cluster ID ${clusterId} ${outcome === 'created' ? 'claimed' : 'is ours'} on the broker`);
    if (rights.shared || endless) warnAboutBroker(run, rights.shared);
    const claim = written({ kind: 'ServiceAccount', metadata: { name, namespace } }, 'broker', outcome);
    return { token, endless, records: [...left, claim, ...rights.records, ...records] };
  });
}

/** A broker that another program, or an older version, made. */
function warnAboutBroker({ reporter }: CommandRun, shared: boolean): void {
  const what = shared
    ? 'the broker grants roles only that let this cluster write the objects of the others too'
    : 'the broker gives only credentials that never end';
  reporter.warn(`${what}: subctl deploy-broker on the broker, then join again, mends that`);
}

/** With the cluster at work with its credential, those of earlier joins and the join file are of use to nobody. */
async function endUsedCredentials(
  { brokerClient, settings, claimant, joinFile }: JoinPlan,
  { token, endless }: ClusterCredential,
): Promise<readonly Written[]> {
  const { namespace } = settings.broker;
  const { clusterId } = claimant;
  const owner = { namespace, clusterId, account: memberAccount(clusterId) };
  const ended = endless ? undefined : await endCredentials(brokerClient, owner, token);
  if (joinFile === undefined) return ended ?? [];
  const { account: name } = joinFile;
  await brokerClient.delete(RESOURCES.serviceAccounts, name, { namespace });
  const record = written({ kind: 'ServiceAccount', metadata: { name, namespace } }, 'broker', 'deleted');
  return [...(ended ?? []), record];
}

async function labelGateways({ target, label }: JoinPlan): Promise<readonly Written[]> {
  const patch = { metadata: { labels: { [GATEWAY_LABEL]: 'true' } } };
  const options = { patchType: 'merge', fieldManager: FIELD_MANAGER } as const;
  const nodes = await Promise.all(label.map(async (name) => patchNode(target.client, name, patch, options)));
  return nodes.map((node) => written({ ...node, kind: 'Node' }, 'cluster', 'configured'));
}

async function patchNode(
  client: KubeClient,
  name: string,
  patch: unknown,
  options: Parameters<KubeClient['patch']>[3],
): Promise<Node> {
  return client.patch<Node>(RESOURCES.nodes, name, patch, options);
}

/** There is no operator, so the command records in the status what is deployed. */
async function recordStatus({ target, settings }: JoinPlan): Promise<void> {
  const patch = { status: submarinerStatus(settings) };
  await target.client.patch(RESOURCES.submariners, SUBMARINER_NAME, patch, {
    namespace: OPERATOR_NAMESPACE,
    patchType: 'merge',
    subresource: 'status',
    fieldManager: FIELD_MANAGER,
  });
}

async function untilWorking(run: CommandRun, plan: JoinPlan, deadline: Deadline): Promise<void> {
  const { client } = plan.target;
  const wait = async (name: string): Promise<void> =>
    run.reporter.step(`Waiting for the pods of ${name}`, async (step) =>
      waitForDaemonSet(client, name, deadline, step.update),
    );
  await wait('submariner-routeagent');
  if (plan.gatewayNodes.length === 0) return;
  await wait('submariner-gateway');
  await run.reporter.step('Waiting for the gateway to report', async (step) => {
    const { metadata } = await waitForGateway(client, deadline, step.update);
    step.done(`Gateway ${metadata.name} is active`);
  });
  await warnAboutNodes(run, client);
}

/** The pods run, but a node may lack a program or a feature of the kernel: its route agent says so. */
async function warnAboutNodes({ reporter }: CommandRun, client: KubeClient): Promise<void> {
  for (const { metadata, status } of await readRouteAgents(client)) {
    if (status.statusFailure !== '') reporter.warn(`node ${metadata.name ?? ''}: ${status.statusFailure}`);
  }
}

function facts({ settings, gatewayNodes }: JoinPlan): Readonly<Record<string, unknown>> {
  const { clusterId, networks, broker } = settings;
  return {
    clusterId,
    broker: broker.server,
    brokerNamespace: broker.namespace,
    clusterCidrs: networks.podCidrs,
    clusterCidrSource: networks.podSource,
    serviceCidrs: networks.serviceCidrs,
    serviceCidrSource: networks.serviceSource,
    networkPlugin: networks.plugin,
    gatewayNodes,
  };
}
