import { supersedes } from '../api/gateways.ts';
import { GATEWAY_LABEL } from '../api/names.ts';
import type { Endpoint } from '../api/types.ts';
import { parseEndpoint } from '../api/validate.ts';
import type { Node } from '../kube/objects.ts';
import { createClaims, type Claims } from '../net/claims.ts';
import { ipFamily, isIpAddress, minimalCidrs } from '../net/cidr.ts';
import type { GatewayRole, HostFacts, Inputs, RemoteEndpoint } from './model.ts';

/** Node annotation with a fixed MSS, as upstream has it. */
const MSS_ANNOTATION = 'submariner.io/tcp-clamp-mss';
/** IPv4 asks for hosts to take segments of this size (RFC 879); more than a jumbo frame is a mistake. */
const MSS_RANGE = { min: 536, max: 8960 } as const;

/** What the stores hold, unparsed. */
export interface ClusterView {
  readonly clusterId: string;
  readonly nodeName: string;
  readonly podCidrs: readonly string[];
  readonly serviceCidrs: readonly string[];
  readonly endpoints: readonly unknown[];
  readonly nodes: readonly Node[];
}

function isIpv4(text: string): boolean {
  return isIpAddress(text) && ipFamily(text) === 4;
}

/** The IPv4 address of a node on the network of the nodes (InternalIP); undefined when it has none. */
export function nodeAddress(node: Node | undefined): string | undefined {
  const addresses = node?.status?.addresses ?? [];
  return addresses.find(({ type, address }) => type === 'InternalIP' && isIpv4(address))?.address;
}

function isNewer(a: Endpoint, b: Endpoint): boolean {
  const stamp = (endpoint: Endpoint): string => endpoint.metadata.creationTimestamp ?? '';
  if (stamp(a) !== stamp(b)) return stamp(a) > stamp(b);
  return (a.metadata.name ?? '') > (b.metadata.name ?? '');
}

interface ParsedEndpoints {
  /** Newest of each cluster, in the order of cluster IDs; an Endpoint left behind by a former gateway is ignored. */
  readonly newest: ReadonlyMap<string, Endpoint>;
  readonly problems: readonly string[];
}

function parseEndpoints(objects: readonly unknown[]): ParsedEndpoints {
  const newest = new Map<string, Endpoint>();
  const problems: string[] = [];
  for (const object of objects) {
    const parsed = parseEndpoint(object);
    if (parsed.problem !== undefined) {
      problems.push(parsed.problem);
      continue;
    }
    const { endpoint } = parsed;
    const known = newest.get(endpoint.spec.cluster_id);
    if (known === undefined || supersedes(endpoint, known)) newest.set(endpoint.spec.cluster_id, endpoint);
  }
  return { newest: new Map([...newest].toSorted(([a], [b]) => (a < b ? -1 : 1))), problems };
}

function findNode(nodes: readonly Node[], hostname: string): Node | undefined {
  return (
    nodes.find((node) => node.metadata.name === hostname) ??
    nodes.find((node) => node.metadata.labels?.['kubernetes.io/hostname'] === hostname)
  );
}

function gatewayRole(view: ClusterView, own: Endpoint | undefined, ownAddress: string): GatewayRole {
  if (own === undefined) return { role: 'no gateway known' };
  const { hostname, private_ip: privateIp } = own.spec;
  const node = findNode(view.nodes, hostname);
  if (node?.metadata.name === view.nodeName || privateIp === ownAddress) return { role: 'gateway' };
  const address = nodeAddress(node) ?? privateIp;
  return isIpv4(address) ? { role: 'worker', address } : { role: 'no gateway known' };
}

/**
 * Accepts the remote clusters one after the other, older Endpoints first: one whose CIDRs clash with ours or with those
 * of an accepted one is refused with the reason.
 */
