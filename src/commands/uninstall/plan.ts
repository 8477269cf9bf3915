import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import { chooseImages, type ImageOptions } from '../join/images.ts';
import { recordedImages } from '../join/record.ts';
import { claimsOf, memberId } from '../join/brokerview.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { isReady, type CleaningImages } from '../nodecleaning.ts';
import type { Membership } from './membership.ts';
import type { UninstallOptions } from './options.ts';
import type { HostedBroker, Survey } from './survey.ts';

/** What uninstall is going to do. */
export interface UninstallPlan {
  readonly membership: Membership | undefined;
  /** Brokers of the cluster that go, and those that stay with why. */
  readonly brokers: readonly HostedBroker[];
  readonly keptBrokers: readonly { readonly namespace: string; readonly why: string }[];
  readonly images: CleaningImages;
  /** One line each, for the operator. */
  readonly lines: readonly string[];
}

/** DaemonSets that join makes. */
export const DAEMON_SETS = ['submariner-gateway', 'submariner-routeagent'] as const;

/** Decides what goes; throws ExpectedError when the cluster has nothing of ours. */
export function planUninstall(
  survey: Survey,
  membership: Membership | undefined,
  options: UninstallOptions,
  subctlVersion: string,
): UninstallPlan {
  const decided = survey.brokers.map((broker) => ({ broker, why: whyKept(broker, survey, options) }));
  const brokers = decided.filter(({ why }) => why === undefined).map(({ broker }) => broker);
  const keptBrokers = decided.flatMap(({ broker, why }) =>
    why === undefined ? [] : [{ namespace: broker.namespace, why }],
  );
  const lines = [
    ...membershipLines(membership),
    ...nodeLines(survey),
    ...clusterLines(survey),
    ...brokers.map((broker) => brokerLine(broker, survey)),
  ];
  return { membership, brokers, keptBrokers, images: cleaningImages(survey, options, subctlVersion), lines };
}

/** Whether there is anything to uninstall beside a membership that only a broker knows. */
export function isInstalled({ namespace, elsewhere, definitions, gatewayNodes, brokers }: Survey): boolean {
  return namespace || [elsewhere, definitions, gatewayNodes, brokers].some((found) => found.length > 0);
}

/**
 * Whether the daemons were here once and their namespace is gone, by `helm uninstall` or by hand: nobody cleaned the nodes
 * then. deploy-broker alone leaves nothing but a broker and CRDs.
 */
export function isStripped({ namespace, elsewhere, definitions, gatewayNodes, brokers }: Survey): boolean {
  if (namespace) return false;
  return elsewhere.length > 0 || gatewayNodes.length > 0 || (definitions.length > 0 && brokers.length === 0);
}

/** IDs of the other clusters of a broker. */
export function otherMembers({ view }: HostedBroker, clusterUid: string): readonly string[] {
  const own = new Set(claimsOf(view, clusterUid));
  const known = [
    ...view.members.map(memberId),
    ...view.clusters.map(({ spec }) => spec.cluster_id),
    ...view.endpoints.map(({ spec }) => spec.cluster_id),
  ];
  return [...new Set(known)].filter((id) => !own.has(id)).toSorted();
}

function whyKept(
  broker: HostedBroker,
  { clusterUid, submariner }: Survey,
  { keepBroker, force }: UninstallOptions,
): string | undefined {
  if (keepBroker) return '--keep-broker';
  // A cluster that upstream's operator joined has no claim; its own record says who it is.
  const others = otherMembers(broker, clusterUid).filter((id) => id !== submariner?.spec.clusterID);
  if (others.length === 0 || force) return undefined;
  return `${others.join(', ')} ${others.length === 1 ? 'is' : 'are'} still joined; --force removes it nevertheless`;
}

function membershipLines(membership: Membership | undefined): readonly string[] {
  if (membership === undefined) return [];
  const { server, namespace, recordedId } = membership;
  const who = recordedId === undefined ? 'everything this cluster claimed' : `cluster ${recordedId}`;
  return [
    `on the broker ${server}, namespace ${namespace}: ${who} (Endpoints, Cluster, credentials, claim of ID and CIDRs)`,
  ];
}

function nodeLines(survey: Survey): readonly string[] {
  const { namespace, nodes } = survey;
  if (!namespace && !isStripped(survey)) return [];
  const away = nodes.filter((node) => !isReady(node)).map(({ metadata }) => metadata.name ?? '');
  const what = 'tunnels, routes, rules, firewall tables, daemons and files; settings of the kernel are put back';
  return [
    `on ${nodes.length} nodes: ${what}`,
    ...(away.length === 0 ? [] : [`not on ${away.join(', ')}: not ready now`]),
  ];
}

function clusterLines({ namespace, elsewhere, definitions, gatewayNodes }: Survey): readonly string[] {
  return [
    ...(namespace ? [`namespace ${OPERATOR_NAMESPACE} with everything in it`] : []),
    ...elsewhere.map(
      ({ type, name, namespace: where }) => `${type.kind} ${where === undefined ? '' : `${where}/`}${name}`,
    ),
    ...gatewayNodes.map((name) => `label submariner.io/gateway of node ${name}`),
    ...(definitions.length === 0
      ? []
      : [`CRDs of submariner.io that nobody uses then (${definitions.length} are there)`]),
  ];
}

function brokerLine(broker: HostedBroker, { clusterUid }: Survey): string {
  const others = otherMembers(broker, clusterUid);
  const cut = others.length === 0 ? '' : `, although ${others.join(', ')} will lose it`;
  return `the broker: namespace ${broker.namespace} with everything in it${cut}`;
}

/** The images of the flags, else those that run now (they know best how to undo what they did), else the recorded ones. */
export function cleaningImages(survey: Survey, options: UninstallOptions, subctlVersion: string): CleaningImages {
  const { repository, version, imageOverride } = options;
  const given: ImageOptions = {
    ...(repository === undefined ? {} : { repository }),
    ...(version === undefined ? {} : { version }),
    ...(imageOverride === undefined ? {} : { imageOverride }),
  };
  const recorded = survey.submariner === undefined ? {} : recordedImages(survey.submariner);
  const chosen = chooseImages({ ...recorded, ...given }, subctlVersion);
  if (Object.keys(given).length > 0) return chosen;
  const running = (name: string): string | undefined =>
    survey.daemonSets.find(({ metadata }) => metadata.name === name)?.spec.template.spec.containers[0]?.image;
  const [gateway = chosen.gateway, routeAgent = chosen.routeAgent] = DAEMON_SETS.map(running);
  return { gateway, routeAgent, pullPolicy: chosen.pullPolicy };
}

/** Throws ExpectedError that names the nodes the cluster does not have. */
export function requireNodes({ nodes }: Survey, names: readonly string[]): void {
  const known = nodes.map(({ metadata }) => metadata.name ?? '');
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  throw new ExpectedError(`the cluster has no node ${unknown.join(', ')}`, { hint: `It has: ${known.join(', ')}.` });
}
