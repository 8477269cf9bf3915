import type { EndpointSpec } from '../api/types.ts';

/** What is known about the machine itself. */
export interface HostFacts {
  /** The link that reaches the cluster's nodes, with this node's address on it. */
  readonly underlay: { readonly link: string; readonly mtuBytes: number; readonly address: string };
  /** The link with an address inside the local pod CIDRs; its address is the node's own inside the pod network. */
  readonly cni: { readonly link: string; readonly address: string } | undefined;
  /** Links that carry pod traffic and check sources strictly (rp_filter 1); forwarded traffic would be dropped there. */
  readonly strictLinks: readonly string[];
}

/** Where the traffic for remote clusters goes from this node. */
export type GatewayRole =
  | { readonly role: 'gateway' }
  /** `address` is that of the gateway node on the network of the nodes. */
  | { readonly role: 'worker'; readonly address: string }
  | { readonly role: 'no gateway known' };

/** Everything the wanted network of a node is a function of. */
export interface Inputs {
  readonly host: HostFacts;
  readonly gateway: GatewayRole;
  /** IPv4 pod and service CIDRs of this cluster. */
  readonly localCidrs: readonly string[];
  /** IPv4 CIDRs of all accepted remote clusters. */
  readonly remoteCidrs: readonly string[];
  /** This node may become the active gateway: it has the gateway label. */
  readonly mayBeGateway: boolean;
  /** IPv4 addresses of the cluster's nodes, this one included. */
  readonly nodeAddresses: readonly string[];
  /** MSS for TCP between clusters, from the node annotation submariner.io/tcp-clamp-mss; undefined = as the path's MTU asks. */
  readonly mssBytes: number | undefined;
}

/** A remote cluster's Endpoint and what this node makes of it. */
export interface RemoteEndpoint {
  readonly spec: EndpointSpec;
  /** IPv4 CIDRs that are programmed; empty when refused. */
  readonly cidrs: readonly string[];
  /** Why it is not programmed. */
  readonly refusal: string | undefined;
}
