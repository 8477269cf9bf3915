import { asChanged } from '../api/driverchange.ts';
import { parseGateways, supersedes, type ClusterGateways } from '../api/gateways.ts';
import { CLUSTER_ID_LABEL, TUNNEL_PORT } from '../api/names.ts';
import type { Endpoint, EndpointSpec } from '../api/types.ts';
import { parseEndpoint } from '../api/validate.ts';
import type { KubeObject } from '../kube/client.ts';
import { ipFamily } from '../net/cidr.ts';
import type { Peer } from './natdiscovery/discovery.ts';
import { parsePort } from './nodeconfig.ts';
import { CidrIndex, prefixLengths } from './overlap.ts';

/** A gateway of another cluster. */
export interface Remote {
  readonly spec: EndpointSpec;
  /** It is the one of the cluster's Endpoint, not one that only stands by. */
  readonly current: boolean;
  /** Tunnel instance of its peers that holds the cables to it. */
  readonly slot: number;
  /** Its cluster announces its gateways: they speak with ours, standing by or not. */
  readonly announced: boolean;
  readonly peer: Peer;
  readonly udpPort: number;
}

/** A remote Endpoint that gets none, and why. */
interface Problem {
  readonly spec: EndpointSpec;
  readonly message: string;
}

/** The remote Endpoints, judged. */
export interface Remotes {
  /** All gateways of the clusters whose Endpoint is sound, cluster by cluster. */
  readonly accepted: readonly Remote[];
  readonly problems: readonly Problem[];
  /** CIDRs of all remote clusters that encrypted drivers must not let out in clear. */
  readonly guardedCidrs: readonly string[];
}

interface Candidate {
  readonly endpoint: Endpoint;
  readonly spec: EndpointSpec;
  readonly announced: ClusterGateways | undefined;
  readonly createdAt: string;
  readonly name: string;
}

/**
 * Judges the Endpoints of other clusters. Of several Endpoints of one cluster the newest counts; of clusters that
 * overlap the one known longer keeps its CIDRs. Depends on nothing but the arguments, in any order.
 */
export function judgeRemotes(endpoints: readonly KubeObject[], local: EndpointSpec): Remotes {
  const problems: Problem[] = [];
  const candidates: Candidate[] = [];
  for (const object of endpoints) {
    const read = readCandidate(object, local.backend);
    if ('message' in read) {
      if (read.spec.cluster_id !== local.cluster_id) problems.push(read);
    } else if (read.spec.cluster_id !== local.cluster_id) {
      candidates.push(read);
    }
  }
  const newest = newestOfEachCluster(candidates);
  const held = heldLocally(newest, local);
  const guardedCidrs = guarded(newest, held);
  const accepted: Remote[] = [];
  const names = new Map<string, string>();
  for (const { spec, announced } of newest) {
    const message = refusal(spec, local, held) ?? nameClash(spec, names);
    if (message === undefined) {
      accepted.push(...remotesOf(spec, announced));
      names.set(spec.cable_name, spec.cluster_id);
      for (const cidr of spec.subnets) held.add(cidr, `cluster ${spec.cluster_id}`);
    } else problems.push({ spec, message });
  }
  return { accepted, problems, guardedCidrs };
}

function readCandidate(object: KubeObject, backend: string): Candidate | Problem {
  const parsed = parseEndpoint(object);
  if (parsed.problem !== undefined) return { spec: outline(object), message: parsed.problem };
  const { spec, metadata } = parsed.endpoint;
  return {
    endpoint: parsed.endpoint,
    ...asAgreed(spec, parseGateways(parsed.endpoint), backend),
    createdAt: metadata.creationTimestamp ?? '',
    name: metadata.name ?? '',
  };
}

/** A cluster that has agreed to change to this driver is taken as changed: it does so by itself, with what it said of its gateways. */
function asAgreed(
  spec: EndpointSpec,
  announced: ClusterGateways | undefined,
  backend: string,
): Pick<Candidate, 'spec' | 'announced'> {
  const { change } = announced ?? {};
  if (announced === undefined || change?.backend !== backend || !change.agreed) return { spec, announced };
  const gateways = announced.gateways.map((one) => ({ ...one, spec: asChanged(one.spec, backend) }));
  const changed = gateways.find((one) => one.spec.cable_name === spec.cable_name)?.spec;
  return { spec: changed ?? spec, announced: { ...announced, gateways } };
}

