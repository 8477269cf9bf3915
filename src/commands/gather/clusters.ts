import { BROKER_NAMESPACE, BROKER_SECRET, OPERATOR_NAMESPACE, PSK_SECRET, SUBMARINER_NAME } from '../../api/names.ts';
import type { Submariner } from '../../api/types.ts';
import type { KubeObject } from '../../kube/client.ts';
import { KubeApiError } from '../../kube/errors.ts';
import type { Node, Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { ExpectedError, messageOf, UsageError } from '../../runtime/errors.ts';
import type { ClusterAccess } from '../access.ts';
import type { CommandRun } from '../context.ts';
import type { Problem } from '../show/loop.ts';
import { unlessAborted } from './unlessaborted.ts';

/** A cluster that is going to be gathered from. */
export interface GatherTarget {
  readonly cluster: ClusterAccess;
  readonly submariner: Submariner | undefined;
  readonly brokerNamespaces: readonly string[];
  readonly secrets: readonly Secret[];
  /** What could not be found out about it. */
  readonly failures: readonly string[];
}

/** Runs a question; one that the API server refuses is a failure, one that it never gets is thrown. */
async function ask<T, F>(what: string, failures: string[], fallback: F, question: () => Promise<T>): Promise<T | F> {
  try {
    return await question();
  } catch (error) {
    if (!(error instanceof KubeApiError)) throw error;
    if (error.code !== 404) failures.push(`${what}: ${error.message}`);
    return fallback;
  }
}

async function secretsIn({ client }: ClusterAccess, namespace: string, failures: string[]): Promise<readonly Secret[]> {
  const listed = await ask(`Secrets in ${namespace}`, failures, undefined, async () =>
    client.list<Secret>(RESOURCES.secrets, { namespace }),
  );
  if (listed !== undefined) return listed.items;
  const named = [BROKER_SECRET, PSK_SECRET].map(async (name) =>
    ask(`Secret ${name}`, [], undefined, async () => client.find<Secret>(RESOURCES.secrets, name, { namespace })),
  );
  return (await Promise.all(named)).filter((secret) => secret !== undefined);
}

async function brokerNamespaces({ client }: ClusterAccess, failures: string[]): Promise<readonly string[]> {
  const brokers = await ask('Brokers', failures, undefined, async () => client.list<KubeObject>(RESOURCES.brokers));
  if (brokers === undefined) return [BROKER_NAMESPACE];
  return [...new Set(brokers.items.map(({ metadata }) => metadata.namespace ?? BROKER_NAMESPACE))];
}

/** What has to be known of a cluster before anything of it is written. Rejects when it cannot be reached. */
async function prepare(cluster: ClusterAccess): Promise<GatherTarget> {
  const failures: string[] = [];
  const [submariner, namespaces] = await Promise.all([
    ask('Submariner', failures, undefined, async () =>
      cluster.client.find<Submariner>(RESOURCES.submariners, SUBMARINER_NAME, { namespace: OPERATOR_NAMESPACE }),
    ),
    brokerNamespaces(cluster, failures),
  ]);
  const own = [...new Set([OPERATOR_NAMESPACE, ...namespaces])];
  const secrets = await Promise.all(own.map(async (namespace) => secretsIn(cluster, namespace, failures)));
  return { cluster, submariner, brokerNamespaces: namespaces, secrets: secrets.flat(), failures };
}

/** Connects to the clusters of these contexts, all at the same time; those that do not answer in time are problems. */
export async function prepareTargets(
  run: CommandRun,
  contexts: readonly string[],
  timeUp: AbortSignal,
): Promise<{ readonly targets: readonly GatherTarget[]; readonly problems: readonly Problem[] }> {
  const access = await run.access();
  const outcomes = await Promise.all(
    contexts.map(async (context): Promise<GatherTarget | Problem> => {
      let name = context;
      try {
        const current = run.flags.connection.server !== undefined;
        const cluster = current ? await access.current() : await access.connect(context);
        name = cluster.cluster;
        return await unlessAborted(prepare(cluster), timeUp, 'time was up before it had answered');
      } catch (error) {
        if (!(error instanceof ExpectedError)) throw error;
        return { cluster: name, context, message: messageOf(error) };
      }
    }),
  );
  return {
    targets: outcomes.filter((outcome) => 'secrets' in outcome),
    problems: outcomes.filter((outcome) => 'message' in outcome),
  };
}

/** Rejects with UsageError when no cluster has one of these nodes; where nodes cannot be listed, nothing is refused. */
export async function refuseUnknownNodes(
  targets: readonly GatherTarget[],
  wanted: readonly string[],
  timeUp: AbortSignal,
): Promise<void> {
  const lists = targets.map(async ({ cluster }) => cluster.client.list<Node>(RESOURCES.nodes, { signal: timeUp }));
  const outcomes = await Promise.allSettled(lists);
  const names: string[] = [];
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') return;
    names.push(...outcome.value.items.map(({ metadata }) => metadata.name ?? ''));
  }
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length === 0) return;
  throw new UsageError(`no cluster has a node ${unknown.join(', ')}; they have ${names.toSorted().join(', ')}`);
}

/** Keys of Secrets whose values everybody may know. */
const PUBLIC_KEYS: ReadonlySet<string> = new Set(['ca.crt', 'service-ca.crt', 'namespace']);

/** The values that must not get into an archive. */
export function secretValues(targets: readonly GatherTarget[]): readonly Buffer[] {
  return targets
    .flatMap(({ secrets }) => secrets.flatMap(({ data = {} }) => Object.entries(data)))
    .filter(([key]) => !PUBLIC_KEYS.has(key))
    .map(([, value]) => Buffer.from(value, 'base64'));
}
