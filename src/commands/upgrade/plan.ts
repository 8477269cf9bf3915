import type { Gateway, Submariner } from '../../api/types.ts';
import type { KubeObject } from '../../kube/client.ts';
import type { DaemonSet, Node, Pod } from '../../kube/objects.ts';
import type { ObjectDrift } from '../drift/comparison.ts';
import { nodeOf } from '../gateway/handover.ts';
import { type Change, settingChanges } from '../join/changes.ts';
import type { JoinSettings } from '../join/configuration.ts';
import { chooseImages, type Images } from '../join/images.ts';
import type { SavedUpgrade } from './saved.ts';

/** DaemonSets in the order in which their pods are replaced. */
export const DAEMON_SETS = ['submariner-routeagent', 'submariner-gateway'] as const;
export type DaemonSetName = (typeof DAEMON_SETS)[number];
/** Label with the revision of the template that a pod was made of. */
export const REVISION_LABEL = 'controller-revision-hash';

/** An image that is to run instead of another. */
export interface ImageChange {
  readonly component: string;
  readonly before: string;
  readonly after: string;
}

/** Pods of a DaemonSet that are to be replaced. */
export interface Replacement {
  readonly daemonSet: DaemonSetName;
  /** In this order. */
  readonly nodes: readonly string[];
  /** Their pods are not touched, because nobody could say whether new ones work. */
  readonly lost: readonly string[];
}

/** What is known of a cluster that is to be upgraded. */
export interface Observed {
  readonly submariner: Submariner;
  readonly nodes: readonly Node[];
  readonly daemonSets: readonly DaemonSet[];
  /** Of namespace submariner-operator. */
  readonly pods: readonly Pod[];
  readonly gateways: readonly Gateway[];
  readonly saved: SavedUpgrade | undefined;
}

/** Everything an upgrade would do. */
export interface UpgradePlan {
  readonly from: string;
  readonly to: string;
  readonly images: readonly ImageChange[];
  readonly settings: readonly Change[];
  /** Objects that are missing, change, or go at the end (`extra`). */
  readonly objects: readonly ObjectDrift[];
  readonly replacements: readonly Replacement[];
}

/** What an upgrade leads to: the settings, the object that records them, and how all objects compare with those that are there. */
export interface UpgradeGoal {
  readonly settings: JoinSettings;
  readonly submariner: Submariner;
  readonly drifts: readonly ObjectDrift[];
}

/** Plans an upgrade. Pure. */
export function planUpgrade(observed: Observed, { settings, submariner, drifts }: UpgradeGoal): UpgradePlan {
  const objects = drifts.filter(({ state }) => state !== 'same');
  const images = chooseImages(settings.options, settings.version);
  return {
    from: observed.saved?.from ?? recordedVersion(observed.submariner),
    to: images.version,
    images: imageChanges(observed.daemonSets, images),
    settings: settingChanges(observed.submariner, submariner),
    objects,
    replacements: DAEMON_SETS.map((daemonSet) => planReplacement(observed, daemonSet, objects)).filter(
      ({ nodes, lost }) => nodes.length > 0 || lost.length > 0,
    ),
  };
}

/** Whether there is nothing to be done. */
export function isEmptyPlan({ objects, replacements }: UpgradePlan): boolean {
  return objects.length === 0 && replacements.every(({ nodes }) => nodes.length === 0);
}

/** The version that a cluster was joined with or upgraded to. */
export function recordedVersion({ spec, status }: Submariner): string {
  return status?.version ?? spec.version ?? 'unknown';
}

function imageChanges(daemonSets: readonly DaemonSet[], images: Images): readonly ImageChange[] {
  const wanted: Readonly<Record<DaemonSetName, string>> = {
    'submariner-routeagent': images.routeAgent,
    'submariner-gateway': images.gateway,
  };
  return DAEMON_SETS.map((component) => {
    const found = daemonSets.find(({ metadata }) => metadata.name === component);
    const before = found?.spec.template.spec.containers[0]?.image ?? 'none';
    return { component, before, after: wanted[component] };
  }).filter(({ before, after }) => before !== after);
}

