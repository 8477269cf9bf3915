import type { SandboxPlan } from '../plan.ts';
import { inNamespace, type FabricTools } from './fabric.ts';
import { concerns, FAULT_TABLE, parseFaults, renderFaults, samePlace, type NetworkFault } from './fault-rules.ts';

async function runNft(tools: FabricTools, plan: SandboxPlan, args: readonly string[], stdin?: string): Promise<string> {
  const [file = '', ...rest] = inNamespace(plan.wan.namespace, ['nft', ...args]);
  const options = stdin === undefined ? { okExitCodes: [0, 1] } : { stdin };
  return (await tools.runner.run(file, rest, options)).stdout;
}

/** The network faults of a sandbox as the kernel has them; nodes without power are not among them. */
export async function observeFaults(tools: FabricTools, plan: SandboxPlan): Promise<readonly NetworkFault[]> {
  return parseFaults(await runNft(tools, plan, ['list', 'table', 'bridge', FAULT_TABLE]));
}

async function replaceFaults(tools: FabricTools, plan: SandboxPlan, faults: readonly NetworkFault[]): Promise<void> {
  await runNft(tools, plan, ['-f', '-'], renderFaults(plan, faults));
}

/** Adds a fault to those there are; one of the same kind at the same place is replaced. */
export async function addFault(tools: FabricTools, plan: SandboxPlan, fault: NetworkFault): Promise<void> {
  const others = (await observeFaults(tools, plan)).filter((other) => !samePlace(fault, other));
  await replaceFaults(tools, plan, [...others, fault]);
}

/** Takes away every network fault that concerns a node, `control-plane.<cluster>` or cluster; all of them without a name. */
export async function healFaults(tools: FabricTools, plan: SandboxPlan, name?: string): Promise<void> {
  const left = name === undefined ? [] : (await observeFaults(tools, plan)).filter((fault) => !concerns(fault, name));
  await replaceFaults(tools, plan, left);
}
