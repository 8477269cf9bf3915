import type { Condition, ContainerState, ContainerStatus, Pod } from '../../kube/objects.ts';

/** One container as its runner sees it. */
export interface ContainerView {
  readonly name: string;
  readonly image: string;
  readonly imageId: string;
  readonly restartCount: number;
  readonly state: ContainerState;
  readonly lastState: ContainerState;
  /** By its readiness probe; true without one while it runs. */
  readonly ready: boolean;
}

/** A pod as its worker sees it. */
export interface PodView {
  readonly podIP: string | undefined;
  readonly hostIP: string;
  /** RFC 3339. */
  readonly startTime: string;
  /** The pod has its network and volumes. */
  readonly prepared: boolean;
  readonly initialized: boolean;
  readonly initContainers: readonly ContainerView[];
  readonly containers: readonly ContainerView[];
}

type PodStatus = NonNullable<Pod['status']>;

function hasSucceeded(state: ContainerState): boolean {
  return state.terminated?.exitCode === 0;
}

/** The phase as a kubelet works it out: waiting after a crash counts as stopped, waiting before the first start does not. */
export function phaseOf(view: PodView, restartPolicy: string): string {
  const states = view.containers.map((one) => one.state);
  const failedInit = view.initContainers.some((one) => one.state.terminated !== undefined && !hasSucceeded(one.state));
  if (!view.initialized) return failedInit && restartPolicy === 'Never' ? 'Failed' : 'Pending';
  if (view.containers.some(({ state, lastState }) => state.waiting !== undefined && lastState.terminated === undefined))
    return 'Pending';
  if (states.some((state) => state.running !== undefined)) return 'Running';
  if (restartPolicy === 'Always') return 'Running';
  if (states.every(hasSucceeded)) return 'Succeeded';
  return restartPolicy === 'Never' ? 'Failed' : 'Running';
}

function condition(
  type: string,
  good: boolean,
  reason: string | undefined,
  previous: readonly Condition[] | undefined,
  now: string,
): Condition {
  const status = good ? 'True' : 'False';
  const before = previous?.find((one) => one.type === type);
  const lastTransitionTime = before?.status === status ? (before.lastTransitionTime ?? now) : now;
  return { type, status, ...(good || reason === undefined ? {} : { reason }), lastTransitionTime };
}

function conditions(pod: Pod, view: PodView, phase: string, now: string): readonly Condition[] {
  const previous = pod.status?.conditions;
  const done = phase === 'Succeeded' || phase === 'Failed';
  const ready = !done && view.initialized && view.containers.every((one) => one.ready);
  const reason = phase === 'Succeeded' ? 'PodCompleted' : phase === 'Failed' ? 'PodFailed' : 'ContainersNotReady';
  const make = (type: string, good: boolean, why?: string): Condition => condition(type, good, why, previous, now);
  return [
    make('PodReadyToStartContainers', view.prepared),
    make('Initialized', view.initialized, 'ContainersNotInitialized'),
    make('Ready', ready, reason),
    make('ContainersReady', ready, reason),
    make('PodScheduled', true),
  ];
}

function containerStatus(view: ContainerView): ContainerStatus {
  const { name, image, imageId, restartCount, state, lastState, ready } = view;
  return {
    name,
    image,
    imageID: imageId,
    restartCount,
    state,
    lastState,
    ready,
    started: state.running !== undefined,
  };
}

/** What stands in the status of a pod; `now` (RFC 3339) marks the conditions that have changed. */
export function podStatus(pod: Pod, view: PodView, now: string): PodStatus {
  const phase = phaseOf(view, pod.spec.restartPolicy ?? 'Always');
  return {
    phase,
    conditions: conditions(pod, view, phase, now),
    hostIP: view.hostIP,
    ...(view.podIP === undefined ? {} : { podIP: view.podIP, podIPs: [{ ip: view.podIP }] }),
    startTime: view.startTime,
    ...(view.initContainers.length === 0 ? {} : { initContainerStatuses: view.initContainers.map(containerStatus) }),
    containerStatuses: view.containers.map(containerStatus),
  };
}

/** Whether everything in `wanted` already stands in `current`; what else stands there does not matter. */
export function covers(current: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(current) &&
      current.length === wanted.length &&
      wanted.every((item, index) => covers(current[index], item))
    );
  }
  if (typeof wanted !== 'object' || wanted === null) return current === wanted;
  const fields = Object.entries(wanted);
  if (typeof current !== 'object' || current === null) return fields.length === 0 && current === undefined;
  return fields.every(([key, value]) => covers((current as Readonly<Record<string, unknown>>)[key], value));
}
