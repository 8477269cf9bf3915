import { GATEWAY_LABEL, OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Broker, Submariner } from '../../api/types.ts';
import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import { isNotFound } from '../../kube/errors.ts';
import type { CustomResourceDefinition, DaemonSet, Namespace, Node } from '../../kube/objects.ts';
import { RESOURCES, resourceOf } from '../../kube/resources.ts';
import { objectsOfTemplates } from '../../kube/templates.ts';
import { findRecorded } from '../join/localcluster.ts';
import { type BrokerView, readBroker } from '../join/brokerview.ts';

/** One of our CRDs. */
export interface Definition {
  readonly name: string;
  readonly type: ResourceType;
  /** `namespace/name` of its objects. */
  readonly objects: readonly { readonly namespace: string; readonly name: string }[];
}

/** A broker that runs in the cluster. */
export interface HostedBroker {
  readonly namespace: string;
  readonly view: BrokerView;
}

/** An object that does not go with the namespace of the daemons. */
export interface Elsewhere {
  readonly type: ResourceType;
  readonly name: string;
  readonly namespace: string | undefined;
}

/** Everything of ours in a cluster. */
export interface Survey {
  /** uid of kube-system, as claims on brokers carry it. */
  readonly clusterUid: string;
  readonly nodes: readonly Node[];
  readonly submariner: Submariner | undefined;
  /** Whether the namespace of the daemons is there. */
  readonly namespace: boolean;
  readonly daemonSets: readonly DaemonSet[];
  readonly elsewhere: readonly Elsewhere[];
  readonly definitions: readonly Definition[];
  readonly gatewayNodes: readonly string[];
  readonly brokers: readonly HostedBroker[];
}

const GROUP = 'submariner.io';

/** Looks for everything that join and deploy-broker make; changes nothing. */
export async function surveyCluster(client: KubeClient, templatesDir: string): Promise<Survey> {
  const at = { namespace: OPERATOR_NAMESPACE };
  const [system, nodes, submariner, namespace, daemonSets, elsewhere, definitions] = await Promise.all([
    client.get<Namespace>(RESOURCES.namespaces, 'kube-system'),
    client.list<Node>(RESOURCES.nodes),
    findRecorded(client),
    client.find<Namespace>(RESOURCES.namespaces, OPERATOR_NAMESPACE),
    client.list<DaemonSet>(RESOURCES.daemonSets, at),
    findElsewhere(client, templatesDir),
    findDefinitions(client),
  ]);
  return {
    clusterUid: system.metadata.uid ?? '',
    nodes: nodes.items,
    submariner,
    namespace: namespace !== undefined,
    daemonSets: daemonSets.items,
    elsewhere,
    definitions,
    gatewayNodes: nodes.items
      .filter(({ metadata }) => metadata.labels?.[GATEWAY_LABEL] !== undefined)
      .map(({ metadata }) => metadata.name ?? ''),
    brokers: await findBrokers(client, definitions),
  };
}

/** What join applies outside of the namespace of the daemons, as far as it is there. */
async function findElsewhere(client: KubeClient, templatesDir: string): Promise<readonly Elsewhere[]> {
  const wanted = elsewhereObjects(templatesDir);
  const found = await Promise.all(
    wanted.map(({ type, name, namespace }) => client.find(type, name, namespace === undefined ? {} : { namespace })),
  );
  return wanted.filter((_, index) => found[index] !== undefined);
}

/** The same, whether it is there or not; CRDs are another matter, others may use them. */
export function elsewhereObjects(templatesDir: string): readonly Elsewhere[] {
  const applied = ['engine', 'routeagent'].flatMap((folder) => objectsOfTemplates(`${templatesDir}/${folder}`));
  return applied.flatMap(({ apiVersion = '', kind = '', metadata }) => {
    const type = resourceOf(apiVersion, kind);
    if (type === undefined || metadata.namespace === OPERATOR_NAMESPACE || kind === RESOURCES.namespaces.kind)
      return [];
    return [{ type, name: metadata.name ?? '', namespace: type.namespaced ? (metadata.namespace ?? '') : undefined }];
  });
}

/** The CRDs of submariner.io with their objects. */
export async function findDefinitions(client: KubeClient): Promise<readonly Definition[]> {
  const { items } = await client.list<CustomResourceDefinition>(RESOURCES.crds);
  const ours = items.filter(({ spec }) => spec.group === GROUP);
  return Promise.all(
    ours.map(async ({ metadata, spec }) => {
      const type = {
        group: spec.group,
        version: spec.versions.find(({ served }) => served)?.name ?? '',
        plural: spec.names.plural,
        kind: spec.names.kind,
        namespaced: spec.scope === 'Namespaced',
      };
      return { name: metadata.name ?? '', type, objects: await listEverywhere(client, type) };
    }),
  );
}

/** A definition that is not served (any more) has no objects that anybody could list. */
async function listEverywhere(client: KubeClient, type: ResourceType): Promise<Definition['objects']> {
  try {
    const { items } = await client.list<KubeObject>(type);
    return items.map(({ metadata }) => ({ namespace: metadata.namespace ?? '', name: metadata.name ?? '' }));
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}

/** The brokers that run in a cluster with these CRDs. */
export async function findBrokers(
  client: KubeClient,
  definitions: readonly Definition[],
): Promise<readonly HostedBroker[]> {
  const found = definitions.find(({ type }) => type.plural === RESOURCES.brokers.plural)?.objects ?? [];
  const namespaces = [...new Set(found.map(({ namespace }) => namespace))].toSorted();
  const views = await Promise.all(namespaces.map((namespace) => readHosted(client, namespace)));
  return namespaces.map((namespace, index) => ({ namespace, view: views[index] ?? EMPTY }));
}

const EMPTY: BrokerView = { broker: undefined, clusters: [], endpoints: [], members: [], globalnetEnabled: false };

async function readHosted(client: KubeClient, namespace: string): Promise<BrokerView> {
  const view = await readBroker(client, namespace);
  if (view.broker !== undefined) return view;
  const { items } = await client.list<Broker>(RESOURCES.brokers, { namespace });
  return { ...view, broker: items[0] };
}
