import { randomBytes } from 'node:crypto';
import type { KubeClient } from '../../kube/client.ts';
import { isForbidden, isNotFound } from '../../kube/errors.ts';
import type { Pod, Service } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError, messageOf } from '../../runtime/errors.ts';
import type { CommandRun } from '../context.ts';
import { podTrouble } from '../join/ready.ts';
import type { Deadline } from '../waiting.ts';
import { RUN_LABEL, testNamespace, testPods, testServices, type TestPodPlan } from './manifests.ts';
import { removeTestPods, type Place, type TestPodPlace } from './remove.ts';

/** A pod that runs and is ready. */
export interface TestPod {
  readonly clusterId: string;
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly address: string;
  /** Of its Service; '' when it has none. */
  readonly serviceAddress: string;
}

/** Pods that run, and those that do not, with the reason. */
export interface TestPods {
  readonly ready: readonly TestPod[];
  readonly problems: readonly { readonly clusterId: string; readonly node: string; readonly reason: string }[];
}

/** A cluster and what is to run in it: in a namespace of its own unless one is named that is there already. */
export type TestPodRequest = TestPodPlace & {
  readonly plan: Omit<TestPodPlan, 'namespace' | 'run' | 'ownNamespace'> & { readonly namespace?: string | undefined };
};

/** How long pods may take to become ready. */
const READY_MS = 60_000;
const LOOK_MS = 200;

/** The request with a namespace and a name that no other run has. */
function planned({ plan, ...place }: TestPodRequest): Place {
  const run = `subctl-test-${randomBytes(4).toString('hex')}`;
  const { namespace } = plan;
  return { ...place, plan: { ...plan, run, namespace: namespace ?? run, ownNamespace: namespace === undefined } };
}

/**
 * Runs test pods in each cluster for the time of `work`, in a namespace of their own unless one is named. They are removed
 * whatever happens, also when `signal` is aborted, and it is said. Rejects with ExpectedError when a namespace or pod cannot
 * be made; a pod that does not become ready is told in `problems`.
 */
export async function withTestPods<T>(
  run: CommandRun,
  places: readonly TestPodRequest[],
  { deadline, signal }: { readonly deadline: Deadline; readonly signal: AbortSignal },
  work: (pods: TestPods) => Promise<T>,
): Promise<T> {
  const wanted = places.map(planned);
  const made: Place[] = [];
  try {
    const pods = await run.reporter.step(describeStart(wanted), async (step) => {
      const started = await Promise.allSettled(wanted.map(async (place) => createPods(place, signal, made)));
      const failed = started.find((outcome) => outcome.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
      const found = await Promise.all(wanted.map(async (place) => waitForPods(run, place, { deadline, signal })));
      refuseWhenInterrupted(signal);
      const all = { ready: found.flatMap(({ ready }) => ready), problems: found.flatMap(({ problems }) => problems) };
      step.done(`${all.ready.length} test pods run`);
      return all;
    });
    return await work(pods);
  } finally {
    await removeTestPods(run, made, signal);
  }
}

/** Rejects when SIGINT or SIGTERM has come. */
export function refuseWhenInterrupted(signal: AbortSignal): void {
  if (signal.aborted) throw new ExpectedError('interrupted');
}

function describeStart(places: readonly Place[]): string {
  const pods = places.reduce((sum, { plan }) => sum + plan.nodes.length, 0);
  const clusters = new Set(places.map(({ clusterId }) => clusterId));
  return `Starting ${pods} test pods in ${[...clusters].join(' and ')}`;
}

/** Notes the place in `made` as soon as there may be something to remove. */
async function createPods(place: Place, signal: AbortSignal, made: Place[]): Promise<void> {
  const { client, plan } = place;
  refuseWhenInterrupted(signal);
  if (plan.ownNamespace) await createNamespace(place, made);
  else made.push(place);
  try {
    for (const service of testServices(plan)) {
      await client.create(RESOURCES.services, service, { namespace: plan.namespace, fieldManager: 'subctl' });
    }
    for (const pod of testPods(plan)) {
      refuseWhenInterrupted(signal);
      await createPod(client, pod, plan.namespace);
    }
  } catch (error) {
    throw isNotFound(error) && !plan.ownNamespace ? noNamespace(place, error) : error;
  }
}

function noNamespace({ clusterId, context, plan: { namespace } }: Place, cause: unknown): ExpectedError {
  return new ExpectedError(`cluster ${clusterId} has no namespace ${namespace}`, {
    hint: `Make it: kubectl --context ${context} create namespace ${namespace}; or leave --namespace out.`,
    cause,
  });
}

async function createNamespace(place: Place, made: Place[]): Promise<void> {
  const { client, plan } = place;
  try {
    await client.create(RESOURCES.namespaces, testNamespace(plan), { fieldManager: 'subctl' });
    made.push(place);
  } catch (error) {
    if (!isForbidden(error)) made.push(place);
    throw error;
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
  const own = { namespace, labelSelector: `${RUN_LABEL}=${plan.run}` };
  const endMs = clock.monotonic() + Math.min(READY_MS, deadline.remainingMs());
  for (;;) {
    const { items } = await client.list<Pod>(RESOURCES.pods, own);
    const waiting = items.filter((pod) => !isReady(pod));
    const enough = waiting.length === 0 && items.length === plan.nodes.length;
    if (enough || signal.aborted || clock.monotonic() >= endMs) {
      const services = await client.list<Service>(RESOURCES.services, own);
      return {
        ready: items.filter(isReady).map((pod) => testPod(pod, services.items, { client, clusterId, namespace })),
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

function testPod(
  pod: Pod,
  services: readonly Service[],
  at: Pick<TestPod, 'client' | 'clusterId' | 'namespace'>,
): TestPod {
  const { name = '' } = pod.metadata;
  const service = services.find(({ metadata }) => metadata.name === name);
  const address = pod.status?.podIP ?? '';
  return { ...at, name, node: pod.spec.nodeName ?? '', address, serviceAddress: service?.spec.clusterIP ?? '' };
}
