import { OPERATOR_NAMESPACE } from '../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { isNotFound } from '../kube/errors.ts';
import type { Node, Pod } from '../kube/objects.ts';
import { RESOURCES, resourcePath } from '../kube/resources.ts';
import { renderTemplates } from '../kube/templates.ts';
import { podTrouble } from './join/ready.ts';
import type { Deadline } from './waiting.ts';

/** The images that hold the daemons, and with them what cleans up after each. */
export interface CleaningImages {
  readonly gateway: string;
  readonly routeAgent: string;
  readonly pullPolicy: string;
}

/** What became of one node. */
export interface CleanedNode {
  readonly node: string;
  readonly outcome: 'cleaned' | 'unreachable' | 'failed';
  /** Why it is not clean; empty when it is. */
  readonly reason: string;
}

export interface CleaningTools {
  readonly client: KubeClient;
  readonly templatesDir: string;
  readonly images: CleaningImages;
  readonly deadline: Deadline;
  readonly onPending: (text: string) => void;
}

/** Whose objects go: the gateway engine's, the route agent's. */
export type CleanedPart = 'gateway' | 'routeagent';

const LABEL = 'app=submariner-cleanup';
const LOOK_MS = 300;

/**
 * Removes what the daemons made on nodes: a pod on each runs their clean-up, is waited for and deleted. The daemons have
 * to be gone. Nodes that are not ready, or turn so while being waited for, are given up; never rejects because of a node.
 */
export async function cleanNodes(
  tools: CleaningTools,
  nodes: readonly Node[],
  parts: readonly CleanedPart[],
): Promise<readonly CleanedNode[]> {
  const { client } = tools;
  await removeCleaners(client);
  const away = nodes.filter((node) => !isReady(node));
  const reachable = nodes.filter(isReady);
  try {
    for (const node of reachable) {
      await client.create(RESOURCES.pods, cleaner(tools, nameOf(node), parts), { namespace: OPERATOR_NAMESPACE });
    }
    const cleaned = await untilSettled(tools, reachable.map(nameOf));
    return [...away.map((node) => unreachable(nameOf(node))), ...cleaned].toSorted((a, b) =>
      a.node.localeCompare(b.node),
    );
  } finally {
    await removeCleaners(client);
  }
}

/** Whether the node's kubelet reports that pods can run there. */
export function isReady(node: Node): boolean {
  return node.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
}

function nameOf(node: Node): string {
  return node.metadata.name ?? '';
}

function unreachable(node: string): CleanedNode {
  return { node, outcome: 'unreachable', reason: 'the node is not ready' };
}

function cleaner({ templatesDir, images }: CleaningTools, nodeName: string, parts: readonly CleanedPart[]): Pod {
  const [template] = renderTemplates(`${templatesDir}/cleanup`, {
    podName: 'submariner-cleanup',
    nodeName,
    gatewayImage: images.gateway,
    routeAgentImage: images.routeAgent,
    imagePullPolicy: images.pullPolicy,
  });
  // The template is ours: a pod with a container for each part.
  const pod = template as Pod;
  const { name: _fixed, ...metadata } = pod.metadata;
  const containers = pod.spec.containers.filter(({ name }) => parts.some((part) => part === name));
  return { ...pod, metadata: { ...metadata, generateName: 'submariner-cleanup-' }, spec: { ...pod.spec, containers } };
}

async function untilSettled(tools: CleaningTools, names: readonly string[]): Promise<readonly CleanedNode[]> {
  const { client, deadline, onPending } = tools;
  for (;;) {
    const [pods, nodes] = await Promise.all([cleaners(client), client.list<Node>(RESOURCES.nodes)]);
    const lost = new Set(nodes.items.filter((node) => !isReady(node)).map(nameOf));
    const over = deadline.remainingMs() <= 0;
    const seen = names.map((name) => ({
      name,
      found: outcomeOf(
        name,
        pods.find(({ spec }) => spec.nodeName === name),
        lost.has(name),
        over,
      ),
    }));
    const open = seen.filter(({ found }) => found === undefined).map(({ name }) => name);
    if (open.length === 0) return withLastWords(client, pods, seen);
    onPending(`Cleaning ${open.join(', ')}`);
    await deadline.clock.sleep(LOOK_MS);
  }
}

/** Undefined while it is being cleaned. A container that failed is started again, so that only the end of the time is final. */
function outcomeOf(node: string, pod: Pod | undefined, lost: boolean, over: boolean): CleanedNode | undefined {
  if (pod?.status?.phase === 'Succeeded') return { node, outcome: 'cleaned', reason: '' };
  if (lost) return unreachable(node);
  return over ? unfinished(node, pod) : undefined;
}

function unfinished(node: string, pod: Pod | undefined): CleanedNode {
  if (pod === undefined) return { node, outcome: 'failed', reason: 'the pod that cleans it was deleted' };
  const { containerStatuses = [] } = pod.status ?? {};
  const reason = podTrouble(pod) ?? 'it did not finish in time';
  return { node, outcome: containerStatuses.length > 0 ? 'failed' : 'unreachable', reason };
}

/** The last line that a failed clean-up printed says more than its exit code. */
async function withLastWords(
  client: KubeClient,
  pods: readonly Pod[],
  seen: readonly { readonly found: CleanedNode | undefined }[],
): Promise<readonly CleanedNode[]> {
  const results = seen.flatMap(({ found }) => found ?? []);
  return Promise.all(
    results.map(async (result) => {
      const pod = pods.find(({ spec }) => spec.nodeName === result.node);
      if (result.outcome !== 'failed' || pod === undefined) return result;
      const words = await lastWords(client, pod);
      return words === '' ? result : { ...result, reason: `${result.reason}: ${words}` };
    }),
  );
}

async function lastWords(client: KubeClient, { metadata, status }: Pod): Promise<string> {
  const container = status?.containerStatuses?.find(({ state }) => state?.terminated?.exitCode !== 0)?.name;
  if (container === undefined) return '';
  try {
    const log = await client.logs(OPERATOR_NAMESPACE, metadata.name ?? '', { container, tailLines: 1 });
    return log.trim();
  } catch {
    return '';
  }
}

async function cleaners(client: KubeClient): Promise<readonly Pod[]> {
  const at = { namespace: OPERATOR_NAMESPACE, labelSelector: LABEL };
  return (await client.list<Pod>(RESOURCES.pods, at)).items;
}

/** At once, so that a pod of a node that is away is in nobody's way. */
async function removeCleaners(client: KubeClient): Promise<void> {
  for (const { metadata } of await cleaners(client)) await deleteNow(client, metadata.name ?? '');
}

/** Deletes a pod without waiting for its node to confirm that it ended. */
export async function deleteNow(client: KubeClient, name: string): Promise<void> {
  const path = resourcePath(RESOURCES.pods, { namespace: OPERATOR_NAMESPACE, name });
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 };
  try {
    await client.request('DELETE', path, body);
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
