import { canonicalAddress, canonicalCidr, cidrsOverlap, isIpAddress } from './cidr.ts';
import type { NetworkPlan, PlanStep } from './plan.ts';
import { diffRuleset } from './ruleset.ts';
import {
  sysctlLink,
  type AddressState,
  type LinkState,
  type NeighbourState,
  type NetworkState,
  type RouteState,
  type RuleState,
  type SysctlState,
} from './state.ts';

export { describePlan } from './plan.ts';
export type { NetworkPlan } from './plan.ts';

function canonicalPrefix(text: string): string {
  const canonical = canonicalCidr(text);
  if (canonical !== undefined) return canonical;
  if (text === 'default') return '0.0.0.0/0';
  return isIpAddress(text) ? (canonicalCidr(`${text}/${text.includes(':') ? 128 : 32}`) ?? text) : text;
}

function routeKey(route: RouteState): string {
  return `${route.table} ${canonicalPrefix(route.destination)} ${route.metric ?? 0}`;
}

function routeScope(route: RouteState): string {
  const unicast = route.type === undefined || route.type === 'unicast';
  return route.scope ?? (unicast && route.via === undefined ? 'link' : 'global');
}

function sameAddress(a: string | undefined, b: string | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && canonicalAddress(a) === canonicalAddress(b));
}

function sameKind(a: RouteState, b: RouteState): boolean {
  const sameType = (a.type ?? 'unicast') === (b.type ?? 'unicast') && (a.onlink ?? false) === (b.onlink ?? false);
  return sameType && routeScope(a) === routeScope(b) && a.mtuBytes === b.mtuBytes;
}

/** Whether two routes with one key are alike in everything else. */
function sameRoute(a: RouteState, b: RouteState): boolean {
  const samePath = a.link === b.link && sameAddress(a.via, b.via) && sameAddress(a.source, b.source);
  return samePath && sameKind(a, b);
}

function ruleText(rule: RuleState): string {
  const prefix = (text: string | undefined): string => (text === undefined ? 'all' : canonicalPrefix(text));
  return [rule.priority, rule.table, prefix(rule.from), prefix(rule.to), rule.fwmark, rule.incomingLink].join(' ');
}

/** Whether removing `rule` can hit `other`: the kernel removes the first one that has all that is named. */
function alsoNames(rule: RuleState, other: RuleState): boolean {
  const same = (key: keyof RuleState): boolean => rule[key] === undefined || rule[key] === other[key];
  return (['priority', 'table', 'from', 'to', 'fwmark', 'incomingLink'] as const).every(same);
}

/** New rules go in before old ones go out. A rule that stays, but would be hit in place of one that goes, moves behind. */
function diffRules(
  wanted: readonly RuleState[],
  observed: readonly RuleState[],
): { readonly first: readonly PlanStep[]; readonly last: readonly PlanStep[] } {
  const { added, removed } = diffByText(wanted, observed, ruleText);
  const moved = observed.filter((rule, index) => {
    const later = observed.slice(index + 1).filter((other) => removed.includes(other));
    return (
      !removed.includes(rule) && later.some((other) => ruleText(other) !== ruleText(rule) && alsoNames(other, rule))
    );
  });
  return {
    first: added.map((rule): PlanStep => ({ action: 'addRule', rule })),
    last: [
      ...moved.flatMap((rule): readonly PlanStep[] => [
        { action: 'removeRule', rule },
        { action: 'addRule', rule },
      ]),
      ...removed.map((rule): PlanStep => ({ action: 'removeRule', rule })),
    ],
  };
}

function addressText(address: AddressState): string {
  const [text = '', length = ''] = address.address.split('/');
  return `${address.link} ${canonicalAddress(text) ?? text}/${length}`;
}

function neighbourText(neighbour: NeighbourState): string {
  return `${neighbour.link} ${neighbour.mac.toLowerCase()} ${canonicalAddress(neighbour.remote) ?? neighbour.remote}`;
}

interface Difference<T> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
}

/** Compares by text; a second observed copy of the same thing counts as one too many. */
function diffByText<T>(wanted: readonly T[], observed: readonly T[], textOf: (item: T) => string): Difference<T> {
  const wants = new Map(wanted.map((item) => [textOf(item), item]));
  const seen = new Set<string>();
  const removed: T[] = [];
  for (const item of observed) {
    const text = textOf(item);
    if (!wants.has(text) || seen.has(text)) removed.push(item);
    seen.add(text);
  }
  return { added: [...wants].filter(([text]) => !seen.has(text)).map(([, item]) => item), removed };
}

/** Whether the link cannot be changed into the wanted one in place. */
function needsRecreation(wanted: LinkState, observed: LinkState): boolean {
  return wanted.kind !== observed.kind || wanted.ifId !== observed.ifId || !sameTunnel(wanted.vxlan, observed.vxlan);
}

function sameTunnel(wanted: LinkState['vxlan'], seen: LinkState['vxlan']): boolean {
  if (wanted === undefined) return true;
  const { vni, udpPort, local, device, learning } = wanted;
  const sameDevice = device === undefined || device === seen?.device;
  return (
    vni === seen?.vni && udpPort === seen.udpPort && local === seen.local && learning === seen.learning && sameDevice
  );
}

/** Whether all that can be changed in place is as wanted. */
function sameSettings(wanted: LinkState, observed: LinkState): boolean {
  const sameMac = wanted.mac === undefined || wanted.mac === observed.mac;
  return sameMac && observed.mtuBytes === wanted.mtuBytes && observed.up === wanted.up;
}

