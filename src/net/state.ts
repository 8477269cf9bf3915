/** The part of a node's network that one owner writes, as plain data. Addresses and prefixes in canonical text form. */
export interface NetworkState {
  readonly links: readonly LinkState[];
  readonly addresses: readonly AddressState[];
  readonly neighbours: readonly NeighbourState[];
  readonly routes: readonly RouteState[];
  readonly rules: readonly RuleState[];
  readonly sysctls: readonly SysctlState[];
  /** The owner's whole nft table; undefined = no table. */
  readonly ruleset?: Ruleset;
}

export interface LinkState {
  readonly name: string;
  readonly kind: 'vxlan' | 'wireguard' | 'xfrm' | 'dummy' | 'tun';
  readonly mtuBytes: number;
  readonly up: boolean;
  /** Lower case; when not wanted the kernel's choice stands. Observed of VXLAN links only. */
  readonly mac?: string;
  /** Of an xfrm link: which policies and SAs are its own. */
  readonly ifId?: number;
  readonly vxlan?: {
    readonly vni: number;
    readonly udpPort: number;
    readonly local: string;
    /** Underlay link name; optional in observation too. */
    readonly device?: string;
    readonly learning: boolean;
  };
}

export interface AddressState {
  readonly link: string;
  /** address/prefix length, e.g. 240.0.0.5/8 */
  readonly address: string;
}

/** A bridge FDB entry of a VXLAN link (`bridge fdb`): packets for `mac` go to the VTEP `remote`. */
export interface NeighbourState {
  readonly link: string;
  readonly mac: string;
  readonly remote: string;
}

export interface RouteState {
  readonly destination: string;
  readonly table: number;
  readonly link?: string;
  readonly via?: string;
  readonly source?: string;
  readonly metric?: number;
  readonly scope?: 'global' | 'link' | 'host';
  readonly type?: 'unicast' | 'blackhole' | 'unreachable';
  readonly mtuBytes?: number;
  readonly onlink?: boolean;
}

export interface RuleState {
  readonly priority: number;
  readonly table: number;
  readonly from?: string;
  readonly to?: string;
  readonly fwmark?: string;
  /** Only packets that came in by this link; `lo`: those of the node itself. */
  readonly incomingLink?: string;
}

export interface SysctlState {
  /** Dotted key with `/` in place of a dot inside a link name, e.g. net.ipv4.conf.vx-submariner.rp_filter */
  readonly key: string;
  readonly value: string;
}

/** The link a key is of, undefined for one that is of none. */
export function sysctlLink(key: string): string | undefined {
  return /^net\.ipv4\.(?:conf|neigh)\.([^.]+)\./.exec(key)?.[1]?.replaceAll('/', '.');
}

/** An nft table as the script that makes it: `table inet NAME { … }`, in the canonical form `renderRuleset` gives. */
export interface Ruleset {
  readonly table: string;
  readonly sets: readonly NftSet[];
  readonly chains: readonly NftChain[];
}

export interface NftSet {
  readonly name: string;
  readonly type: 'ipv4_addr' | 'ipv6_addr' | 'inet_service';
  readonly interval: boolean;
  readonly elements: readonly string[];
}

export interface NftChain {
  readonly name: string;
  /** Base chain: where it hooks in. */
  readonly hook?: {
    readonly type: 'filter' | 'nat' | 'route';
    readonly hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
    readonly priority: number;
  };
  /** Rules as nft prints them. */
  readonly rules: readonly string[];
}

export const EMPTY_STATE: NetworkState = {
  links: [],
  addresses: [],
  neighbours: [],
  routes: [],
  rules: [],
  sysctls: [],
};
