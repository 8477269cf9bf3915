import type { RouteState, RuleState, SysctlState } from './state.ts';

/** A link of a node, whoever made it. */
export interface NodeLink {
  readonly name: string;
  /** `info_kind` of iproute2; empty for a physical device. */
  readonly kind: string;
  readonly mtuBytes: number;
  readonly up: boolean;
  /** IPv4 and IPv6 addresses with prefix length. */
  readonly addresses: readonly string[];
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly rxDropped: number;
  readonly txDropped: number;
}

/** The network of a node, whoever made it: enough to follow a packet. IPv4 routes and rules. */
export interface NodeNetwork {
  readonly links: readonly NodeLink[];
  /** Every rule that looks up a table, by priority. */
  readonly rules: readonly RuleState[];
  /** Unicast, blackhole and unreachable routes of every table. */
  readonly routes: readonly RouteState[];
  /** Forwarding and rp_filter of every link, of `all` and of `default`. */
  readonly sysctls: readonly SysctlState[];
}