interface LinkDifference {
  readonly first: readonly PlanStep[];
  readonly last: readonly PlanStep[];
  /** Links whose addresses, FDB, sysctls and routes are gone when the first steps are done. */
  readonly emptied: ReadonlySet<string>;
  /** Observed links that are not wanted; what is on them goes with them. */
  readonly unwanted: ReadonlySet<string>;
}

function diffLinks(wanted: readonly LinkState[], observed: readonly LinkState[]): LinkDifference {
  const seen = new Map(observed.map((link) => [link.name, link]));
  const names = new Set(wanted.map((link) => link.name));
  const first: PlanStep[] = [];
  const emptied = new Set<string>();
  for (const link of wanted) {
    const old = seen.get(link.name);
    if (old !== undefined && !needsRecreation(link, old)) {
      if (!sameSettings(link, old)) first.push({ action: 'setLink', link });
      continue;
    }
    emptied.add(link.name);
    if (old !== undefined) first.push({ action: 'removeLink', link: old });
    first.push({ action: 'addLink', link });
  }
  const leftovers = observed.filter((link) => !names.has(link.name));
  const last = leftovers.map((link): PlanStep => ({ action: 'removeLink', link }));
  return { first, last, emptied, unwanted: new Set(leftovers.map((link) => link.name)) };
}

interface AddressDifference {
  readonly first: readonly PlanStep[];
  readonly last: readonly PlanStep[];
  /** Links that lose an address before they get the new one; routes over them are set again. */
  readonly disturbed: ReadonlySet<string>;
}

/**
 * A new address goes in before the old one goes out, except inside one subnet: there the kernel drops the secondary
 * addresses together with the primary one, so the old goes out first and all wanted ones of the subnet are set again.
 */
function diffAddresses(wanted: readonly AddressState[], observed: readonly AddressState[]): AddressDifference {
  const { added, removed } = diffByText(wanted, observed, addressText);
  const meets = (a: AddressState, b: AddressState): boolean => a.link === b.link && cidrsOverlap(a.address, b.address);
  const early = removed.filter((old) => wanted.some((item) => meets(item, old)));
  const set = wanted.filter((item) => added.includes(item) || early.some((old) => meets(item, old)));
  const remove = (address: AddressState): PlanStep => ({ action: 'removeAddress', address });
  return {
    first: [...early.map(remove), ...set.map((address): PlanStep => ({ action: 'addAddress', address }))],
    last: removed.filter((item) => !early.includes(item)).map(remove),
    disturbed: new Set(early.map((item) => item.link)),
  };
}

function diffSysctls(
  wanted: readonly SysctlState[],
  observed: readonly SysctlState[],
  emptied: ReadonlySet<string>,
): readonly PlanStep[] {
  const current = observed.filter((sysctl) => !emptied.has(sysctlLink(sysctl.key) ?? ''));
  const values = new Map(current.map((sysctl) => [sysctl.key, sysctl.value]));
  return wanted
    .filter((sysctl) => values.get(sysctl.key) !== sysctl.value)
    .map((sysctl): PlanStep => ({ action: 'setSysctl', sysctl, from: values.get(sysctl.key) }));
}

function diffRoutes(
  wanted: readonly RouteState[],
  observed: readonly RouteState[],
  emptied: ReadonlySet<string>,
  disturbed: ReadonlySet<string>,
): { readonly first: readonly PlanStep[]; readonly last: readonly PlanStep[] } {
  const mayBeGone = (route: RouteState): boolean => emptied.has(route.link ?? '') || disturbed.has(route.link ?? '');
  const wants = new Map(wanted.map((route) => [routeKey(route), route]));
  const seen = new Map<string, RouteState>();
  const last: PlanStep[] = [];
  for (const route of observed) {
    const key = routeKey(route);
    if (wants.has(key) && !seen.has(key)) seen.set(key, route);
    else if (!emptied.has(route.link ?? '')) last.push({ action: 'removeRoute', route });
  }
  const first: PlanStep[] = [];
  for (const [key, route] of wants) {
    const old = seen.get(key);
    if (old === undefined) first.push({ action: 'addRoute', route });
    else if (!sameRoute(route, old) || mayBeGone(old)) first.push({ action: 'replaceRoute', route });
  }
  return { first, last };
}

/**
 * The steps from `observed` to `desired`: links, addresses, sysctls, FDB, the nft table, rules, routes, then removals in
 * reverse. What a route brings meets the firewall that is meant for it: a connection translated wrongly at its start
 * would stay so. Routes are replaced in place, never removed and added. [] when both are equal.
 */
export function diffNetwork(desired: NetworkState, observed: NetworkState): NetworkPlan {
  const links = diffLinks(desired.links, observed.links);
  const stays = (item: { readonly link: string }): boolean =>
    !links.emptied.has(item.link) && !links.unwanted.has(item.link);
  const addresses = diffAddresses(desired.addresses, observed.addresses.filter(stays));
  const fdb = diffByText(desired.neighbours, observed.neighbours.filter(stays), neighbourText);
  const rules = diffRules(desired.rules, observed.rules);
  const routes = diffRoutes(desired.routes, observed.routes, links.emptied, addresses.disturbed);
  return [
    ...links.first,
    ...addresses.first,
    ...diffSysctls(desired.sysctls, observed.sysctls, links.emptied),
    ...fdb.added.map((neighbour): PlanStep => ({ action: 'addNeighbour', neighbour })),
    ...diffRuleset(desired.ruleset, observed.ruleset),
    ...rules.first,
    ...routes.first,
    ...routes.last,
    ...rules.last,
    ...fdb.removed.map((neighbour): PlanStep => ({ action: 'removeNeighbour', neighbour })),
    ...addresses.last,
    ...links.last,
  ];
}
