import { type BrokerAccess, brokerAccessOf, type BrokerInfo, pskOf } from '../../api/brokerinfo.ts';
import type { Submariner } from '../../api/types.ts';
import { type JoinFile, joinFileOf } from '../../api/joinfile.ts';
import type { KubeClient } from '../../kube/client.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import type { ClusterAccess } from '../access.ts';
import type { CommandRun } from '../context.ts';
import { readingOnly, requireRights } from '../rights.ts';
import { parseServerUrl } from '../serverurl.ts';
import { type AtBroker, explainBrokerError, refuseForeignBroker } from './brokeridentity.ts';
import { type BrokerView, claimsOf, otherNetworks, readBroker } from './brokerview.ts';
import { checkLeaseTimes } from './checkflags.ts';
import { parseCidrFlag, refuseOverlaps } from './cidrs.ts';
import { type Claimant, refuseTakenId } from './claim.ts';
import { describeChange, settingChanges } from './changes.ts';
import { encodeCa, type JoinSettings } from './configuration.ts';
import { chooseGateways } from './gatewaychoice.ts';
import { parseIncluded } from './included.ts';
import {
  chooseClusterId,
  findRecorded,
  type LocalCluster,
  readLocalCluster,
  requireKubernetes,
} from './localcluster.ts';
import { brokerMemberRights, joinRights, submarinerObject } from './manifests.ts';
import { chooseNetworks } from './networks.ts';
import type { JoinOptions } from './options.ts';
import { recallOptions } from './record.ts';
import { warnAboutDrivers, warnAboutParts } from './warnings.ts';

/** Everything join has found out before it changes anything. */
export interface JoinPlan {
  readonly target: ClusterAccess;
  readonly brokerClient: KubeClient;
  readonly claimant: Claimant;
  readonly settings: JoinSettings;
  readonly psk: Buffer;
  /** What changes for a cluster that has joined before, a sentence each. */
  readonly changes: readonly string[];
  /** IDs claimed by joins of this cluster that did not end, to be given up. */
  readonly abandoned: readonly string[];
  /** What ends when the cluster has joined; undefined when it joins with the administrator's file. */
  readonly joinFile: JoinFile | undefined;
  /** Names of the cluster's Endpoints that are on the broker now. */
  readonly formerEndpoints: readonly string[];
  /** Nodes to label as gateways. */
  readonly label: readonly string[];
  /** Nodes to take the label from, after the others have taken over. */
  readonly unlabel: readonly string[];
  readonly gatewayNodes: readonly string[];
}

/** Checks everything that can be checked and decides everything that can be decided; changes nothing on either side. */
export async function prepareJoin(
  run: CommandRun,
  file: string,
  info: BrokerInfo,
  givenOptions: JoinOptions,
): Promise<JoinPlan> {
  const psk = requirePsk(file, info);
  const joinFile = joinFileOf(info);
  const target = await (await run.access()).current();
  const options = await recall(run, target.client, info, underItsId(file, joinFile, givenOptions));
  const access = brokerAccess(info, options);
  const insecure = !options.checkBrokerCertificate;
  const brokerClient = await (await run.access()).broker({ ...access, insecure, source: file });
  const atBroker = { client: brokerClient, access, file, joinFile };

  await checkRights(run, target, atBroker, options);
  const local = await run.reporter.step(`Reading cluster ${target.cluster}`, async () =>
    readLocalCluster(target.client),
  );
  if (!options.ignoreRequirements) requireKubernetes(local.kubernetesVersion);
  const view = await run.reporter.step(`Reading the broker at ${access.server}`, async () =>
    readBrokerWith(atBroker, psk),
  );
  const clusterId = await askClusterId(run, options, { local, view, cluster: target.cluster });
  const claimant = { clusterId, clusterUid: local.uid, joinedBefore: joinedBefore(local, access.namespace, clusterId) };
  refuseTakenId(view, claimant, access.namespace);
  warnAboutParts(run, view, options);
  const networks = await chooseNetworks(run, target.client, options);
  const globalCidrs =
    options.globalnetCidr === undefined ? [] : parseCidrFlag('--globalnet-cidr', options.globalnetCidr);
  const abandoned = claimsOf(view, local.uid).filter((claimed) => claimed !== clusterId);
  refuseOverlaps({ ...networks, globalCidrs }, otherNetworks(view, [clusterId, ...abandoned]));
  const gateways = await chooseGateways(run, local.nodes, options);
  const broker = { server: access.server, namespace: access.namespace, ca: access.ca };
  const settings = { clusterId, networks, broker, options, version: run.context.version };
  warnAboutDrivers(run, view, { clusterId, options });
  return {
    target,
    changes: describeChanges(local, submarinerObject(run.context.templatesDir, settings), {
      abandoned,
      unlabel: gateways.unlabel,
    }),
    abandoned,
    joinFile,
    formerEndpoints: view.endpoints
      .filter(({ spec }) => spec.cluster_id === clusterId)
      .map(({ metadata }) => metadata.name ?? ''),
    brokerClient,
    claimant,
    settings,
    psk,
    ...gateways,
  };
}

