import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Gateway } from '../../api/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { ContainerStatus, DaemonSet, Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { type Deadline, type Progress, waitFor } from '../waiting.ts';

/** Why a container is not running well, e.g. `ImagePullBackOff: no such image`; undefined when it is. */
function containerTrouble({ name, state, ready, restartCount, lastState }: ContainerStatus): string | undefined {
  if (state?.waiting !== undefined) return `${name} ${reasonOf(state.waiting)}`;
  const ended = state?.terminated ?? (ready ? undefined : lastState?.terminated);
  if (ended !== undefined) return `${name} ended with exit code ${ended.exitCode} (restarts: ${restartCount})`;
  return ready ? undefined : `${name} is not ready`;
}

function reasonOf({ reason = 'waiting', message }: { readonly reason?: string; readonly message?: string }): string {
  return message === undefined ? reason : `${reason}: ${message}`;
}

/** What is wrong with a pod, in a few words; undefined when it runs and is ready. */
export function podTrouble({ spec, status = {} }: Pod): string | undefined {
  const { initContainerStatuses = [], containerStatuses = [], conditions = [], phase = 'Pending' } = status;
  const trouble = [...initContainerStatuses, ...containerStatuses]
    .map(containerTrouble)
    .find((text) => text !== undefined);
  const where = spec.nodeName === undefined ? '' : ` on ${spec.nodeName}`;
  if (trouble !== undefined) return `${trouble}${where}`;
  const unscheduled = conditions.find((one) => one.type === 'PodScheduled' && one.status === 'False');
  if (unscheduled !== undefined) return `not scheduled, ${reasonOf(unscheduled)}`;
  return phase === 'Running' ? undefined : `${phase}${where}`;
}

/** How far a DaemonSet is: all pods of the newest template ready, or what is missing. */
export function daemonSetProgress({ metadata, status }: DaemonSet, pods: readonly Pod[]): Progress<true> {
  const { name = '', generation = 0 } = metadata;
  if (status === undefined || (status.observedGeneration ?? 0) < generation) {
    return { pending: `${name}: the DaemonSet controller has not seen it yet` };
  }
  const { desiredNumberScheduled: wanted, numberReady } = status;
  if (wanted === 0) return { pending: `${name}: no node to run on` };
  if (numberReady >= wanted && updatedPods(status) >= wanted) return { done: true };
  const trouble = pods.map(podTrouble).find((text) => text !== undefined);
  return { pending: `${name}: ${numberReady} of ${wanted} ready${trouble === undefined ? '' : `, ${trouble}`}` };
}

/** Pods of the newest template; servers leave the number out while all are. */
function updatedPods(status: NonNullable<DaemonSet['status']>): number {
  return status.updatedNumberScheduled ?? status.currentNumberScheduled;
}

/** Waits until all pods of a DaemonSet run; rejects with ExpectedError that tells what is wrong with them. */
export async function waitForDaemonSet(
  client: KubeClient,
  name: string,
  deadline: Deadline,
  onPending: (text: string) => void,
): Promise<void> {
  const namespace = OPERATOR_NAMESPACE;
  await waitFor<true>({
    deadline,
    what: `the pods of ${name}`,
    hint: `kubectl -n ${namespace} logs daemonset/${name} tells more; running join again completes it.`,
    onPending,
    look: async () => {
      const daemonSet = await client.get<DaemonSet>(RESOURCES.daemonSets, name, { namespace });
      const { items } = await client.list<Pod>(RESOURCES.pods, { namespace, labelSelector: `app=${name}` });
      return daemonSetProgress(daemonSet, items);
    },
  });
}

/** How far the gateways are: one is active and reports no failure. */
function gatewayProgress(gateways: readonly Gateway[]): Progress<Gateway> {
  const active = gateways.find(({ status }) => status.haStatus === 'active');
  if (active !== undefined && active.status.statusFailure === '') return { done: active };
  const failures = gateways
    .filter(({ status }) => status.statusFailure !== '')
    .map(({ metadata, status }) => `${metadata.name}: ${status.statusFailure}`);
  if (failures.length > 0) return { pending: failures.join('; ') };
  return { pending: gateways.length === 0 ? 'no gateway reports yet' : 'no gateway is active yet' };
}

/** Waits until a gateway reports that it is active; rejects with ExpectedError that repeats what gateways report. */
export async function waitForGateway(
  client: KubeClient,
  deadline: Deadline,
  onPending: (text: string) => void,
): Promise<Gateway> {
  const namespace = OPERATOR_NAMESPACE;
  return waitFor<Gateway>({
    deadline,
    what: 'an active gateway',
    hint: `kubectl -n ${namespace} logs daemonset/submariner-gateway tells more; running join again completes it.`,
    onPending,
    look: async () => gatewayProgress((await client.list<Gateway>(RESOURCES.gateways, { namespace })).items),
  });
}
