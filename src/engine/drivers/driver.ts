/** One tunnel to a gateway of another cluster, as it ought to be. */
export interface Cable {
  /** `cable_name` of the remote Endpoint. */
  readonly name: string;
  readonly remoteClusterId: string;
  readonly localClusterId: string;
  /** private_ip of both Endpoints; the identities of IPsec. */
  readonly localPrivateIp: string;
  readonly remotePrivateIp: string;
  /** The address NAT discovery chose. */
  readonly usingIp: string;
  readonly usingNat: boolean;
  readonly localUdpPort: number;
  readonly remoteUdpPort: number;
  /** CIDRs in the order of the Endpoints (service CIDRs, then pod CIDRs). */
  readonly localSubnets: readonly string[];
  readonly remoteSubnets: readonly string[];
  /** `backend_config` of both Endpoints (public keys, preferred-server …). */
  readonly localConfig: Readonly<Record<string, string>>;
  readonly remoteConfig: Readonly<Record<string, string>>;
  /**
   * Tunnel instance of this gateway that holds the cable, from 0. Cables to different gateways of one cluster are in
   * different ones, so that packets of that cluster are taken from each of them.
   */
  readonly slot: number;
  /** Packets for the remote CIDRs leave through this cable; at most one cable of a cluster does. */
  readonly carries: boolean;
  /** healthCheckIP of the remote gateway: an address that is reached through this cable, whatever carries its CIDR. */
  readonly probeIp: string | undefined;
}

/**
 * Which packets of this node look the cables up: all of them (the active gateway), or only those that other nodes of the
 * cluster sent here over the overlay (a standby, whose own pods go through the active gateway as everybody's do).
 */
export type CableLookup = 'all' | 'transit';

/** All that a gateway's driver has to make true. */
export interface DesiredCables {
  readonly cables: readonly Cable[];
  /**
   * CIDRs of every known remote cluster, with or without a cable yet. An encrypted driver drops packets for them that
   * would leave outside a tunnel and outside the overlay of the own cluster.
   */
  readonly guardedCidrs: readonly string[];
  readonly lookup: CableLookup;
  /** Address of this node inside the pod network (healthCheckIP); preferred source of the node's own packets. */
  readonly cniAddress: string | undefined;
}

/** What the daemon or kernel says of a cable now. */
export interface ObservedCable {
  readonly cableName: string;
  readonly status: 'connected' | 'connecting' | 'error';
  readonly message: string;
  readonly rxBytes?: number;
  readonly txBytes?: number;
}

/** A way to carry packets between gateways. Declarative; answers only from the kernel or the VPN daemon. */
export interface CableDriver {
  /** As published in Endpoint.spec.backend: libreswan, wireguard, vxlan. */
  readonly name: string;
  /** What this implementation is, for the Gateway status, e.g. "IPsec, userland ESP (kernel-libipsec)". */
  readonly description: string;
  /** How many tunnel instances this driver can keep side by side here; with one there is no warm standby. */
  readonly slots: number;
  /**
   * Starts what the driver needs (charon, wireguard-go, links); idempotent, adopts what a former process left, removes what
   * another driver left. `after`: another one was released just now, and so it is on the other side; what it left goes with
   * the first sync.
   */
  start(signal: AbortSignal, after?: 'release'): Promise<void>;
  /**
   * Makes what can be there beside the driver that runs, which this one is about to replace; idempotent. Resolves to the
   * links that the other one has to leave alone; rejects when this driver cannot work here.
   */
  prepare(signal: AbortSignal): Promise<readonly string[]>;
  /** What peers must know: public key, interface name. */
  backendConfig(): Promise<Record<string, string>>;
  /** Converges to exactly these cables and guards; idempotent. Rejects with one error that lists what failed. */
  sync(desired: DesiredCables, signal: AbortSignal): Promise<void>;
  /** Observed from kernel or daemon, never from memory; cables without trace are absent. */
  connections(): Promise<readonly ObservedCable[]>;
  /** Calls back when the daemon reports a change; the engine then looks again. */
  onChange(listener: () => void): void;
  /**
   * Ends what holds the UDP ports of tunnels, quickly: another driver takes over here, and on the other side. Routes and
   * guard that it leaves lead nowhere and are replaced by those of the other driver. Resolves to what is left to be done
   * when there is time.
   */
  release(): Promise<() => Promise<void>>;
  /** Removes everything the driver ever made. Stopping is not this: on SIGTERM tunnels stay. */
  cleanup(): Promise<void>;
}
