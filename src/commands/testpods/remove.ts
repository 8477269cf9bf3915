import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import { isNotFound } from '../../kube/errors.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { messageOf } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { RUN_LABEL, type TestPodPlan } from './manifests.ts';

/** A cluster in which pods are to run. */
export interface TestPodPlace {
  readonly client: KubeClient;
  /** Of the kubeconfig, for messages. */
  readonly context: string;
  readonly clusterId: string;
}

/** A cluster with what runs in it. */
export type Place = TestPodPlace & { readonly plan: TestPodPlan };

/** How long the removal of the pods is waited for; it goes on by itself afterwards. */
const REMOVAL_MS = 60_000;
const LOOK_MS = 200;

/** Removes what was made, and says so; a failure is a warning with the command that finishes it. */
export async function removeTestPods(run: CommandRun, places: readonly Place[], signal: AbortSignal): Promise<void> {
  if (places.length === 0) return;
  const step = run.reporter.start(`${signal.aborted ? 'Interrupted: removing' : 'Removing'} the test pods`);
  const outcomes = await Promise.all(places.map(async (place) => removeOne(run, place)));
  const failures = outcomes.filter((text) => text !== undefined);
  if (failures.length === 0) step.done('The test pods are removed');
  else step.warn(failures.join('; '));
}

async function removeOne(run: CommandRun, place: Place): Promise<string | undefined> {
  const { clock } = run.context;
  const { namespace, run: name, ownNamespace } = place.plan;
  const what = ownNamespace ? `namespace ${namespace}` : `the test pods in namespace ${namespace}`;
  const kubectl = `kubectl --context ${place.context}`;
  const finish = ownNamespace
    ? `${kubectl} delete namespace ${namespace}`
    : `${kubectl} -n ${namespace} delete pods,services -l ${RUN_LABEL}=${name}`;
  const endMs = clock.monotonic() + REMOVAL_MS;
  try {
    await (ownNamespace ? deleteNamespace(place) : deleteParts(place));
    while (await isThere(place)) {
      if (clock.monotonic() >= endMs) return `${what}: still being removed; look with: ${finish}`;
      await clock.sleep(LOOK_MS);
    }
    return undefined;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    return `${what}: not removed: ${messageOf(error)}; remove it with: ${finish}`;
  }
}

async function deleteNamespace({ client, plan }: Place): Promise<void> {
  await client.delete(RESOURCES.namespaces, plan.namespace, { propagationPolicy: 'Background' });
}

async function partsOf({ client, plan }: Place): Promise<readonly (readonly [ResourceType, string])[]> {
  const own = { namespace: plan.namespace, labelSelector: `${RUN_LABEL}=${plan.run}` };
  const lists = await Promise.all(
    [RESOURCES.pods, RESOURCES.services].map(async (type) => {
      const { items } = await client.list<KubeObject>(type, own);
      return items.map(({ metadata }) => [type, metadata.name ?? ''] as const);
    }),
  );
  return lists.flat();
}

async function deleteParts(place: Place): Promise<void> {
  const { namespace } = place.plan;
  for (const [type, name] of await partsOf(place)) await place.client.delete(type, name, { namespace });
}

async function isThere(place: Place): Promise<boolean> {
  const { client, plan } = place;
  if (plan.ownNamespace) return (await client.find(RESOURCES.namespaces, plan.namespace)) !== undefined;
  return (await partsOf(place)).length > 0;
}
