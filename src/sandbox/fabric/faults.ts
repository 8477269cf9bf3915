import { UsageError } from '../../runtime/errors.ts';
import { clusterOf, type ClusterPlan, type SandboxPlan } from '../plan.ts';
import type { FabricTools } from './fabric.ts';
import { inNamespace } from './fabric.ts';

/**
 * Something wrong with the network, made in the WAN namespace while every process lives on. A target is the name of a
 * node, or `control-plane.<cluster>`.
 */
export type Fault =
  /** `out`: nothing the target sends arrives; `in`: nothing arrives at it. */
  | { readonly kind: 'blackhole'; readonly target: string; readonly direction: 'both' | 'in' | 'out' }
  /** Percent of the packets lost, in each direction. */
  | { readonly kind: 'loss'; readonly target: string; readonly percent: number }
  /** Nothing passes between two clusters, each with its control plane. */
  | { readonly kind: 'partition'; readonly a: string; readonly b: string };

const TABLE = 'sandbox-faults';

/** The ends of a target's links in the WAN namespace. Throws UsageError for an unknown target. */
function portsOf(plan: SandboxPlan, target: string): readonly string[] {
  for (const { name, controlPlane, nodes } of plan.clusters) {
    if (target === `control-plane.${name}`) return [controlPlane.lanPort, controlPlane.wanPort];
    const node = nodes.find((one) => one.name === target);
    if (node !== undefined) return [node.port];
  }
  throw new UsageError(`the sandbox has no node "${target}"`, {
    hint: `It has: ${plan.clusters.flatMap((cluster) => cluster.nodes.map((node) => node.name)).join(', ')}.`,
  });
}

interface Rules {
  readonly entering: readonly string[];
  readonly leaving: readonly string[];
}

function describe(fault: Fault): string {
  if (fault.kind === 'partition') return `partition ${fault.a} ${fault.b}`;
  return fault.kind === 'loss'
    ? `loss ${fault.target} ${fault.percent}`
    : `blackhole ${fault.target} ${fault.direction}`;
}

function sourcesOf(cluster: ClusterPlan): string {
  return `{ ${cluster.lanCidr}, ${cluster.controlPlane.wanAddress} }`;
}

function partitionRules(plan: SandboxPlan, fault: Extract<Fault, { kind: 'partition' }>, comment: string): Rules {
  const a = sourcesOf(clusterOf(plan, fault.a));
  const b = sourcesOf(clusterOf(plan, fault.b));
  return {
    entering: [`ip saddr ${a} ip daddr ${b} drop ${comment}`, `ip saddr ${b} ip daddr ${a} drop`],
    leaving: [],
  };
}

function rulesOf(plan: SandboxPlan, fault: Fault): Rules {
  const comment = `comment "${describe(fault)}"`;
  if (fault.kind === 'partition') return partitionRules(plan, fault, comment);
  const ports = portsOf(plan, fault.target).join(', ');
  const some = fault.kind === 'loss' ? `numgen random mod 100 < ${fault.percent} ` : '';
  const direction = fault.kind === 'loss' ? 'both' : fault.direction;
  return {
    entering: direction === 'in' ? [] : [`iifname { ${ports} } ${some}drop ${comment}`],
    leaving: direction === 'out' ? [] : [`oifname { ${ports} } ${some}drop ${comment}`],
  };
}

function checkFault(fault: Fault): void {
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
export function renderFaults(plan: SandboxPlan, faults: readonly Fault[]): string {
  faults.forEach(checkFault);
  const rules = faults.map((fault) => rulesOf(plan, fault));
  const clear = `table bridge ${TABLE}\ndelete table bridge ${TABLE}\n`;
  if (faults.length === 0) return clear;
  const entering = chain(
    'entering',
    'prerouting',
    rules.flatMap((one) => one.entering),
  );
  const leaving = chain(
    'leaving',
    'postrouting',
    rules.flatMap((one) => one.leaving),
  );
  return `${clear}table bridge ${TABLE} {\n${entering}${leaving}}\n`;
}

function parseFault(comment: string): Fault | undefined {
  const [kind, first = '', second = ''] = comment.split(' ');
  if (kind === 'partition') return { kind, a: first, b: second };
  if (kind === 'loss') return { kind, target: first, percent: Number(second) };
  if (kind === 'blackhole' && (second === 'both' || second === 'in' || second === 'out')) {
    return { kind, target: first, direction: second };
  }
  return undefined;
}

/** The faults in the output of `nft list table`. */
export function parseFaults(listing: string): readonly Fault[] {
  const comments = new Set([...listing.matchAll(/comment "([^"]*)"/g)].map((match) => match[1] ?? ''));
  return [...comments].map(parseFault).filter((fault) => fault !== undefined);
}

async function runNft(tools: FabricTools, plan: SandboxPlan, args: readonly string[], stdin?: string): Promise<string> {
  const [file = '', ...rest] = inNamespace(plan.wan.namespace, ['nft', ...args]);
  const options = stdin === undefined ? { okExitCodes: [0, 1] } : { stdin };
  return (await tools.runner.run(file, rest, options)).stdout;
}

/** The faults of a sandbox as the kernel has them; nodes without power are not among them. */
export async function observeFaults(tools: FabricTools, plan: SandboxPlan): Promise<readonly Fault[]> {
  return parseFaults(await runNft(tools, plan, ['list', 'table', 'bridge', TABLE]));
}

function concerns(fault: Fault, name: string): boolean {
  return fault.kind === 'partition' ? fault.a === name || fault.b === name : fault.target === name;
}

async function replaceFaults(tools: FabricTools, plan: SandboxPlan, faults: readonly Fault[]): Promise<void> {
  await runNft(tools, plan, ['-f', '-'], renderFaults(plan, faults));
}

function samePlace(one: Fault, other: Fault): boolean {
  if (one.kind !== 'partition' || other.kind !== 'partition') {
    return one.kind === other.kind && 'target' in one && 'target' in other && one.target === other.target;
  }
  return (one.a === other.a && one.b === other.b) || (one.a === other.b && one.b === other.a);
}

/** Adds a fault to those there are; one of the same kind at the same place is replaced. */
export async function addFault(tools: FabricTools, plan: SandboxPlan, fault: Fault): Promise<void> {
  const others = (await observeFaults(tools, plan)).filter((other) => !samePlace(fault, other));
  await replaceFaults(tools, plan, [...others, fault]);
}

/** Takes away every network fault that concerns a node, `control-plane.<cluster>` or cluster; all of them without a name. */
export async function healFaults(tools: FabricTools, plan: SandboxPlan, name?: string): Promise<void> {
  const left = name === undefined ? [] : (await observeFaults(tools, plan)).filter((fault) => !concerns(fault, name));
  await replaceFaults(tools, plan, left);
}
