import { OPERATOR_NAMESPACE } from '../../api/names.ts';
import type { KubeObject } from '../../kube/client.ts';
import type { Node, Pod, Service } from '../../kube/objects.ts';
import { RESOURCES } from '../../kube/resources.ts';
import { cidrContains } from '../../net/cidr.ts';
import { ExpectedError, UsageError } from '../../runtime/errors.ts';
import type { End } from './model.ts';
import type { PlaceText } from './place.ts';
import type { Source } from './source.ts';

/** One end with the object behind it. */
export interface Resolved {
  readonly end: End;
  readonly source: Source;
  readonly pod?: Pod;
  readonly service?: Service;
}

/** What a cluster announces, as join recorded it. */
export function announced({ submariner }: Source): {
  readonly pods: readonly string[];
  readonly services: readonly string[];
} {
  const { spec, status } = submariner ?? {};
  const list = (text: string | undefined): readonly string[] => (text ?? '').split(',').filter((cidr) => cidr !== '');
  return {
    pods: list(spec?.clusterCIDR || status?.clusterCIDR),
    services: list(spec?.serviceCIDR || status?.serviceCIDR),
  };
}

/** The address of a node inside the pod network; undefined when its route agent does not tell. */
async function podNetworkAddress(source: Source, node: string): Promise<string | undefined> {
  try {
    const { inputs } = await source.state({ node, daemon: 'routeagent' });
    return inputs.host?.cni?.address;
  } catch (error) {
    if (error instanceof ExpectedError) return undefined;
    throw error;
  }
}

function internalAddress({ status }: Node): string {
  return status?.addresses?.find(({ type, address }) => type === 'InternalIP' && !address.includes(':'))?.address ?? '';
}

async function resolvePod(source: Source, { namespace, name, text }: PlaceText): Promise<Resolved | undefined> {
  const pod = await source.client.find<Pod>(RESOURCES.pods, name, { namespace });
  if (pod === undefined) return undefined;
  const node = pod.spec.nodeName;
  const own = pod.spec.hostNetwork === true && node !== undefined ? await podNetworkAddress(source, node) : undefined;
  const address = own ?? pod.status?.podIP ?? '';
  if (address === '') throw new ExpectedError(`${text} has no address yet: it is ${pod.status?.phase ?? 'Pending'}`);
  const end: End = { cluster: source.clusterId, kind: 'pod', name: `pod ${namespace}/${name}`, address, node };
  return { end, source, pod };
}

async function resolveNode(source: Source, { name }: PlaceText): Promise<Resolved | undefined> {
  const node = await source.client.find<Node>(RESOURCES.nodes, name);
  if (node === undefined) return undefined;
  const address = (await podNetworkAddress(source, name)) ?? internalAddress(node);
  return { end: { cluster: source.clusterId, kind: 'node', name: `node ${name}`, address, node: name }, source };
}

async function resolveService(source: Source, { namespace, name, text }: PlaceText): Promise<Resolved | undefined> {
  const service = await source.client.find<Service>(RESOURCES.services, name, { namespace });
  if (service === undefined) return undefined;
  const address = service.spec.clusterIP ?? '';
  if (address === '' || address === 'None' || address.includes(':')) {
    throw new ExpectedError(
      `${text} has no IPv4 address of its own (clusterIP ${address === '' ? 'not set' : address})`,
      {
        hint: 'Give one of its pods instead.',
      },
    );
  }
  const end: End = {
    cluster: source.clusterId,
    kind: 'service',
    name: `service ${namespace}/${name}`,
    address,
    node: undefined,
  };
  return { end, source, service };
}

async function listed<T extends KubeObject>(
  source: Source,
  type: Parameters<Source['client']['list']>[0],
): Promise<readonly T[]> {
  try {
    return (await source.client.list<T>(type)).items;
  } catch (error) {
    // An archive need not have them, and not everybody may list them; then the address has no name.
    if (error instanceof ExpectedError) return [];
    throw error;
  }
}

async function ownerOf(source: Source, address: string): Promise<Resolved | undefined> {
  const pod = (await listed<Pod>(source, RESOURCES.pods)).find(
    ({ status, spec }) => status?.podIP === address && spec.hostNetwork !== true,
  );
  if (pod !== undefined) {
    const name = `pod ${pod.metadata.namespace}/${pod.metadata.name}`;
    const end: End = { cluster: source.clusterId, kind: 'pod', name, address, node: pod.spec.nodeName };
    return { end, source, pod };
  }
  const service = (await listed<Service>(source, RESOURCES.services)).find(({ spec }) => spec.clusterIP === address);
  if (service === undefined) return undefined;
  const name = `service ${service.metadata.namespace}/${service.metadata.name}`;
  return { end: { cluster: source.clusterId, kind: 'service', name, address, node: undefined }, source, service };
}

async function resolveAddress(source: Source, { name: address, cluster }: PlaceText): Promise<Resolved | undefined> {
  const { pods, services } = announced(source);
  const nodes = await listed<Node>(source, RESOURCES.nodes);
  const own = nodes.find((node) => internalAddress(node) === address);
  const isInside = [...pods, ...services].some((cidr) => cidrContains(cidr, address));
  if (!isInside && own === undefined && cluster === undefined) return undefined;
  const owner = await ownerOf(source, address);
  if (owner !== undefined) return owner;
  const home = own ?? nodes.find(({ spec }) => spec?.podCIDRs?.some((cidr) => cidrContains(cidr, address)) === true);
  const end: End = { cluster: source.clusterId, kind: 'address', name: address, address, node: home?.metadata.name };
  return { end, source };
}

const RESOLVERS = {
  pod: resolvePod,
  node: resolveNode,
  service: resolveService,
  address: resolveAddress,
} as const;

function called(sources: readonly Source[], { cluster, text }: PlaceText): readonly Source[] {
  if (cluster === undefined) return sources;
  const found = sources.filter(({ names }) => names.includes(cluster));
  if (found.length > 0) return found.slice(0, 1);
  const known = sources.map(({ clusterId }) => clusterId).join(', ');
  throw new UsageError(`${text}: there is no cluster "${cluster}"; there is ${known === '' ? 'none' : known}`);
}

/** Finds an end among the clusters; rejects with ExpectedError when none has it, with UsageError when several do. */
export async function resolvePlace(sources: readonly Source[], place: PlaceText): Promise<Resolved> {
  const candidates = called(sources, place);
  const found = await Promise.all(candidates.map(async (source) => RESOLVERS[place.kind](source, place)));
  const [first, second] = found.filter((one) => one !== undefined);
  const where = candidates.map(({ clusterId }) => clusterId);
  if (first === undefined) {
    throw new ExpectedError(`${place.text} is not in ${where.join(', ')}`, {
      hint:
        place.kind === 'address'
          ? 'It is in no CIDR that these clusters announce; subctl show networks shows them.'
          : `Namespaces count: without one it is default (this release lives in ${OPERATOR_NAMESPACE}).`,
    });
  }
  if (second === undefined) return first;
  throw new UsageError(`${place.text} is in ${first.end.cluster} and ${second.end.cluster}; say in which`, {
    hint: `For instance ${first.end.cluster}:${place.text}.`,
  });
}
