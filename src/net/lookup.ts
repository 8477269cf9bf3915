import { cidrContains, parseCidr } from './cidr.ts';
import type { NodeNetwork } from './nodenetwork.ts';
import type { RouteState, RuleState } from './state.ts';

/** A packet as far as routing looks at it. */
export interface RoutedPacket {
  readonly destination: string;
  /** Undefined: not bound to an address yet. */
  readonly source?: string;
  /** The link it came in by; undefined for the node's own packets. */
  readonly incomingLink?: string;
}

/** What a node does with a packet. */
export type Routed =
  /** The destination is an address of the node. */
  | { readonly kind: 'local'; readonly link: string }
  /** `rule` is the one that led to the table. */
  | { readonly kind: 'route'; readonly rule: RuleState; readonly route: RouteState }
  | { readonly kind: 'none' };

type Tables = Pick<NodeNetwork, 'links' | 'rules' | 'routes'>;

function lengthOf(cidr: string): number {
  return parseCidr(cidr)?.prefixLength ?? 0;
}

/** Whether a rule speaks of a packet without a mark. To the kernel what a node sends has come in by `lo`. */
function speaksOf(rule: RuleState, { destination, source, incomingLink = 'lo' }: RoutedPacket): boolean {
  if (rule.fwmark !== undefined) return false;
  if (rule.incomingLink !== undefined && rule.incomingLink !== incomingLink) return false;
  if (rule.to !== undefined && !cidrContains(rule.to, destination)) return false;
  return rule.from === undefined || (source !== undefined && cidrContains(rule.from, source));
}

/** Whether the link can carry packets; a route over one that is down is passed over. */
function isUsable(route: RouteState, { links }: Tables): boolean {
  return route.link === undefined || links.find(({ name }) => name === route.link)?.up !== false;
}

/** The route of a table for an address: longest prefix, then smallest metric. */
function bestRoute(tables: Tables, table: number, destination: string): RouteState | undefined {
  const candidates = tables.routes.filter(
    (route) => route.table === table && cidrContains(route.destination, destination) && isUsable(route, tables),
  );
  return candidates.toSorted(
    (a, b) => lengthOf(b.destination) - lengthOf(a.destination) || (a.metric ?? 0) - (b.metric ?? 0),
  )[0];
}

/** The link that has an address; undefined when the node does not have it. */
export function linkOfAddress(links: NodeNetwork['links'], address: string): string | undefined {
  return links.find(({ addresses }) => addresses.some((text) => text.split('/')[0] === address))?.name;
}

/**
 * What the rules and tables of a node do with an unmarked IPv4 packet, as Linux looks them up (RFC 1812 longest match in
 * the first table that has any). Rules that look at marks, ports or protocols are passed over.
 */
export function lookupRoute(tables: Tables, packet: RoutedPacket): Routed {
  const own = linkOfAddress(tables.links, packet.destination);
  if (own !== undefined) return { kind: 'local', link: own };
  for (const rule of tables.rules.toSorted((a, b) => a.priority - b.priority)) {
    if (!speaksOf(rule, packet)) continue;
    const route = bestRoute(tables, rule.table, packet.destination);
    if (route !== undefined) return { kind: 'route', rule, route };
  }
  return { kind: 'none' };
}
