import { randomBytes } from 'node:crypto';
import type { KubeClient } from '../../kube/client.ts';
import { isForbidden, isNotFound } from '../../kube/errors.ts';
import type { Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError, messageOf } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { podTrouble } from '../join/ready.ts';
import type { Deadline } from '../waiting.ts';
import { testNamespace, testPods, type TestPodPlan } from './manifests.ts';

/** A cluster in which pods are to run. */
export interface TestPodPlace {
  readonly client: KubeClient;
  /** Of the kubeconfig, for messages. */
  readonly context: string;
  readonly clusterId: string;
}

/** A pod that runs and is ready. */
export interface TestPod {
  readonly clusterId: string;
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly address: string;
}

/** Pods that run, and those that do not, with the reason. */
export interface TestPods {
  readonly ready: readonly TestPod[];
  readonly problems: readonly { readonly clusterId: string; readonly node: string; readonly reason: string }[];
}

type PlaceAndPlan = TestPodPlace & { readonly plan: Omit<TestPodPlan, 'namespace'> };

/** How long the removal of the pods is waited for; it goes on by itself afterwards. */
const REMOVAL_MS = 60_000;
/** How long pods may take to become ready. */
const READY_MS = 60_000;
const LOOK_MS = 200;

/** A name that no other run has. */
function namespaceName(): string {
  return `subctl-test-${randomBytes(4).toString('hex')}`;
}

/**
 * Runs test pods in a namespace of their own in each cluster for the time of `work`. They are removed whatever happens,
 * also when `signal` is aborted, and it is said. Rejects with ExpectedError when a namespace or pod cannot be made;
 * a pod that does not become ready is told in `problems`.
 */
export async function withTestPods<T>(
  run: CommandRun,
  places: readonly PlaceAndPlan[],
  { deadline, signal }: { readonly deadline: Deadline; readonly signal: AbortSignal },
  work: (pods: TestPods) => Promise<T>,
): Promise<T> {
  const planned = places.map((place) => ({ ...place, plan: { ...place.plan, namespace: namespaceName() } }));
  const made: Place[] = [];
  try {
    const pods = await run.reporter.step(describeStart(planned), async (step) => {
      const started = await Promise.allSettled(planned.map(async (place) => createPods(place, signal, made)));
      const failed = started.find((outcome) => outcome.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
      const found = await Promise.all(planned.map(async (place) => waitForPods(run, place, { deadline, signal })));
      refuseWhenInterrupted(signal);
      const all = { ready: found.flatMap(({ ready }) => ready), problems: found.flatMap(({ problems }) => problems) };
      step.done(`${all.ready.length} test pods run`);
      return all;
    });
    return await work(pods);
  } finally {
    await removeAll(run, made, signal);
  }
}

/** Rejects when SIGINT or SIGTERM has come. */
export function refuseWhenInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new ExpectedError('interrupted');
}

function describeStart(places: readonly PlaceAndPlan[]): string {
  const pods = places.reduce((sum, { plan }) => sum + plan.nodes.length, 0);
  return `Starting ${pods} test pods in ${places.map(({ clusterId }) => clusterId).join(' and ')}`;
}

type Place = TestPodPlace & { readonly plan: TestPodPlan };

/** Notes the place in `made` as soon as there may be something to remove. */
async function createPods(place: Place, signal: AbortSignal, made: Place[]): Promise<void> {
  const { client, plan } = place;
  refuseWhenInterrupted(signal);
  try {
    await client.create(RESOURCES.namespaces, testNamespace(plan), { fieldManager: 'subctl' });
    made.push(place);
  } catch (error) {
    if (!isForbidden(error)) made.push(place);
    throw error;
  }
  for (const pod of testPods(plan)) {
    refuseWhenInterrupted(signal);
    await createPod(client, pod, plan.namespace);
  }
}

/** A new namespace may not have its service account yet, without which no pod is let in. */
async function createPod(client: KubeClient, pod: Pod, namespace: string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await client.create<Pod>(RESOURCES.pods, pod, { namespace, fieldManager: 'subctl' });
      return;
    } catch (error) {
      const early = /serviceaccount .*not found|service account .* not found/i.test(messageOf(error));
      if (!early || tries >= 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}

function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true;
}

async function waitForPods(
  run: CommandRun,
  { client, clusterId, plan }: Place,
  { deadline, signal }: { readonly deadline: Deadline; readonly signal: AbortSignal },
): Promise<TestPods> {
  const { clock } = run.context;
  const { namespace } = plan;
  const endMs = clock.monotonic() + Math.min(READY_MS, deadline.remainingMs());
  for (;;) {
    const { items } = await client.list<Pod>(RESOURCES.pods, { namespace });
    const waiting = items.filter((pod) => !isReady(pod));
    const enough = waiting.length === 0 && items.length === plan.nodes.length;
    if (enough || signal.aborted || clock.monotonic() >= endMs) {
      return {
        ready: items.filter(isReady).map((pod) => testPod(pod, { client, clusterId, namespace })),
        problems: waiting.map((pod) => ({
          clusterId,
          node: pod.spec.nodeName ?? '',
          reason: podTrouble(pod) ?? 'not ready in time',
        })),
      };
    }
    await clock.sleep(LOOK_MS, signal);
  }
}

function testPod(pod: Pod, at: Pick<TestPod, 'client' | 'clusterId' | 'namespace'>): TestPod {
  const address = pod.status?.podIP ?? '';
  return { ...at, name: pod.metadata.name ?? '', node: pod.spec.nodeName ?? '', address };
}

/** Removes what was made, and says so; a failure is a warning with the command that finishes it. */
async function removeAll(run: CommandRun, places: readonly Place[], signal: AbortSignal): Promise<void> {
  if (places.length === 0) return;
  const step = run.reporter.start(`${signal.aborted ? 'Interrupted: removing' : 'Removing'} the test pods`);
  const outcomes = await Promise.all(places.map(async (place) => removeOne(run, place)));
  const failures = outcomes.filter((text) => text !== undefined);
  if (failures.length === 0) step.done('The test pods are removed');
  else step.warn(failures.join('; '));
}

async function removeOne(run: CommandRun, { client, context, plan }: Place): Promise<string | undefined> {
  const { clock } = run.context;
  const { namespace } = plan;
  const finish = `kubectl --context ${context} delete namespace ${namespace}`;
  const endMs = clock.monotonic() + REMOVAL_MS;
  try {
    if (!(await client.delete(RESOURCES.namespaces, namespace, { propagationPolicy: 'Background' }))) return undefined;
    while ((await client.find(RESOURCES.namespaces, namespace)) !== undefined) {
      if (clock.monotonic() >= endMs) return `namespace ${namespace} is still being removed; look with: ${finish}`;
      await clock.sleep(LOOK_MS);
    }
    return undefined;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    return `namespace ${namespace} was not removed: ${messageOf(error)}; remove it with: ${finish}`;
  }
}
