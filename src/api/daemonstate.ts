import type { Availability } from './availability.ts';
import type { NodeNetwork } from '../net/nodenetwork.ts';
import type { NetworkState } from '../net/state.ts';
import type { EndpointSpec, HaStatus, LatencyRtt } from './types.ts';

export type { NodeLink, NodeNetwork } from '../net/nodenetwork.ts';

/**
 * What the daemons answer at /debug/state, as JSON: what they know, what they want, what the node has. Absent values are
 * null. No secret is ever in it: no key, no token, no certificate.
 */
export type DaemonState = EngineDaemonState | RouteAgentDaemonState;

export type DaemonName = DaemonState['daemon'];

interface DaemonStateBase {
  readonly node: string;
  /** Cluster ID. */
  readonly cluster: string;
  readonly version: string;
  /** When this was looked at and when the daemon started, RFC 3339. */
  readonly time: string;
  readonly startedAt: string;
  /** What keeps the daemon from its work; [] = it is ready. */
  readonly unready: readonly string[];
  /** What the daemon reports as wrong, and what of this answer could not be read. */
  readonly problems: readonly string[];
  /** The API server's objects as the daemon's caches have them. */
  readonly caches: readonly CacheState[];
  /** The last change the daemon made to the network of the node; null = none since it started. */
  readonly plan: AppliedPlan | null;
  /** What it would change if it looked now, in the words of the plan; [] = the node is as wanted, null = not known. */
  readonly pending: readonly string[] | null;
}

export interface CacheState {
  readonly resource: string;
  readonly synced: boolean;
  readonly objects: number;
  /** Why it is not kept up to date now. */
  readonly problem: string | null;
}

/** Steps as `describePlan` words them. */
export interface AppliedPlan {
  readonly time: string;
  readonly steps: readonly string[];
}

/** What a daemon finds on its node. */
export interface ObservedBase {
  /** The daemon's own row of the node's network (net/ownership.ts), parsed. */
  readonly network: NetworkState | null;
  /** The daemon's nft table as nft lists it, counters included; empty = there is none. */
  readonly nft: string;
  readonly node: NodeNetwork | null;
}

export interface ProbeState {
  readonly address: string;
  readonly status: 'connecting' | 'connected' | 'error' | 'none';
  readonly message: string;
  readonly latency: LatencyRtt | null;
}

export interface EngineDaemonState extends DaemonStateBase {
  readonly daemon: 'engine';
  readonly inputs: {
    readonly role: HaStatus;
    /** Whether no other gateway can believe itself to be the active one. */
    readonly confirmed: boolean;
    readonly leaseHolder: string | null;
    readonly cableDriver: string;
    /** What carries the packets, such as `WireGuard, kernel`. */
    readonly implementation: string | null;
    readonly localEndpoint: EndpointSpec | null;
    /** The node's address inside the pod network. */
    readonly cniAddress: string | null;
    readonly remotes: readonly RemoteState[];
    /** Its part in high availability; null = not worked out yet. */
    readonly availability: Availability | null;
    /** Other gateways, of this and of other clusters, as their beats tell. */
    readonly gateways: readonly GatewayBeatState[];
    /** CIDRs that never leave outside of a cable. */
    readonly guardedCidrs: readonly string[];
    readonly broker: { readonly server: string; readonly namespace: string; readonly problem: string | null } | null;
    readonly healthCheck: { readonly enabled: boolean; readonly intervalMs: number; readonly maxLosses: number };
  };
  readonly desired: {
    readonly cables: readonly CableState[];
    /** As the cable driver asked for it last; null = it has not yet. */
    readonly network: NetworkState | null;
  };
  readonly observed: ObservedBase & {
    readonly cables: readonly ObservedCableState[];
    /** IPsec: what charon has. */
    readonly ike: readonly IkeSaState[];
    /** WireGuard: what the links have. */
    readonly peers: readonly WireguardPeerState[];
  };
}

