import { UsageError } from '../../runtime/errors.ts';
import { clusterOf, nodeOf, type ClusterPlan, type SandboxPlan } from '../plan.ts';

/**
 * Packets that a fault concerns instead of all: `wan`, those that come from or go to another network than the target's
 * LAN; `tunnels`, of these only what carries cables (UDP and ESP), so that everything else about the target looks well.
 */
export type FaultScope = 'wan' | 'tunnels';

/**
 * Something wrong with the network, made in the WAN namespace while every process lives on. A target is the name of a
 * node, or `control-plane.<cluster>`.
 */
export type NetworkFault =
  /** `out`: nothing the target sends arrives; `in`: nothing arrives at it. */
  | {
      readonly kind: 'blackhole';
      readonly target: string;
      readonly direction: 'both' | 'in' | 'out';
      readonly only?: FaultScope;
    }
  /** Percent of the packets lost, in each direction; target `wan` is everything between two networks. */
  | { readonly kind: 'loss'; readonly target: string; readonly percent: number; readonly only?: FaultScope }
  /** Nothing passes between two clusters, each with its control plane. */
  | { readonly kind: 'partition'; readonly a: string; readonly b: string }
  /** Nothing passes on the LAN between two nodes of one cluster. */
  | { readonly kind: 'cut'; readonly a: string; readonly b: string };

/** The target of a loss that stands for the whole WAN. */
export const WHOLE_WAN = 'wan';

/** The target that stands for the API server of a cluster. */
export function controlPlaneTarget(cluster: string): string {
  return `control-plane.${cluster}`;
}

/** The table of every sandbox fault, in the WAN namespace and in those of control planes. */
export const FAULT_TABLE = 'sandbox-faults';

interface Place {
  /** The ends of the target's links in the WAN namespace; those on its LAN, and those beyond. */
  readonly lan: readonly string[];
  readonly wan: readonly string[];
  readonly cluster: ClusterPlan;
}

/** Where a target is. Throws UsageError for an unknown one. */
function placeOf(plan: SandboxPlan, target: string): Place {
  for (const cluster of plan.clusters) {
    const { name, controlPlane, nodes } = cluster;
    if (target === controlPlaneTarget(name))
      return { lan: [controlPlane.lanPort], wan: [controlPlane.wanPort], cluster };
    const node = nodes.find((one) => one.name === target);
    if (node !== undefined) return { lan: [node.port], wan: [], cluster };
  }
  throw new UsageError(`the sandbox has no node "${target}"`, {
    hint: `It has: ${plan.clusters.flatMap((cluster) => cluster.nodes.map((node) => node.name)).join(', ')}.`,
  });
}

interface Rules {
  readonly entering: readonly string[];
  readonly between: readonly string[];
  readonly leaving: readonly string[];
}

const NO_RULES: Rules = { entering: [], between: [], leaving: [] };

/** A fault in words that `parseFault` understands. */
function describe(fault: NetworkFault): string {
  if (fault.kind === 'partition' || fault.kind === 'cut') return `${fault.kind} ${fault.a} ${fault.b}`;
  const how = fault.kind === 'loss' ? String(fault.percent) : fault.direction;
  return [fault.kind, fault.target, how, ...(fault.only === undefined ? [] : [fault.only])].join(' ');
}

function sourcesOf(cluster: ClusterPlan): string {
  return `{ ${cluster.lanCidr}, ${cluster.controlPlane.wanAddress} }`;
}

function partitionRules(plan: SandboxPlan, fault: { readonly a: string; readonly b: string }, comment: string): Rules {
  const a = sourcesOf(clusterOf(plan, fault.a));
  const b = sourcesOf(clusterOf(plan, fault.b));
  return {
    ...NO_RULES,
    entering: [`ip saddr ${a} ip daddr ${b} drop ${comment}`, `ip saddr ${b} ip daddr ${a} drop`],
  };
}

function cutRules(plan: SandboxPlan, fault: { readonly a: string; readonly b: string }, comment: string): Rules {
  const { cluster, lan } = placeOf(plan, fault.a);
  const [a = ''] = lan;
  const b = nodeOf(cluster, fault.b).port;
  return { ...NO_RULES, between: [`iifname ${a} oifname ${b} drop ${comment}`, `iifname ${b} oifname ${a} drop`] };
}

/** The loss of everything that goes from one network to another: each packet enters the WAN once. */
function wanLossRules(plan: SandboxPlan, some: string, comment: string): Rules {
  const lans = plan.clusters.map(({ lanCidr }) => `ip saddr ${lanCidr} ip daddr != ${lanCidr} ${some}drop ${comment}`);
  const servers = plan.clusters.map(({ controlPlane }) => controlPlane.wanAddress).join(', ');
  return { ...NO_RULES, entering: [...lans, `ip saddr { ${servers} } ${some}drop ${comment}`] };
}

