import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import type { DaemonSet, EndpointSlice, Lease, Node, Pod, Service } from '../../kube/objects.ts';
import type { Store } from '../../kube/store.ts';
import type { Logger } from '../../runtime/logger.ts';
import { sameJson } from './json.ts';
import type { ReplicaSet, RollingDeployment } from './workload-types.ts';

/** What the controllers know of a cluster: one cache a kind, shared by all of them. */
export interface ClusterStores {
  readonly nodes: Store<Node>;
  readonly pods: Store<Pod>;
  readonly services: Store<Service>;
  readonly endpointSlices: Store<EndpointSlice>;
  readonly daemonSets: Store<DaemonSet>;
  readonly deployments: Store<RollingDeployment>;
  readonly replicaSets: Store<ReplicaSet>;
  /** Those of namespace kube-node-lease. */
  readonly nodeLeases: Store<Lease>;
}

export interface ControllerContext {
  readonly client: KubeClient;
  /** The version in which the server has EndpointSlices. */
  readonly sliceType: ResourceType;
  readonly stores: ClusterStores;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long a node may be silent before it counts as lost. */
  readonly nodeGraceMs: number;
}

/** One level-triggered loop: looks at the stores and makes the cluster one step more as it ought to be. */
export interface Controller {
  readonly name: string;
  /** A change in one of these calls for a new look. */
  readonly watches: readonly (keyof ClusterStores)[];
  /** Also look again after this time; for controllers that wait for a clock. */
  readonly resyncMs?: number;
  reconcile(context: ControllerContext, signal: AbortSignal): Promise<void>;
}

/** Namespace of an object as an option of a request. */
export function inNamespaceOf(object: KubeObject): { readonly namespace?: string } {
  return object.metadata.namespace === undefined ? {} : { namespace: object.metadata.namespace };
}

type Status = Readonly<Record<string, unknown>>;

/** True when `observed` lacks something of `desired`; a missing number is 0, as the API server leaves zeros out. */
export function statusDiffers(observed: Status | undefined, desired: Status): boolean {
  return Object.entries(desired).some(
    ([key, value]) => !sameJson(observed?.[key] ?? (typeof value === 'number' ? 0 : null), value),
  );
}

/** Writes the fields of `status` when they differ from what the object carries. */
export async function writeStatus(
  client: KubeClient,
  type: ResourceType,
  object: KubeObject & { readonly status?: object },
  status: Status,
): Promise<void> {
  if (!statusDiffers(object.status as Status | undefined, status)) return;
  await client.patch(
    type,
    object.metadata.name ?? '',
    { status },
    { patchType: 'merge', subresource: 'status', ...inNamespaceOf(object) },
  );
}

/** Deletes exactly this object, not another that has since taken its name. */
export async function deleteExactly(
  client: KubeClient,
  type: ResourceType,
  object: KubeObject,
  policy?: 'Foreground' | 'Background',
): Promise<void> {
  const { name, uid } = object.metadata;
  const options = { ...(uid === undefined ? {} : { uid }), ...(policy && { propagationPolicy: policy }) };
  await client.delete(type, name ?? '', { ...inNamespaceOf(object), ...options });
}
