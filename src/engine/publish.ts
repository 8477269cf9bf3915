import { parseGateways } from '../api/gateways.ts';
import type { Cluster, Endpoint } from '../api/types.ts';
import { parseEndpoint } from '../api/validate.ts';
import type { KubeClient, KubeObject, ResourceType } from '../kube/client.ts';
import { isAlreadyExists, isNotFound } from '../kube/errors.ts';
import { deleteAsSeen } from '../kube/removal.ts';
import { RESOURCES } from '../kube/resources.ts';
import type { Logger } from '../runtime/logger.ts';

interface WithSpec extends KubeObject {
  readonly spec: object;
}

/** Whether an object has these annotations, whatever else it has. */
function isAnnotated({ metadata }: KubeObject, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([key, value]) => metadata.annotations?.[key] === value);
}

/** Canonical text of a value: equal for equal content, whatever the order of keys. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** Makes an object be there with exactly this spec; writes nothing when it is or may not. True when something was written. */
async function ensure(
  { client, mayWrite }: Pick<PublishInputs, 'client' | 'mayWrite'>,
  type: ResourceType,
  wanted: WithSpec,
  signal: AbortSignal,
): Promise<boolean> {
  const { name = '', namespace = '', annotations = {} } = wanted.metadata;
  const current = await client.find<WithSpec>(type, name, { namespace, signal });
  if (!mayWrite()) return false;
  if (current === undefined) {
    await client.create(type, wanted, { signal });
    return true;
  }
  if (canonical(current.spec) === canonical(wanted.spec) && isAnnotated(current, annotations)) return false;
  const metadata = { ...current.metadata, annotations: { ...current.metadata.annotations, ...annotations } };
  await client.replace(type, { ...current, metadata, spec: wanted.spec }, { signal });
  return true;
}

/** An Endpoint that is not known is most likely not there: one request instead of two, while traffic waits for it. */
async function publishEndpoint(inputs: PublishInputs, signal: AbortSignal): Promise<boolean> {
  const { client, endpoint, known, mayWrite } = inputs;
  const isKnown = known.some(({ metadata }) => metadata.name === endpoint.metadata.name);
  if (isKnown || !mayWrite()) return ensure(inputs, RESOURCES.endpoints, endpoint, signal);
  try {
    await client.create(RESOURCES.endpoints, endpoint, { signal });
    return true;
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return ensure(inputs, RESOURCES.endpoints, endpoint, signal);
  }
}

async function tell(inputs: PublishInputs, signal: AbortSignal): Promise<void> {
  const { logger, endpoint, onEndpoint } = inputs;
  const written = await publishEndpoint(inputs, signal);
  onEndpoint?.();
  if (!written) return;
  logger.info('published the local Endpoint', {
    endpoint: endpoint.metadata.name,
    privateIp: endpoint.spec.private_ip,
  });
}

export interface PublishInputs {
  readonly client: KubeClient;
  readonly logger: Logger;
  readonly cluster: Cluster;
  readonly endpoint: Endpoint;
  /** Endpoints of the local API server, as known. */
  readonly known: readonly (KubeObject & Endpoint)[];
  /** Asked before each write: an answer may have taken so long that another gateway leads by now. */
  readonly mayWrite: () => boolean;
  /** Called when the own Endpoint is there. */
  readonly onEndpoint?: () => void;
}

/**
 * Makes the own Cluster and Endpoint be in the local API, and no other Endpoint of the own cluster. The own one comes
 * first, so that other clusters switch from the old gateway to this one without a moment in between. An Endpoint of a
 * later term stays: it is of a gateway that has taken over meanwhile.
 */
export async function publishLocal(inputs: PublishInputs, signal: AbortSignal): Promise<void> {
  const { client, logger, cluster, endpoint, known, mayWrite } = inputs;
  await tell(inputs, signal);
  if (await ensure(inputs, RESOURCES.clusters, cluster, signal))
    logger.info('published the local Cluster', { cluster: cluster.spec.cluster_id });
  const term = parseGateways(endpoint)?.term ?? 0;
  const others = known.filter(
    (other) =>
      (other.spec as Partial<Endpoint['spec']> | undefined)?.cluster_id === cluster.spec.cluster_id &&
      other.metadata.name !== endpoint.metadata.name &&
      (termOf(other) ?? 0) <= term,
  );
  for (const other of others) {
    if (!mayWrite()) return;
    // Written since, it may be of a later term; then it is looked at again when that has come in.
    if (await deleteAsSeen(client, RESOURCES.endpoints, other, signal))
      logger.info('removed a former Endpoint of this cluster', { endpoint: other.metadata.name });
  }
}

function termOf(object: unknown): number | undefined {
  const parsed = parseEndpoint(object);
  return parsed.problem === undefined ? parseGateways(parsed.endpoint)?.term : undefined;
}

/** Labels the own pod with its role; a pod that is not there (a process outside Kubernetes) is no error. */
export async function labelPod(
  client: KubeClient,
  pod: { readonly name: string; readonly namespace: string; readonly node: string },
  active: boolean,
  signal: AbortSignal,
): Promise<void> {
  const labels = {
    'gateway.submariner.io/node': pod.node.slice(0, 63),
    'gateway.submariner.io/status': active ? 'active' : 'passive',
  };
  try {
    await client.patch(
      RESOURCES.pods,
      pod.name,
      { metadata: { labels } },
      {
        patchType: 'merge',
        namespace: pod.namespace,
        signal,
      },
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
