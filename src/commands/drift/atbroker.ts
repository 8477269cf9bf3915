import { BROKER_NAME, OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { Broker, Cluster, Endpoint } from '../../api/types.ts';
import type { KubeClient, KubeObject, ResourceType } from '../../kube/client.ts';
import type { ServiceAccount } from '../../kube/objects.ts';
import { RESOURCES, resourceOf } from '../../kube/resources.ts';
import { claimObject } from '../join/claim.ts';
import type { JoinSettings } from '../join/configuration.ts';
import { memberManifests } from '../join/member.ts';
import { PSK_FINGERPRINT_ANNOTATION, pskFingerprint } from '../pskfingerprint.ts';
import { type ObjectDrift, withoutSecrets } from './comparison.ts';
import { fieldChanges } from './difference.ts';

/** A member cluster, and how its broker is reached. */
export interface MemberAtBroker {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Whether the credentials are the broker's own; else a member's, which may not read accounts and roles. */
  readonly asBroker: boolean;
  /** The member's own API server. */
  readonly local: KubeClient;
  readonly settings: JoinSettings;
  readonly clusterUid: string;
  /** Empty: not known. */
  readonly psk: Buffer;
}

/** Compares what a broker has of a cluster with what its join and its gateways put there. */
export async function compareAtBroker(member: MemberAtBroker): Promise<readonly ObjectDrift[]> {
  const [broker, announced, accounts] = await Promise.all([
    compareBroker(member),
    compareAnnounced(member),
    member.asBroker ? compareAccount(member) : [],
  ]);
  return [...broker, ...announced, ...accounts];
}

/** A broker that does not record the fingerprint is not ours, and none is wanted of it. */
async function compareBroker({ client, namespace, psk }: MemberAtBroker): Promise<readonly ObjectDrift[]> {
  const live = await client.find<Broker>(RESOURCES.brokers, BROKER_NAME, { namespace });
  const recorded = live?.metadata.annotations?.[PSK_FINGERPRINT_ANNOTATION];
  const annotations = recorded === undefined || psk.length === 0 ? {} : fingerprint(psk);
  const wanted: KubeObject = { kind: 'Broker', metadata: { name: BROKER_NAME, namespace, annotations } };
  return [compare(live, wanted)];
}

function fingerprint(psk: Buffer): Readonly<Record<string, string>> {
  return { [PSK_FINGERPRINT_ANNOTATION]: pskFingerprint(psk) };
}

async function compareAnnounced({
  client,
  local,
  namespace,
  settings,
}: MemberAtBroker): Promise<readonly ObjectDrift[]> {
  const { clusterId } = settings;
  const [clusters, own, there, here] = await Promise.all([
    // A member may list them, and get none.
    client.list<Cluster & KubeObject>(RESOURCES.clusters, { namespace }),
    local.find<Cluster>(RESOURCES.clusters, clusterId, { namespace: OPERATOR_NAMESPACE }),
    endpointsOf(client, namespace, clusterId),
    endpointsOf(local, OPERATOR_NAMESPACE, clusterId),
  ]);
  const cluster = clusters.items.find(({ metadata }) => metadata.name === clusterId);
  const announced = own === undefined && cluster === undefined ? [] : [compare(cluster, clusterObject(settings))];
  // On the broker an Endpoint has another name than in its cluster, but the same cable.
  const pairs = here.map((own) => [own, there.find(({ spec }) => spec.cable_name === own.spec.cable_name)] as const);
  const endpoints = pairs.map(([{ metadata, spec }, live]) => {
    const name = live?.metadata.name ?? metadata.name ?? '';
    return compare(live, { kind: 'Endpoint', metadata: { name, namespace }, spec } as KubeObject);
  });
  const extra = there.filter((one) => pairs.every(([, live]) => live !== one));
  return [...announced, ...endpoints, ...extra.map((one) => ({ ...compare(one, one), state: 'extra' as const }))];

  function clusterObject({ networks }: JoinSettings): KubeObject {
    const spec = { cluster_id: clusterId, cluster_cidr: networks.podCidrs, service_cidr: networks.serviceCidrs };
    return { kind: 'Cluster', metadata: { name: clusterId, namespace }, spec } as KubeObject;
  }
}

async function endpointsOf(client: KubeClient, namespace: string, clusterId: string): Promise<readonly Endpoint[]> {
  const { items } = await client.list<Endpoint>(RESOURCES.endpoints, { namespace });
  return items.filter(({ spec }) => spec.cluster_id === clusterId);
}

async function compareAccount({
  client,
  namespace,
  settings,
  clusterUid,
}: MemberAtBroker): Promise<readonly ObjectDrift[]> {
  const { clusterId, networks } = settings;
  const claim = claimObject({ clusterId, clusterUid, joinedBefore: true }, networks);
  const account = { ...claim, metadata: { ...claim.metadata, namespace } };
  // As join does it: its Endpoints that are there stay its own, whatever their names.
  const former = (await endpointsOf(client, namespace, clusterId)).map(({ metadata }) => metadata.name ?? '');
  const wanted = [account, ...memberManifests({ namespace, clusterId }, former)];
  return Promise.all(wanted.map(async (object) => compare(await findLive(client, object), object)));
}

async function findLive(client: KubeClient, object: KubeObject): Promise<KubeObject | undefined> {
  const { name = '', namespace = '' } = object.metadata;
  const type: ResourceType | undefined = resourceOf(object.apiVersion ?? '', object.kind ?? '');
  if (type === undefined) throw new Error(`unknown kind ${object.kind}`);
  return client.find<ServiceAccount>(type, name, { namespace });
}

/** These objects are not applied, so nobody but us can say which of their fields count: those that are wanted. */
function compare(live: KubeObject | undefined, wanted: KubeObject): ObjectDrift {
  const { name = '', namespace } = wanted.metadata;
  const described = {
    kind: wanted.kind ?? '',
    name,
    namespace: namespace ?? null,
    on: 'broker',
    changedBy: [],
  } as const;
  if (live === undefined) return { ...described, state: 'missing', changes: [] };
  const { apiVersion: _version, kind: _kind, ...content } = wanted as KubeObject & Fields;
  const changes = fieldChanges(live, laidOver(live, content)).map(withoutSecrets);
  return { ...described, state: changes.length === 0 ? 'same' : 'changed', changes };
}

type Fields = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function laidOver(live: unknown, wanted: unknown): unknown {
  if (!isObject(live) || !isObject(wanted)) return wanted;
  const merged = Object.entries(wanted).map(([key, value]) => [key, laidOver(live[key], value)] as const);
  return { ...live, ...Object.fromEntries(merged) };
}
