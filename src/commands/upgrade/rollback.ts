import { OPERATOR_NAMESPACE, SUBMARINER_NAME } from '../../api/names.ts';
import { inOrder } from '../../kube/apply.ts';
import type { KubeClient, KubeObject } from '../../kube/client.ts';
import type { Node, Pod } from '../../kube/objects.ts';
import { RESOURCES, resourceOf } from '../../kube/resources.ts';
import { listGateways } from '../gateway/handover.ts';
import { DAEMON_SETS, type DaemonSetName, podsOf, type Replacement, replacementOf, revisionOf } from './plan.ts';
import { applyForced, rollOut } from './rollout.ts';
import { removeSaved, type SavedUpgrade } from './saved.ts';
import { type DoneStep, timed, type UpgradeWork } from './work.ts';

/** Kinds that stay: with them everything that is kept in them would go. */
const KEPT: ReadonlySet<string> = new Set([RESOURCES.crds.kind, RESOURCES.namespaces.kind]);

/**
 * Makes everything as it was before an upgrade: gateways first, those on standby before the active one, then the route
 * agents; then manifests and record. Every step can be repeated.
 */
export async function rollBack(work: UpgradeWork, saved: SavedUpgrade, done: DoneStep[]): Promise<void> {
  for (const name of DAEMON_SETS.toReversed()) {
    const former = saved.before.find((object) => isDaemonSet(object, name));
    if (former === undefined || saved.revisions[name] === undefined) continue;
    await rollOut(work, former, await toReplace(work, name, saved.revisions[name]), done);
  }
  await timed(work, done, 'Applying the manifests of before', async ({ progress }) => {
    await applyForced(work, inOrder(saved.before), progress);
    await removeObjects(work.target.client, saved.created);
    await recordVersion(work.target.client, saved.from);
  });
  await removeSaved(work.target.client);
}

function isDaemonSet({ kind, metadata }: KubeObject, name: string): boolean {
  return kind === RESOURCES.daemonSets.kind && metadata.name === name;
}

/** The pods that are not of before. */
async function toReplace(
  { target }: UpgradeWork,
  name: DaemonSetName,
  former: readonly string[],
): Promise<Replacement> {
  const { client } = target;
  const [nodes, pods, gateways] = await Promise.all([
    client.list<Node>(RESOURCES.nodes),
    client.list<Pod>(RESOURCES.pods, { namespace: OPERATOR_NAMESPACE }),
    listGateways(target),
  ]);
  const others = podsOf(pods.items, name).filter((pod) => !former.includes(revisionOf(pod)));
  return replacementOf({ nodes: nodes.items, pods: pods.items, gateways }, name, others);
}

/** Removes objects, but for kinds with which more would go; those that are gone already are no failure. */
export async function removeObjects(client: KubeClient, objects: readonly KubeObject[]): Promise<void> {
  for (const { apiVersion = '', kind = '', metadata } of objects) {
    const type = resourceOf(apiVersion, kind);
    if (type === undefined || KEPT.has(kind)) continue;
    const { name = '', namespace } = metadata;
    await client.delete(type, name, namespace === undefined ? {} : { namespace });
  }
}

/** Records in the status of the Submariner object which version the cluster has. */
export async function recordVersion(client: KubeClient, version: string): Promise<void> {
  await client.patch(
    RESOURCES.submariners,
    SUBMARINER_NAME,
    { status: { version } },
    { namespace: OPERATOR_NAMESPACE, patchType: 'merge', subresource: 'status', fieldManager: 'subctl' },
  );
}
