import type { AddressState, LinkState, NeighbourState, RouteState, RuleState, Ruleset, SysctlState } from './state.ts';

/** One change of the kernel; what it needs must have been done by the steps before it. */
export type PlanStep =
  | { readonly action: 'addLink' | 'setLink' | 'removeLink'; readonly link: LinkState }
  | { readonly action: 'addAddress' | 'removeAddress'; readonly address: AddressState }
  | { readonly action: 'setSysctl'; readonly sysctl: SysctlState; readonly from: string | undefined }
  | { readonly action: 'addNeighbour' | 'removeNeighbour'; readonly neighbour: NeighbourState }
  | { readonly action: 'addRule' | 'removeRule'; readonly rule: RuleState }
  | { readonly action: 'addRoute' | 'replaceRoute' | 'removeRoute'; readonly route: RouteState }
  | { readonly action: 'swapTable'; readonly ruleset: Ruleset; readonly present: boolean }
  | ({ readonly action: 'changeSet'; readonly table: string; readonly set: string } & ElementChange)
  | { readonly action: 'removeTable'; readonly table: string };

interface ElementChange {
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/** Ordered steps; empty when nothing has to change. */
export type NetworkPlan = readonly PlanStep[];

function describeLink(link: LinkState): string {
  const { vxlan } = link;
  const words = [link.name, link.kind];
  if (vxlan !== undefined) {
    words.push(`vni ${vxlan.vni} port ${vxlan.udpPort} local ${vxlan.local}`);
    if (vxlan.device !== undefined) words.push(`dev ${vxlan.device}`);
  }
  if (link.ifId !== undefined) words.push(`if_id 0x${link.ifId.toString(16)}`);
  if (link.mac !== undefined) words.push(`address ${link.mac}`);
  words.push(`mtu ${link.mtuBytes}`, link.up ? 'up' : 'down');
  return words.join(' ');
}

function optional(word: string, value: string | number | undefined): readonly string[] {
  return value === undefined ? [] : [`${word} ${value}`];
}

/** A route in the words of `ip route`. */
function describeRoute(route: RouteState): string {
  const type = route.type === undefined || route.type === 'unicast' ? [] : [route.type];
  return [
    ...type,
    route.destination,
    ...optional('via', route.via),
    ...optional('dev', route.link),
    ...optional('src', route.source),
    ...optional('metric', route.metric),
    ...optional('mtu', route.mtuBytes),
    ...(route.onlink === true ? ['onlink'] : []),
    `table ${route.table}`,
  ].join(' ');
}

function describeRule(rule: RuleState): string {
  return [
    `pref ${rule.priority}`,
    ...optional('from', rule.from),
    ...optional('to', rule.to),
    ...optional('fwmark', rule.fwmark),
    ...optional('iif', rule.incomingLink),
    `lookup ${rule.table}`,
  ].join(' ');
}

function describeObject(step: PlanStep): string {
  if ('link' in step) return `link ${step.action === 'removeLink' ? step.link.name : describeLink(step.link)}`;
  if ('address' in step) return `address ${step.address.address} dev ${step.address.link}`;
  if ('neighbour' in step) return `fdb ${step.neighbour.mac} dst ${step.neighbour.remote} dev ${step.neighbour.link}`;
  if ('rule' in step) return `rule ${describeRule(step.rule)}`;
  if ('route' in step) return `route ${describeRoute(step.route)}`;
  return '';
}

function describeTable(step: PlanStep): readonly string[] {
  if (step.action === 'removeTable') return [`- nft table inet ${step.table}`];
  if (step.action === 'changeSet') {
    const where = `nft set inet ${step.table} ${step.set}`;
    return [...step.remove.map((item) => `- ${where} ${item}`), ...step.add.map((item) => `+ ${where} ${item}`)];
  }
  if (step.action !== 'swapTable') return [];
  const { table, sets, chains } = step.ruleset;
  const rules = chains.reduce((sum, chain) => sum + chain.rules.length, 0);
  const size = `${sets.length} sets, ${chains.length} chains, ${rules} rules`;
  return [`${step.present ? '~' : '+'} nft table inet ${table} (${size})`];
}

/** One step as one or more lines: `+` made, `~` changed, `-` removed. */
export function describeStep(step: PlanStep): readonly string[] {
  if (step.action === 'setSysctl') {
    const was = step.from === undefined ? '' : ` (was ${step.from})`;
    return [`~ sysctl ${step.sysctl.key}=${step.sysctl.value}${was}`];
  }
  const object = describeObject(step);
  if (object === '') return describeTable(step);
  if (step.action.startsWith('remove')) return [`- ${object}`];
  return [`${step.action.startsWith('add') ? '+' : '~'} ${object}`];
}

/** The plan as text, one line a change, in the order of execution; empty for an empty plan. */
export function describePlan(plan: NetworkPlan): string {
  return plan.flatMap(describeStep).join('\n');
}
