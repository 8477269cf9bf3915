import { FIELD_MANAGER, GATEWAY_LABEL, OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { KubeClient, ResourceType } from '../../kube/client.ts';
import { isNotFound } from '../../kube/errors.ts';
import type { CustomResourceDefinition, Namespace, Node, Pod } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { deleteNow, isReady } from '../nodecleaning.ts';
import { type Written, written } from '../objects.ts';
import { type Deadline, waitFor } from '../waiting.ts';
import { type Definition, findDefinitions } from './survey.ts';

/** What removing takes: an API server, the time there is, and somebody to tell what is being waited for. */
export interface RemovalTools {
  readonly client: KubeClient;
  readonly deadline: Deadline;
  readonly onPending: (text: string) => void;
}

/** Deletes one object; says so unless it was gone already. */
export async function remove(
  client: KubeClient,
  type: ResourceType,
  name: string,
  namespace?: string,
): Promise<readonly Written[]> {
  const at = namespace === undefined ? {} : { namespace };
  const gone = await client.delete(type, name, at);
  return gone ? [written({ kind: type.kind, metadata: { name, ...at } }, 'cluster', 'deleted')] : [];
}

/**
 * Deletes the DaemonSets and waits until their pods have ended; those on nodes that are not ready are forgotten, because
 * nobody there can confirm it.
 */
export async function stopDaemons(tools: RemovalTools, names: readonly string[]): Promise<readonly Written[]> {
  const { client, deadline, onPending } = tools;
  const namespace = OPERATOR_NAMESPACE;
  const removed: Written[] = [];
  for (const name of names) removed.push(...(await remove(client, RESOURCES.daemonSets, name, namespace)));
  await waitFor<true>({
    deadline,
    what: 'the daemons to end',
    hint: `kubectl -n ${namespace} get pods -o wide shows where they run. Running uninstall again goes on.`,
    intervalMs: 200,
    onPending,
    look: async () => {
      const [pods, nodes] = await Promise.all([daemons(client, names), client.list<Node>(RESOURCES.nodes)]);
      const ready = new Set(nodes.items.filter(isReady).map(({ metadata }) => metadata.name));
      const lost = pods.filter(({ spec }) => !ready.has(spec.nodeName ?? ''));
      for (const { metadata } of lost) await deleteNow(client, metadata.name ?? '');
      const left = pods.filter((pod) => !lost.includes(pod)).map(({ metadata }) => metadata.name ?? '');
      return left.length === 0 ? { done: true } : { pending: `Waiting for ${left.join(', ')} to end` };
    },
  });
  return removed;
}

async function daemons(client: KubeClient, names: readonly string[]): Promise<readonly Pod[]> {
  const { items } = await client.list<Pod>(RESOURCES.pods, { namespace: OPERATOR_NAMESPACE });
  return items.filter(({ metadata }) => names.includes(metadata.labels?.['app'] ?? ''));
}

/** Takes the gateway label from nodes; nodes that are gone have none. */
export async function unlabelGateways(client: KubeClient, nodes: readonly string[]): Promise<readonly Written[]> {
  const patch = { metadata: { labels: { [GATEWAY_LABEL]: null } } };
  const options = { patchType: 'merge', fieldManager: FIELD_MANAGER } as const;
  const records: Written[] = [];
  for (const name of nodes) {
    try {
      await client.patch(RESOURCES.nodes, name, patch, options);
      records.push(written({ kind: 'Node', metadata: { name } }, 'cluster', 'configured'));
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
  return records;
}

/** Deletes a namespace with everything in it and waits until it is gone. */
export async function removeNamespace(tools: RemovalTools, name: string): Promise<readonly Written[]> {
  const { client, deadline, onPending } = tools;
  const removed = await remove(client, RESOURCES.namespaces, name);
  await waitFor<true>({
    deadline,
    what: `namespace ${name} to go`,
    hint: `kubectl get namespace ${name} -o yaml says what holds it. Running uninstall again goes on.`,
    intervalMs: 200,
    onPending,
    look: async () => {
      const found = await client.find<Namespace & { readonly status?: NamespaceStatus }>(RESOURCES.namespaces, name);
      return found === undefined ? { done: true } : { pending: `Namespace ${name}: ${holdup(found.status)}` };
    },
  });
  return removed;
}

interface NamespaceStatus {
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
}

function holdup(status: NamespaceStatus | undefined): string {
  const held = status?.conditions?.find((one) => one.status === 'True' && /Remaining|Failure/.test(one.type));
  return held?.message ?? 'being removed';
}

/** Deletes the CRDs without objects and waits until they are gone; the others are in use by somebody and stay. */
export async function removeUnusedDefinitions({
  client,
  deadline,
  onPending,
}: RemovalTools): Promise<{ readonly removed: readonly Written[]; readonly used: readonly Definition[] }> {
  const definitions = await findDefinitions(client);
  const unused = definitions.filter(({ objects }) => objects.length === 0);
  const used = definitions.filter(({ objects }) => objects.length > 0);
  const removed: Written[] = [];
  for (const { name } of unused) removed.push(...(await remove(client, RESOURCES.crds, name)));
  await waitFor<true>({
    deadline,
    what: 'CRDs to go',
    hint: 'kubectl get crd NAME -o yaml says what holds it. Running uninstall again goes on.',
    intervalMs: 200,
    onPending,
    look: async () => {
      const { items } = await client.list<CustomResourceDefinition>(RESOURCES.crds);
      const names = new Set(items.map(({ metadata }) => metadata.name));
      const left = removed.map(({ name }) => name).filter((name) => names.has(name));
      return left.length === 0 ? { done: true } : { pending: `Waiting for CRDs ${left.join(', ')} to go` };
    },
  });
  return { removed, used };
}