/** What is known of another gateway. */
export interface GatewayBeatState {
  readonly cluster: string;
  readonly cableName: string;
  readonly state: 'alive' | 'silent' | 'waiting';
  /** RFC 3339: when that began; of a silence, when it was last heard. */
  readonly since: string;
  readonly rttMs: number | null;
  /** What it claimed last. */
  readonly active: boolean;
  readonly ready: boolean;
}

/** A remote Endpoint and what this gateway makes of it. */
export interface RemoteState {
  readonly spec: EndpointSpec;
  /** Why it gets no cable. */
  readonly refusal: string | null;
  /** What NAT discovery decided. */
  readonly decision: { readonly usingIp: string; readonly usingNat: boolean } | null;
  readonly probe: ProbeState | null;
}

/** A tunnel as it ought to be. */
export interface CableState {
  readonly name: string;
  readonly remoteClusterId: string;
  readonly localPrivateIp: string;
  readonly remotePrivateIp: string;
  readonly usingIp: string;
  readonly usingNat: boolean;
  readonly localUdpPort: number;
  readonly remoteUdpPort: number;
  readonly localSubnets: readonly string[];
  readonly remoteSubnets: readonly string[];
  /** Tunnel instance that holds it. */
  readonly slot: number;
  /** Whether packets for the remote CIDRs leave through it. */
  readonly carries: boolean;
}

/** A tunnel as the kernel or the VPN daemon has it; byte counters null where the driver has none (VXLAN). */
export interface ObservedCableState {
  readonly name: string;
  readonly status: 'connected' | 'connecting' | 'error';
  readonly message: string;
  readonly rxBytes: number | null;
  readonly txBytes: number | null;
}

export interface IkeSaState {
  /** Name of the IKE connection: the cable, or one pair of its CIDRs. */
  readonly connection: string;
  readonly id: string;
  readonly state: string;
  readonly localHost: string;
  readonly remoteHost: string;
  readonly remotePort: string;
  readonly localId: string;
  readonly remoteId: string;
  readonly children: readonly ChildSaState[];
}

export interface ChildSaState {
  readonly id: string;
  /** CABLE-i-j: the pair of the i-th local and j-th remote CIDR. */
  readonly name: string;
  readonly state: string;
  readonly localTs: string;
  readonly remoteTs: string;
  readonly cipher: string;
  /** Whether its packets go in UDP. */
  readonly encap: boolean;
  readonly rxBytes: number;
  readonly txBytes: number;
}

export interface WireguardPeerState {
  readonly link: string;
  readonly publicKey: string;
  /** address:port */
  readonly endpoint: string | null;
  readonly allowedIps: readonly string[];
  readonly keepaliveSeconds: number;
  /** RFC 3339; null = never. */
  readonly latestHandshake: string | null;
  readonly rxBytes: number;
  readonly txBytes: number;
}

export interface RouteAgentDaemonState extends DaemonStateBase {
  readonly daemon: 'routeagent';
  readonly inputs: {
    /** null = not found out yet. */
    readonly role: 'gateway' | 'worker' | 'no gateway known' | null;
    /** Of the gateway node on the network of the nodes; on a worker only. */
    readonly gatewayAddress: string | null;
    readonly host: {
      readonly underlay: { readonly link: string; readonly mtuBytes: number; readonly address: string };
      readonly cni: { readonly link: string; readonly address: string } | null;
      readonly strictLinks: readonly string[];
    } | null;
    readonly localCidrs: readonly string[];
    readonly remoteCidrs: readonly string[];
    readonly nodeAddresses: readonly string[];
    readonly mssBytes: number | null;
    readonly remotes: readonly {
      readonly spec: EndpointSpec;
      /** What is programmed of it; [] when refused. */
      readonly cidrs: readonly string[];
      readonly refusal: string | null;
      readonly probe: ProbeState | null;
    }[];
  };
  readonly desired: { readonly network: NetworkState | null };
  readonly observed: ObservedBase;
}

/** TCP ports of the daemons' endpoints on the node's loopback, as upstream has them. */
export const ENDPOINT_PORTS = { engine: 32780, routeagent: 32782 } as const satisfies Readonly<
  Record<DaemonName, number>
>;
