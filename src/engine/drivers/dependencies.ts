import type { CommandRunner } from '../../host/command.ts';
import type { NetworkPlan } from '../../net/plan.ts';
import type { NetworkState } from '../../net/state.ts';
import type { Logger } from '../../runtime/logger.ts';

/** Told what a driver wants of the node's network, and the plan to get there before it is carried out. */
export type NetworkWatcher = (desired: NetworkState, plan: NetworkPlan) => void;

/** What every driver is given. */
export interface DriverDependencies {
  readonly runner: CommandRunner;
  readonly logger: Logger;
  /** Folder that outlives the process (keys, sockets, records of daemons); made when it is not there. */
  readonly stateDir: string;
  /** private_ip of the local Endpoint: an address of this node. */
  readonly privateIp: string;
  /** UDP port of tunnels on this node; upstream's default is 4500. */
  readonly udpPort: number;
  /** The pre-shared key as text: standard base64 of the secret's bytes. */
  readonly psk: string;
  /** Seconds without a packet after which IPsec asks whether the peer is alive; default 5. */
  readonly dpdDelaySeconds?: number;
  /** ESP in UDP also without NAT, and a charon that logs more; default neither. */
  readonly ipsec?: { readonly forceEncaps: boolean; readonly debug: boolean };
  readonly onNetwork?: NetworkWatcher;
  /** Network namespace (`ip netns`) daemons run in; for tests only, as of createRunner. */
  readonly namespace?: string;
}
