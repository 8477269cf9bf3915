import type { CommandRunner } from '../../host/command.ts';
import type { NetworkPlan } from '../../net/plan.ts';
import type { NetworkState } from '../../net/state.ts';
import type { Logger } from '../../runtime/logger.ts';

/** Told what a driver wants of the node's network, and the plan to get there before it is carried out. */
export type NetworkWatcher = (desired: NetworkState, plan: NetworkPlan) => void;

/** Pre-shared keys as text: standard base64 of the bytes. */
export interface PresharedKeys {
  /** What this gateway shows itself with. */
  readonly used: string;
  /** What it accepts of others besides. */
  readonly accepted: readonly string[];
}

/** The keys a driver is to have now. */
export function keysOf({ psk, keys }: Pick<DriverDependencies, 'psk' | 'keys'>): PresharedKeys {
  return keys?.() ?? { used: psk, accepted: [] };
}

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
  /** The keys as they are now, where they can change; asked for at every sync. */
  readonly keys?: () => PresharedKeys;
  /** Seconds without a packet after which IPsec asks whether the peer is alive; default 5. */
  readonly dpdDelaySeconds?: number;
  /** ESP in UDP also without NAT, and a charon that logs more; default neither. */
  readonly ipsec?: { readonly forceEncaps: boolean; readonly debug: boolean };
  readonly onNetwork?: NetworkWatcher;
  /** Links of a driver that is prepared beside this one; to be left alone. */
  readonly beside?: () => readonly string[];
  /** Network namespace (`ip netns`) daemons run in; for tests only, as of createRunner. */
  readonly namespace?: string;
}
