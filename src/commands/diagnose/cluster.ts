import { BROKER_NAME, BROKER_SECRET, OPERATOR_NAMESPACE, PSK_SECRET } from '../../api/names.ts';
import type { Broker, Endpoint, Gateway, RouteAgent } from '../../api/types.ts';
import type { EngineDaemonState, RouteAgentDaemonState } from '../../api/daemonstate.ts';
import { parseEndpoint } from '../../api/validate.ts';
import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import type { DaemonSet, Namespace, Node, Pod, Secret } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import type { MirroredObject } from '../../kube/mirrorplan.ts';
import type { KubeAccess } from '../access.ts';
import { readDaemonState } from '../daemonstate.ts';
import type { ShownCluster } from '../show/view.ts';

/** What is read of a cluster, each at most once and only when a check asks for it. */
export interface ClusterFacts {
  /** uid of namespace kube-system: what makes a cluster this cluster. */
  readonly uid: () => Promise<string>;
  readonly version: () => Promise<{ readonly gitVersion: string }>;
  readonly nodes: () => Promise<readonly Node[]>;
  /** Of namespace submariner-operator. */
  readonly pods: () => Promise<readonly Pod[]>;
  readonly daemonSets: () => Promise<readonly DaemonSet[]>;
  readonly gateways: () => Promise<readonly Gateway[]>;
  readonly routeAgents: () => Promise<readonly RouteAgent[]>;
  /** Those that can be read, own and remote. */
  readonly endpoints: () => Promise<readonly Endpoint[]>;
  readonly brokerSecret: () => Promise<Secret | undefined>;
  readonly pskSecret: () => Promise<Secret | undefined>;
  /** What the broker shows to this cluster; rejects when it refuses the cluster's credentials, or cannot be reached. */
  readonly broker: () => Promise<BrokerFacts>;
  /** What the daemon of a node says of itself; rejects when it does not answer. */
  readonly engine: (node: string) => Promise<EngineDaemonState>;
  readonly routeAgent: (node: string) => Promise<RouteAgentDaemonState>;
}

/** The objects of a broker, and where it is. */
export interface BrokerFacts {
  readonly server: string;
  readonly namespace: string;
  readonly broker: Broker | undefined;
  readonly clusters: readonly MirroredObject[];
  readonly endpoints: readonly MirroredObject[];
}

/** A cluster that is examined. */
export interface DiagnosedCluster extends ShownCluster {
  readonly facts: ClusterFacts;
}

/** The same promise for every call. */
function once<T>(read: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => (result ??= read());
}

function onceEach<T>(read: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const results = new Map<string, Promise<T>>();
  return (key) => {
    const result = results.get(key) ?? read(key);
    results.set(key, result);
    return result;
  };
}

function readable(object: KubeObject): readonly Endpoint[] {
  const parsed = parseEndpoint(object);
  return parsed.problem === undefined ? [parsed.endpoint] : [];
}

/** Adds the facts to a cluster; `access` reaches its broker. */
export function diagnosed(cluster: ShownCluster, access: Pick<KubeAccess, 'broker'>): DiagnosedCluster {
  const facts = createFacts(cluster.client);
  const broker = once(async () => readBroker(cluster, access, await facts.brokerSecret()));
  return { ...cluster, facts: { ...facts, broker } };
}

function decoded(secret: Secret | undefined, key: string): string {
  return Buffer.from(secret?.data?.[key] ?? '', 'base64').toString('utf8');
}

/** Reads the broker with the credentials that the gateways have. */
async function readBroker(
  { submariner, clusterId }: ShownCluster,
  access: Pick<KubeAccess, 'broker'>,
  secret: Secret | undefined,
): Promise<BrokerFacts> {
  const {
    brokerK8sApiServer = '',
    brokerK8sRemoteNamespace: namespace = '',
    brokerK8sInsecure,
  } = submariner?.spec ?? {};
  const ca = decoded(secret, 'ca.crt');
  const client = await access.broker({
    server: `https://${brokerK8sApiServer}`,
    token: decoded(secret, 'token'),
    ca: ca === '' ? undefined : ca,
    namespace,
    insecure: brokerK8sInsecure === true,
    source: `broker, as ${clusterId}`,
  });
  try {
    const [broker, clusters, endpoints] = await Promise.all([
      client.find<Broker>(RESOURCES.brokers, BROKER_NAME, { namespace }),
      client.list<MirroredObject>(RESOURCES.clusters, { namespace }),
      client.list<MirroredObject>(RESOURCES.endpoints, { namespace }),
    ]);
    return { server: client.server, namespace, broker, clusters: clusters.items, endpoints: endpoints.items };
  } finally {
    client.close();
  }
}

function createFacts(client: KubeClient): Omit<ClusterFacts, 'broker'> {
  const namespace = OPERATOR_NAMESPACE;
  const here =
    <T extends KubeObject>(type: ResourceType) =>
    async (): Promise<readonly T[]> =>
      (await client.list<T>(type, { namespace })).items;
  return {
    uid: once(async () => (await client.get<Namespace>(RESOURCES.namespaces, 'kube-system')).metadata.uid ?? ''),
    version: once(async () => client.request('GET', '/version')),
    nodes: once(async () => (await client.list<Node>(RESOURCES.nodes)).items),
    pods: once(here<Pod>(RESOURCES.pods)),
    daemonSets: once(here<DaemonSet>(RESOURCES.daemonSets)),
    gateways: once(here<Gateway>(RESOURCES.gateways)),
    routeAgents: once(here<RouteAgent>(RESOURCES.routeAgents)),
    endpoints: once(async () => (await here<KubeObject>(RESOURCES.endpoints)()).flatMap(readable)),
    brokerSecret: once(async () => client.find<Secret>(RESOURCES.secrets, BROKER_SECRET, { namespace })),
    pskSecret: once(async () => client.find<Secret>(RESOURCES.secrets, PSK_SECRET, { namespace })),
    engine: onceEach(async (node) => readDaemonState({ client }, { node, daemon: 'engine' })),
    routeAgent: onceEach(async (node) => readDaemonState({ client }, { node, daemon: 'routeagent' })),
  };
}

/** Whether a node can run pods now. */
export function isReadyNode({ status }: Node): boolean {
  return status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
}

/** The running pods of a component, by node. */
export function podsByNode(pods: readonly Pod[], component: string): ReadonlyMap<string, Pod> {
  const running = pods.filter(
    ({ metadata, status }) =>
      metadata.labels?.['app'] === component && status?.phase === 'Running' && metadata.deletionTimestamp === undefined,
  );
  return new Map(running.map((pod) => [pod.spec.nodeName ?? '', pod]));
}
