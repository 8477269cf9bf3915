/** One tunnel to the active gateway of another cluster, as it ought to be. */
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
}

/** All that a gateway's driver has to make true. */
export interface DesiredCables {
  readonly cables: readonly Cable[];
  /**
   * CIDRs of every known remote cluster, with or without a cable yet. An encrypted driver drops packets for them that
   * would leave outside a tunnel. Empty on a gateway that is not active.
   */
  readonly guardedCidrs: readonly string[];
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
  /** Starts what the driver needs (charon, wireguard-go, links); idempotent, adopts what a former process left. */
  start(signal: AbortSignal): Promise<void>;
  /** What peers must know: public key, interface name. */
  backendConfig(): Promise<Record<string, string>>;
  /** Converges to exactly these cables and guards; idempotent. Rejects with one error that lists what failed. */
  sync(desired: DesiredCables, signal: AbortSignal): Promise<void>;
  /** Observed from kernel or daemon, never from memory; cables without trace are absent. */
  connections(): Promise<readonly ObservedCable[]>;
  /** Calls back when the daemon reports a change; the engine then looks again. */
  onChange(listener: () => void): void;
  /** Removes everything the driver ever made. Stopping is not this: on SIGTERM tunnels stay. */
  cleanup(): Promise<void>;
}