const CABLES = 'ip protocol { udp, esp } ';

function targetRules(
  plan: SandboxPlan,
  fault: Extract<NetworkFault, { kind: 'blackhole' | 'loss' }>,
  some: string,
  comment: string,
): Rules {
  const { lan, wan, cluster } = placeOf(plan, fault.target);
  const direction = fault.kind === 'loss' ? 'both' : fault.direction;
  // What a control plane has on the WAN is all beyond its LAN; a node has one link for both.
  const far = fault.only !== undefined && wan.length > 0;
  const ports = (far ? wan : [...lan, ...wan]).join(', ');
  const only = (end: 'saddr' | 'daddr'): string => {
    if (fault.only === undefined) return '';
    const beyond = far ? '' : `ip ${end} != ${cluster.lanCidr} `;
    return beyond + (fault.only === 'tunnels' ? CABLES : '');
  };
  return {
    ...NO_RULES,
    entering: direction === 'in' ? [] : [`iifname { ${ports} } ${only('daddr')}${some}drop ${comment}`],
    leaving: direction === 'out' ? [] : [`oifname { ${ports} } ${only('saddr')}${some}drop ${comment}`],
  };
}

function rulesOf(plan: SandboxPlan, fault: NetworkFault): Rules {
  const comment = `comment "${describe(fault)}"`;
  if (fault.kind === 'partition') return partitionRules(plan, fault, comment);
  if (fault.kind === 'cut') return cutRules(plan, fault, comment);
  const some = fault.kind === 'loss' && fault.percent < 100 ? `numgen random mod 100 < ${fault.percent} ` : '';
  if (fault.target === WHOLE_WAN) return wanLossRules(plan, some, comment);
  return targetRules(plan, fault, some, comment);
}

function checkFault(fault: NetworkFault): void {
  if (fault.kind !== 'loss') return;
  const { percent } = fault;
  if (Number.isInteger(percent) && percent >= 1 && percent <= 100) return;
  throw new UsageError(`a loss of ${percent} percent is not a whole number from 1 to 100`);
}

function chain(name: string, hook: string, rules: readonly string[]): string {
  const body = rules.map((rule) => `    ${rule}\n`).join('');
  return `  chain ${name} {\n    type filter hook ${hook} priority 0; policy accept;\n${body}  }\n`;
}

/** The nft script that makes exactly these faults, in one transaction. Throws UsageError for unknown names and bad numbers. */
export function renderFaults(plan: SandboxPlan, faults: readonly NetworkFault[]): string {
  faults.forEach(checkFault);
  const rules = faults.map((fault) => rulesOf(plan, fault));
  const clear = `table bridge ${FAULT_TABLE}\ndelete table bridge ${FAULT_TABLE}\n`;
  if (faults.length === 0) return clear;
  const chains = [
    chain(
      'entering',
      'prerouting',
      rules.flatMap((one) => one.entering),
    ),
    chain(
      'between',
      'forward',
      rules.flatMap((one) => one.between),
    ),
    chain(
      'leaving',
      'postrouting',
      rules.flatMap((one) => one.leaving),
    ),
  ];
  return `${clear}table bridge ${FAULT_TABLE} {\n${chains.join('')}}\n`;
}

function isOneOf<T extends string>(word: string, words: readonly T[]): word is T {
  return (words as readonly string[]).includes(word);
}

function parseFault(comment: string): NetworkFault | undefined {
  const [kind, first = '', second = '', third = ''] = comment.split(' ');
  const only = isOneOf(third, ['wan', 'tunnels']) ? { only: third } : {};
  if (kind === 'partition' || kind === 'cut') return { kind, a: first, b: second };
  if (kind === 'loss') return { kind, target: first, percent: Number(second), ...only };
  const isBlackhole = kind === 'blackhole' && isOneOf(second, ['both', 'in', 'out']);
  return isBlackhole ? { kind, target: first, direction: second, ...only } : undefined;
}

/** The faults in the output of `nft list table`. */
export function parseFaults(listing: string): readonly NetworkFault[] {
  const comments = new Set([...listing.matchAll(/comment "([^"]*)"/g)].map((match) => match[1] ?? ''));
  return [...comments].map(parseFault).filter((fault) => fault !== undefined);
}

/** Whether two faults are of one kind and at one place, so that the later takes the place of the earlier. */
export function samePlace(one: NetworkFault, other: NetworkFault): boolean {
  if (one.kind !== other.kind) return false;
  if ('target' in one || 'target' in other) return 'target' in one && 'target' in other && one.target === other.target;
  return (one.a === other.a && one.b === other.b) || (one.a === other.b && one.b === other.a);
}

/** Whether a fault is one of a node, `control-plane.<cluster>` or cluster. */
export function concerns(fault: NetworkFault, name: string): boolean {
  return 'target' in fault ? fault.target === name : fault.a === name || fault.b === name;
}