function describeChanges(
  { submariner }: LocalCluster,
  next: Submariner,
  { abandoned, unlabel }: Pick<JoinPlan, 'abandoned' | 'unlabel'>,
): readonly string[] {
  const changes = submariner === undefined ? [] : settingChanges(submariner, next);
  return [
    ...changes.map(describeChange),
    ...abandoned.map((id) => `claim of the ID ${id} on the broker: given up`),
    ...unlabel.map((name) => `node ${name}: no gateway any more`),
  ];
}

/** The flags, completed by what the cluster joined with before; the address of the broker only if it is the same broker. */
async function recall(
  run: CommandRun,
  client: KubeClient,
  info: BrokerInfo,
  options: JoinOptions,
): Promise<JoinOptions> {
  const submariner = await findRecorded(client);
  const recalled = recallOptions(options, run.given, submariner);
  checkLeaseTimes(recalled);
  const ca = brokerAccessOf(info).ca;
  const sameBroker = submariner?.spec.brokerK8sCA === (ca === undefined ? undefined : encodeCa(ca));
  if (sameBroker || options.brokerUrl !== undefined || recalled.brokerUrl === undefined) return recalled;
  const { brokerUrl: _elsewhere, ...rest } = recalled;
  return rest;
}

/** The options with the only ID for which a join file is good; throws ExpectedError when another one was given. */
function underItsId(file: string, joinFile: JoinFile | undefined, options: JoinOptions): JoinOptions {
  const { clusterId } = joinFile ?? {};
  if (clusterId === undefined || options.clusterid === clusterId) return options;
  if (options.clusterid === undefined) return { ...options, clusterid: clusterId };
  throw new ExpectedError(`${file} lets a cluster join as ${clusterId} only, not as ${options.clusterid}`, {
    hint: `Leave --clusterid out, or get a file for ${options.clusterid}: subctl broker-info create --clusterid ${options.clusterid}. Nothing was changed.`,
  });
}

function requirePsk(file: string, info: BrokerInfo): Buffer {
  const psk = pskOf(info);
  if (psk !== undefined && psk.length > 0) return psk;
  throw new ExpectedError(`${file} holds no pre-shared key`, {
    hint: 'Get a complete one: subctl recover-broker-info --context JOINED-CLUSTER.',
  });
}

/** A broker as the file describes it, with the address of --broker-url when that is given. */
function brokerAccess(info: BrokerInfo, { brokerUrl }: JoinOptions): BrokerAccess {
  const access = brokerAccessOf(info);
  return brokerUrl === undefined ? access : { ...access, server: parseServerUrl('--broker-url', brokerUrl) };
}

/** Both sides are asked before anything else, so that all that is missing is said at once. */
async function checkRights(
  run: CommandRun,
  target: ClusterAccess,
  atBroker: AtBroker,
  options: JoinOptions,
): Promise<void> {
  const { client, access, file, joinFile } = atBroker;
  // What a file for any ID may do differs from what an administrator may; that it can join, the broker will say.
  const isForAny = joinFile !== undefined && joinFile.clusterId === undefined;
  const { dryRun, gatewayNodes } = options;
  const rejoins = (await findRecorded(target.client)) !== undefined;
  const rights = joinRights(gatewayNodes !== undefined || rejoins);
  const cluster = [{ where: target.name, client: target.client, rights }];
  const broker = [
    {
      where: `broker (${file})`,
      client,
      rights: isForAny ? [] : brokerMemberRights(access.namespace, joinFile?.clusterId),
      ifNone: `the token of the file may do nothing in namespace ${access.namespace} of ${client.server}: the file was edited or is for another broker (subctl recover-broker-info makes a new one)`,
    },
  ];
  await run.reporter.step('Checking permissions', async () => {
    try {
      // Credentials cannot be printed before they are made.
      const writesBroker = !dryRun || parseIncluded(options).has('secrets');
      await requireRights([
        ...(dryRun ? cluster.map(readingOnly) : cluster),
        ...(writesBroker ? broker : broker.map(readingOnly)),
      ]);
    } catch (error) {
      throw explainBrokerError(error, atBroker);
    }
  });
}

async function readBrokerWith(at: AtBroker, psk: Buffer): Promise<BrokerView> {
  try {
    const view = await readBroker(at.client, at.access.namespace);
    refuseForeignBroker(view.broker, psk, at);
    return view;
  } catch (error) {
    throw explainBrokerError(error, at);
  }
}

/** Whether the cluster's own record says that it is a member of this broker under this ID. */
function joinedBefore({ submariner }: LocalCluster, namespace: string, clusterId: string): boolean {
  return submariner?.spec.clusterID === clusterId && submariner.spec.brokerK8sRemoteNamespace === namespace;
}

async function askClusterId(
  run: CommandRun,
  options: JoinOptions,
  known: { readonly local: LocalCluster; readonly view: BrokerView; readonly cluster: string },
): Promise<string> {
  const { local, view, cluster: clusterName } = known;
  const claimed = claimsOf(view, local.uid);
  const chosen = chooseClusterId(options.clusterid, { submariner: local.submariner, claimed }, clusterName);
  if (chosen !== undefined) return chosen;
  const { clusterIdProblem } = await import('../../api/clusterid.ts');
  const { terminal, prompter } = run.context;
  if (terminal.interactive && !run.flags.yes)
    return prompter.text('What shall be the ID of the cluster?', clusterIdProblem);
  throw new ExpectedError(`no cluster ID can be made of the name ${JSON.stringify(clusterName)}`, {
    hint: 'Give one with --clusterid.',
  });
}