/** What can be shown of an Endpoint that does not parse, in the shape the Gateway's schema asks for. */
function outline(object: KubeObject): EndpointSpec {
  const spec = ((object as { spec?: unknown }).spec ?? {}) as Readonly<Record<string, unknown>>;
  const text = (key: string): string => (typeof spec[key] === 'string' ? spec[key] : '');
  const subnets = Array.isArray(spec['subnets']) ? spec['subnets'].filter((item) => typeof item === 'string') : [];
  return {
    cluster_id: text('cluster_id') || (object.metadata.labels?.[CLUSTER_ID_LABEL] ?? 'unknown'),
    cable_name: text('cable_name') || (object.metadata.name ?? 'unknown'),
    hostname: text('hostname'),
    subnets,
    private_ip: text('private_ip'),
    public_ip: text('public_ip'),
    nat_enabled: spec['nat_enabled'] === true,
    backend: text('backend'),
  };
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** RFC 3339 times of an API server sort as text. */
function byAge(a: Candidate, b: Candidate): number {
  return compareTexts(a.createdAt, b.createdAt) || compareTexts(a.name, b.name);
}

/** Oldest cluster first, so that who came first keeps its CIDRs. */
function newestOfEachCluster(candidates: readonly Candidate[]): readonly Candidate[] {
  const newest = new Map<string, Candidate>();
  for (const candidate of candidates.toSorted(byAge)) {
    const known = newest.get(candidate.spec.cluster_id);
    if (known === undefined || supersedes(candidate.endpoint, known.endpoint))
      newest.set(candidate.spec.cluster_id, candidate);
  }
  return [...newest.values()].sort(byAge);
}

/** What no remote cluster may claim. */
function heldLocally(newest: readonly Candidate[], local: EndpointSpec): CidrIndex {
  const address = hostCidr(local.private_ip);
  const all = [...newest.flatMap(({ spec }) => spec.subnets), ...local.subnets, address];
  const held = new CidrIndex(prefixLengths(all));
  for (const cidr of local.subnets) held.add(cidr, 'this cluster');
  held.add(address, 'this gateway');
  return held;
}

function hostCidr(address: string): string {
  return `${address}/${ipFamily(address) === 4 ? 32 : 128}`;
}

function refusal(spec: EndpointSpec, local: EndpointSpec, held: CidrIndex): string | undefined {
  const backend = spec.backend.toLowerCase();
  if (backend !== local.backend)
    return `uses cable driver ${backend}, this cluster uses ${local.backend}; join both with the same --cable-driver`;
  const port = spec.backend_config?.['udp-port'];
  if (port !== undefined && parsePort(port) === undefined) return `its udp-port ${JSON.stringify(port)} is not a port`;
  for (const cidr of spec.subnets) {
    const clash = held.find(cidr);
    if (clash !== undefined) return `its ${cidr} overlaps ${clash.cidr} of ${clash.holder}`;
  }
  return undefined;
}

function nameClash({ cable_name }: EndpointSpec, names: ReadonlyMap<string, string>): string | undefined {
  const other = names.get(cable_name);
  return other === undefined ? undefined : `has the cable name of cluster ${other}`;
}

function remotesOf(spec: EndpointSpec, announced: ClusterGateways | undefined): readonly Remote[] {
  if (announced === undefined) return [remoteOf(spec, { current: true, slot: 0, announced: false })];
  return announced.gateways.map((gateway) =>
    remoteOf(gateway.spec, {
      current: gateway.spec.cable_name === spec.cable_name,
      slot: gateway.slot,
      announced: true,
    }),
  );
}

function remoteOf(spec: EndpointSpec, role: Pick<Remote, 'current' | 'slot' | 'announced'>): Remote {
  const config = spec.backend_config ?? {};
  return {
    spec,
    ...role,
    udpPort: parsePort(config['udp-port'] ?? '') ?? TUNNEL_PORT,
    peer: {
      cableName: spec.cable_name,
      clusterId: spec.cluster_id,
      privateIp: spec.private_ip,
      publicIp: spec.public_ip,
      natEnabled: spec.nat_enabled,
      usingLoadBalancer: config['using-loadbalancer'] === 'true',
      port: parsePort(config['natt-discovery-port'] ?? ''),
    },
  };
}

/** A CIDR that holds local addresses is never guarded: the guard would cut the cluster off from itself. */
function guarded(newest: readonly Candidate[], heldLocally: CidrIndex): readonly string[] {
  const all = new Set(newest.flatMap(({ spec }) => spec.subnets));
  return [...all].filter((cidr) => heldLocally.find(cidr) === undefined).sort();
}