/** The pods of a DaemonSet that have to be replaced so that all are of its wanted template, and in which order. */
export function planReplacement(
  observed: Omit<Observed, 'submariner'>,
  daemonSet: DaemonSetName,
  objects: readonly ObjectDrift[],
): Replacement {
  return replacementOf(observed, daemonSet, outdatedPods(observed, daemonSet, objects));
}

/**
 * The order in which pods are replaced: a route agent that no gateway needs first, gateways on standby next, the active
 * one last.
 */
export function replacementOf(
  { nodes, pods, gateways }: Pick<Observed, 'nodes' | 'pods' | 'gateways'>,
  daemonSet: DaemonSetName,
  outdated: readonly Pod[],
): Replacement {
  const names = outdated.map(({ spec }) => spec.nodeName ?? '').filter((name) => name !== '');
  const active = new Set(gateways.filter(({ status }) => status.haStatus === 'active').map(nodeOf));
  const carries = new Set(podsOf(pods, 'submariner-gateway').map(({ spec }) => spec.nodeName ?? ''));
  const rank = (name: string): string => `${active.has(name) ? 2 : carries.has(name) ? 1 : 0} ${name}`;
  const ordered = [...new Set(names)].toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1));
  const isReady = (name: string): boolean => {
    const conditions = nodes.find(({ metadata }) => metadata.name === name)?.status?.conditions ?? [];
    return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
  };
  return { daemonSet, nodes: ordered.filter(isReady), lost: ordered.filter((name) => !isReady(name)) };
}

/** The pods of a DaemonSet that are not of its wanted template. */
function outdatedPods(
  { daemonSets, pods, saved }: Pick<Observed, 'daemonSets' | 'pods' | 'saved'>,
  name: DaemonSetName,
  objects: readonly ObjectDrift[],
): readonly Pod[] {
  const own = podsOf(pods, name);
  const drift = objects.find((object) => object.kind === 'DaemonSet' && object.name === name);
  if (drift?.changes.some(({ path }) => path.startsWith('spec.template.')) === true) return own;
  const former = saved?.revisions[name];
  if (former !== undefined) return own.filter((pod) => former.includes(revisionOf(pod)));
  const daemonSet = daemonSets.find(({ metadata }) => metadata.name === name);
  return daemonSet !== undefined && isBehind(daemonSet) ? own : [];
}

/** Whether some pods are not of the newest template. */
function isBehind({ status }: DaemonSet): boolean {
  return status?.updatedNumberScheduled !== undefined && status.updatedNumberScheduled < status.currentNumberScheduled;
}

/** The pods of a DaemonSet that are not about to end. */
export function podsOf(pods: readonly Pod[], name: DaemonSetName): readonly Pod[] {
  return pods.filter(({ metadata }) => metadata.labels?.['app'] === name && metadata.deletionTimestamp === undefined);
}

/** The revision of the template that a pod was made of. */
export function revisionOf({ metadata }: KubeObject): string {
  return metadata.labels?.[REVISION_LABEL] ?? '';
}

/** What has to be recorded before the first step: with it an upgrade can be undone. */
export function savedUpgrade(
  plan: UpgradePlan,
  { pods, saved }: Pick<Observed, 'pods' | 'saved'>,
  now: { readonly before: readonly KubeObject[]; readonly created: readonly KubeObject[]; readonly startedAt: string },
): SavedUpgrade {
  const found = plan.replacements.map(
    ({ daemonSet }) => [daemonSet, [...new Set(podsOf(pods, daemonSet).map(revisionOf))]] as const,
  );
  const revisions: SavedUpgrade['revisions'] = Object.fromEntries(found);
  if (saved !== undefined) return { ...saved, to: plan.to, revisions: { ...revisions, ...saved.revisions } };
  return { from: plan.from, to: plan.to, ...now, revisions };
}
