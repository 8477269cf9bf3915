import type { KernelReport, PathMtuReport } from '../../../host/prober/protocol.ts';
import type { ShotResult } from '../shots/model.ts';

/** Cable drivers that join knows. */
export type DriverName = 'ipsec' | 'wireguard' | 'vxlan';

/** A node that is a gateway, or would become one. */
export interface SiteNode {
  readonly cluster: string;
  readonly name: string;
  /** Addresses at which others may reach it, the one in the network of the nodes first. */
  readonly addresses: readonly string[];
  readonly ports: { readonly tunnel: number; readonly standby: number; readonly natDiscovery: number };
}

/** A cluster as far as can be known before it joins. */
export interface Site {
  readonly clusterId: string;
  readonly driver: DriverName;
  readonly podCidrs: readonly string[];
  readonly gateways: readonly SiteNode[];
  /** Why these nodes: said beside the results; '' when there is nothing to say. */
  readonly note: string;
  /** Why there are none; '' when there are. */
  readonly problem: string;
  /** Whether the gateway engine runs, and has the ports. */
  readonly running: boolean;
}

/** Datagrams from a port to the same port of another gateway, and what became of them. */
export interface Way extends ShotResult {
  /** Whether they were answered. */
  readonly answered: boolean;
  /** Whether clusters can be connected without it. */
  readonly optional: boolean;
}

/** What was found out on, or said of, one node. */
export interface OnNode {
  readonly cluster: string;
  readonly node: string;
}

/** The largest packet between two gateway nodes. */
export interface Size {
  readonly from: OnNode;
  readonly to: OnNode & { readonly address: string };
  readonly report: PathMtuReport | undefined;
  readonly failure: string;
}

/** All that probe pods on gateway nodes found out. */
export interface Survey {
  readonly sites: readonly Site[];
  /** Why nothing was started; '' when pods were. */
  readonly untried: string;
  readonly kernels: readonly (OnNode & { readonly report: KernelReport | undefined; readonly failure: string })[];
  readonly taken: readonly (OnNode & { readonly port: number; readonly reason: string })[];
  readonly ways: readonly Way[];
  readonly sizes: readonly Size[];
  /** The smallest MTU of links of pods of a node; not known of every node. */
  readonly podLinks: readonly (OnNode & { readonly mtuBytes: number })[];
}
