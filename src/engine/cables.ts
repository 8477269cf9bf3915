import { CLUSTER_ID_LABEL, TUNNEL_PORT } from '../api/names.ts';
import type { EndpointSpec } from '../api/types.ts';
import { parseEndpoint } from '../api/validate.ts';
import type { KubeObject } from '../kube/client.ts';
import { ipFamily } from '../net/cidr.ts';
import type { Cable, DesiredCables } from './drivers/driver.ts';
import type { Decision, Peer } from './natdiscovery/discovery.ts';
import { parsePort } from './nodeconfig.ts';
import { CidrIndex, prefixLengths } from './overlap.ts';

/** A remote Endpoint that gets a cable. */
export interface Remote {
  readonly spec: EndpointSpec;
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
  readonly accepted: readonly Remote[];
  readonly problems: readonly Problem[];
  /** CIDRs of all remote clusters that encrypted drivers must not let out in clear. */
  readonly guardedCidrs: readonly string[];
}

interface Candidate {
  readonly spec: EndpointSpec;
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
    const read = readCandidate(object);
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
  for (const { spec } of newest) {
    const message = refusal(spec, local, held) ?? nameClash(spec, names);
    if (message === undefined) {
      accepted.push(remoteOf(spec));
      names.set(spec.cable_name, spec.cluster_id);
      for (const cidr of spec.subnets) held.add(cidr, `cluster ${spec.cluster_id}`);
    } else problems.push({ spec, message });
  }
  return { accepted, problems, guardedCidrs };
}

function readCandidate(object: KubeObject): Candidate | Problem {
  const parsed = parseEndpoint(object);
  if (parsed.problem !== undefined) return { spec: outline(object), message: parsed.problem };
  const { spec, metadata } = parsed.endpoint;
  return { spec, createdAt: metadata.creationTimestamp ?? '', name: metadata.name ?? '' };
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

/** RFC 3339 times of an API server sort as text. Oldest cluster first, so that who came first keeps its CIDRs. */
function newestOfEachCluster(candidates: readonly Candidate[]): readonly Candidate[] {
  const order = (a: Candidate, b: Candidate): number =>
    compareTexts(a.createdAt, b.createdAt) || compareTexts(a.name, b.name);
  const newest = new Map<string, Candidate>();
  for (const candidate of candidates.toSorted(order)) newest.set(candidate.spec.cluster_id, candidate);
  return [...newest.values()].sort(order);
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

function remoteOf(spec: EndpointSpec): Remote {
  const config = spec.backend_config ?? {};
  return {
    spec,
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

/** What the driver of the active gateway has to make true, given how each remote gateway is reached. */
export function desiredCables(
  remotes: Remotes,
  local: EndpointSpec,
  context: {
    readonly decision: (cableName: string) => Decision | undefined;
    readonly udpPort: number;
    readonly cniAddress: string | undefined;
  },
): DesiredCables {
  const cables = remotes.accepted.flatMap((remote): readonly Cable[] => {
    const decision = context.decision(remote.spec.cable_name);
    if (decision === undefined || decision.usingIp === '') return [];
    return [
      {
        name: remote.spec.cable_name,
        remoteClusterId: remote.spec.cluster_id,
        localClusterId: local.cluster_id,
        localPrivateIp: local.private_ip,
        remotePrivateIp: remote.spec.private_ip,
        usingIp: decision.usingIp,
        usingNat: decision.usingNat,
        localUdpPort: context.udpPort,
        remoteUdpPort: remote.udpPort,
        localSubnets: local.subnets,
        remoteSubnets: remote.spec.subnets,
        localConfig: local.backend_config ?? {},
        remoteConfig: remote.spec.backend_config ?? {},
        slot: 0,
        carries: true,
        probeIp: remote.spec.healthCheckIP,
      },
    ];
  });
  return { cables, guardedCidrs: remotes.guardedCidrs, cniAddress: context.cniAddress, lookup: 'all' };
}
