/**
 * Who writes which kernel object. A daemon lists, changes and deletes only what stands in its own row, so that a
 * freshly started one recognises what it made before and never touches anything else.
 */
export interface Ownership {
  /** Route protocol number (iproute2 `proto`), put on every route and rule of the owner. */
  readonly protocol: number;
  /** nft table names of the owner, family `inet`. */
  readonly nftTable: string;
  /** Route tables written by the owner. `main` (254) routes are recognised by protocol. */
  readonly tables: readonly number[];
  /** Rule priorities written by the owner. */
  readonly rulePriorities: readonly number[];
  /** Tables of others that the owner's rules lead to besides its own. */
  readonly consultedTables?: readonly number[];
  /** Links created by the owner. */
  readonly links: readonly string[];
  /** Those of them that are there nearly always, as VXLAN: what is on them is asked for together with all else. */
  readonly overlays?: readonly string[];
}

/** The engine's route table with the remote CIDRs that cables carry. */
export const CABLE_TABLE = 100;

/** Kernel objects of the gateway engine: cables. Names, tables and ports as upstream has them. */
export const ENGINE_OWNERSHIP: Ownership = {
  protocol: 153,
  nftTable: 'submariner-cable',
  tables: [CABLE_TABLE, 101],
  rulePriorities: [99, 100],
  links: ['vxlan-tunnel', 'submariner', 'submariner1', 'ipsec0', 'ipsec1'],
};

/** Kernel objects of the route agent: the overlay inside a cluster and the routes into it. */
export const ROUTEAGENT_OWNERSHIP: Ownership = {
  protocol: 154,
  nftTable: 'submariner-routeagent',
  tables: [150, 254],
  rulePriorities: [149, 150],
  consultedTables: [CABLE_TABLE],
  links: ['vx-submariner'],
  overlays: ['vx-submariner'],
};

/** The intra-cluster overlay. */
export const OVERLAY = { link: 'vx-submariner', vni: 100, udpPort: 4800, vtepPrefix: '240.0.0.0/8' } as const;
/** The VXLAN cable between gateways. */
export const VXLAN_CABLE = { link: 'vxlan-tunnel', vni: 1000, vtepPrefix: '241.0.0.0/8' } as const;
/**
 * The IPsec cables: in user space it is charon's choice which of the links a slot has; in the kernel each slot has its
 * own, and policies and SAs with its interface id, counted from `ifId`, are the engine's.
 */
export const IPSEC_CABLE = { links: ['ipsec0', 'ipsec1'], ifId: 0x5375_6200 } as const;
/** The WireGuard cables, a link a slot. */
export const WIREGUARD_CABLE = { links: ['submariner', 'submariner1'] } as const;