function selectRemotes(
  endpoints: readonly Endpoint[],
  local: { readonly clusterId: string; readonly cidrs: readonly string[] },
): readonly RemoteEndpoint[] {
  const claims = createClaims();
  claims.add(local.clusterId, local.cidrs);
  const judged = new Map<Endpoint, RemoteEndpoint>();
  for (const endpoint of endpoints.toSorted((a, b) => (isNewer(a, b) ? 1 : -1))) {
    const { spec } = endpoint;
    const cidrs = minimalCidrs(spec.subnets.filter((cidr) => ipFamily(cidr) === 4));
    const refusal = refusalOf(spec.cluster_id, cidrs, claims);
    if (refusal === undefined) claims.add(spec.cluster_id, cidrs);
    judged.set(endpoint, { spec, cidrs: refusal === undefined ? cidrs : [], refusal });
  }
  return endpoints.flatMap((endpoint) => judged.get(endpoint) ?? []);
}

function refusalOf(clusterId: string, cidrs: readonly string[], claims: Claims): string | undefined {
  if (cidrs.length === 0) return `cluster ${clusterId} has no IPv4 CIDR; only IPv4 is carried`;
  const clashes = claims
    .conflicts(clusterId, cidrs)
    .map((clash) => `${clash.cidr} overlaps ${clash.with.cidr} of ${clash.with.owner}`);
  return clashes.length === 0 ? undefined : `CIDRs of cluster ${clusterId} clash: ${clashes.join(', ')}`;
}

function mssOf(node: Node | undefined): { readonly bytes?: number; readonly problem?: string } {
  const text = node?.metadata.annotations?.[MSS_ANNOTATION];
  if (text === undefined) return {};
  const bytes = Number(text);
  if (Number.isInteger(bytes) && bytes >= MSS_RANGE.min && bytes <= MSS_RANGE.max) return { bytes };
  return {
    problem: `annotation ${MSS_ANNOTATION}=${JSON.stringify(text)} is not a size from ${MSS_RANGE.min} to ${MSS_RANGE.max}`,
  };
}

/** The inputs, and what in them has to be told to the operator. */
export interface Gathered {
  readonly inputs: Inputs;
  readonly remotes: readonly RemoteEndpoint[];
  readonly problems: readonly string[];
}

/** Makes the inputs of what the API server and the machine say. Pure: the same view gives the same inputs. */
export function gatherInputs(view: ClusterView, host: HostFacts): Gathered {
  const localCidrs = minimalCidrs([...view.podCidrs, ...view.serviceCidrs].filter((cidr) => ipFamily(cidr) === 4));
  const { newest, problems } = parseEndpoints(view.endpoints);
  const others = [...newest.values()].filter((endpoint) => endpoint.spec.cluster_id !== view.clusterId);
  const remotes = selectRemotes(others, { clusterId: view.clusterId, cidrs: localCidrs });
  const ownNode = view.nodes.find((node) => node.metadata.name === view.nodeName);
  const mss = mssOf(ownNode);
  const nodeAddresses = view.nodes.map(nodeAddress).filter((address) => address !== undefined);
  const inputs: Inputs = {
    host,
    gateway: gatewayRole(view, newest.get(view.clusterId), host.underlay.address),
    localCidrs,
    remoteCidrs: minimalCidrs(remotes.flatMap(({ cidrs }) => cidrs)),
    mayBeGateway: ownNode?.metadata.labels?.[GATEWAY_LABEL] === 'true',
    nodeAddresses: [...new Set([...nodeAddresses, host.underlay.address])].toSorted(),
    mssBytes: mss.bytes,
  };
  const noCni = `no link has an address inside ${view.podCidrs.join(', ')}: the node's own packets to other clusters get no answer`;
  return {
    inputs,
    remotes,
    problems: [
      ...problems,
      ...(mss.problem === undefined ? [] : [mss.problem]),
      ...(host.cni === undefined ? [noCni] : []),
    ],
  };
}
