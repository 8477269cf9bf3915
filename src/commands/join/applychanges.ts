import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { KubeObject } from '../../kube/client.ts';
import type { DaemonSet, Node, Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { applyManifests } from '../applying.ts';
import type { CommandRun } from '../context.ts';
import { compareObjects, type ObjectDrift } from '../drift/comparison.ts';
import { listGateways } from '../gateway/handover.ts';
import type { Written } from '../objects.ts';
import { connectedClusters } from '../upgrade/health.ts';
import { DAEMON_SETS, planReplacement, type Replacement } from '../upgrade/plan.ts';
import { rollOut } from '../upgrade/rollout.ts';
import type { Deadline } from '../waiting.ts';
import type { JoinPlan } from './preflight.ts';

/** With another value of this, gateways that wait for nobody have no tunnels until the other clusters have it too. */
const PARTING = /SUBMARINER_CABLEDRIVER\b/;

/**
 * Applies everything to the cluster. Daemons that run already are replaced one after another, as an upgrade does: each
 * has to work before the next one goes, the active gateway hands over first.
 */
export async function applyToCluster(
  run: CommandRun,
  plan: JoinPlan,
  objects: readonly KubeObject[],
  deadline: Deadline,
): Promise<readonly Written[]> {
  const { reporter, context } = run;
  const { client, cluster } = plan.target;
  const replacements = await findReplacements(plan, objects);
  const apply = async (some: readonly KubeObject[]): Promise<readonly Written[]> =>
    reporter.step(`Applying to cluster ${cluster}`, async (step) =>
      applyManifests({ client, on: 'cluster' }, some, context, step),
    );
  if (replacements.length === 0) return apply(objects);
  const isReplaced = ({ kind, metadata }: KubeObject): boolean =>
    kind === RESOURCES.daemonSets.kind && replacements.some(({ daemonSet }) => daemonSet === metadata.name);
  const first = await apply(objects.filter((object) => !isReplaced(object)));
  const active = (await listGateways(plan.target)).find(({ status }) => status.haStatus === 'active');
  const work = {
    run,
    target: plan.target,
    deadline,
    // Interrupted, the process just ends: running join again goes on.
    signal: new AbortController().signal,
    manifests: objects,
    extras: [],
    back: false,
    connected: active === undefined ? [] : connectedClusters(active.status.connections),
  };
  const later: Written[] = [];
  for (const replacement of replacements) {
    const manifest = objects.find((object) => isReplaced(object) && object.metadata.name === replacement.daemonSet);
    if (manifest === undefined) continue;
    await rollOut(work, manifest, replacement, []);
    later.push(...(await applyManifests({ client, on: 'cluster' }, [manifest], context, QUIET)));
  }
  return [...first, ...later.map((one) => ({ ...one, outcome: 'configured' as const }))];
}

const ignore = (): void => undefined;
const QUIET = { update: ignore, progress: ignore, done: ignore, warn: ignore, fail: ignore, clear: ignore };

/** Pods of daemons that run and have to be replaced; none when that has to be left to the DaemonSet controller. */
async function findReplacements(
  { target, unlabel, settings: { options } }: JoinPlan,
  objects: readonly KubeObject[],
): Promise<readonly Replacement[]> {
  const { client } = target;
  const at = { namespace: OPERATOR_NAMESPACE };
  const { items: daemonSets } = await client.list<DaemonSet>(RESOURCES.daemonSets, at);
  if (daemonSets.length === 0 || unlabel.length > 0) return [];
  const wanted = objects.filter(({ kind }) => kind === RESOURCES.daemonSets.kind);
  const drifts = await compareObjects({ client, on: 'cluster' }, wanted);
  // A conflict is told by applying.
  if (
    drifts.some(
      ({ changedBy, changes }) => changedBy.length > 0 || (options.cableDriverChange === 'now' && parts(changes)),
    )
  )
    return [];
  const [nodes, pods, gateways] = await Promise.all([
    client.list<Node>(RESOURCES.nodes),
    client.list<Pod>(RESOURCES.pods, at),
    listGateways(target),
  ]);
  const observed = { nodes: nodes.items, daemonSets, pods: pods.items, gateways, saved: undefined };
  return DAEMON_SETS.map((name) => planReplacement(observed, name, drifts)).filter(
    ({ nodes: some }) => some.length > 0,
  );
}

function parts(changes: ObjectDrift['changes']): boolean {
  return changes.some(({ path }) => PARTING.test(path));
}
