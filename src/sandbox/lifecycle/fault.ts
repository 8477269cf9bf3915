import { ExpectedError } from '../../runtime/errors.ts';
import { isNodeAlive, killNode, reviveNode } from '../fabric/fabric.ts';
import { controlPlaneTarget, WHOLE_WAN, type FaultScope, type NetworkFault } from '../fabric/fault-rules.ts';
import { describeFault, type Fault } from '../fabric/fault-text.ts';
import { addFault, healFaults, observeFaults } from '../fabric/faults.ts';
import { continuePrograms, observePauses, signalProgram } from '../fabric/programs.ts';
import { renumberNode } from '../fabric/renumber.ts';
import { acceptConnections, observeRefusal, refuseConnections } from '../fabric/refusals.ts';
import { clusterOf, nodeOf, planSandbox, type ClusterPlan, type NodePlan, type SandboxPlan } from '../plan.ts';
import { isAlive } from '../processes.ts';
import { startNode } from './nodes.ts';
import { readState, requireState, writeState } from './state.ts';
import type { SandboxTools } from './tools.ts';

/** What can be done to a node. */
export type NodeFault =
  | { readonly kind: 'kill' }
  | { readonly kind: 'blackhole'; readonly direction: 'both' | 'in' | 'out'; readonly only?: FaultScope }
  | { readonly kind: 'loss'; readonly percent: number; readonly only?: FaultScope }
  | { readonly kind: 'cut'; readonly from: string }
  | { readonly kind: 'kill-process' | 'pause-process'; readonly program: string }
  | { readonly kind: 'renumber'; readonly address: string }
  | { readonly kind: 'heal' };

/** What can be done to the API server of a cluster; healing a cluster heals its nodes too. */
export type ClusterFault =
  { readonly kind: 'api'; readonly how: 'refuse' | 'blackhole'; readonly only?: 'wan' } | { readonly kind: 'heal' };

/** What can be done to the network between the clusters; healing it heals everything. */
export type WanFault =
  | { readonly kind: 'wan-loss'; readonly percent: number }
  | { readonly kind: 'partition'; readonly a: string; readonly b: string }
  | { readonly kind: 'heal' };

interface Target {
  readonly plan: SandboxPlan;
  readonly cluster: ClusterPlan;
  readonly node: NodePlan;
}

function planOf(tools: SandboxTools, name: string): SandboxPlan {
  return planSandbox(requireState(tools.files, name).options);
}

async function addDescribed(tools: SandboxTools, plan: SandboxPlan, fault: NetworkFault): Promise<string> {
  await addFault(tools, plan, fault);
  return describeFault(fault);
}

async function healNode(tools: SandboxTools, name: string, { plan, cluster, node }: Target): Promise<string> {
  await healFaults(tools, plan, node.name);
  continuePrograms(plan, node);
  const agent = requireState(tools.files, name).processes[`node/${node.name}`];
  const revived = await reviveNode(tools, plan, node);
  await renumberNode(tools, cluster, node, node.address);
  if (!revived && agent !== undefined && isAlive(agent)) return `${node.name} is reachable again`;
  await startNode(tools, plan, cluster, node, (role, identity) => {
    const current = readState(tools.files) ?? requireState(tools.files, name);
    writeState(tools.files, { ...current, processes: { ...current.processes, [role]: identity } });
  });
  return `${node.name} starts again`;
}

/** Breaks or heals a node; resolves with a sentence that says what was done. Doing it twice changes nothing. */
export async function faultNode(
  tools: SandboxTools,
  at: { readonly name: string; readonly cluster: string; readonly node: string },
  fault: NodeFault,
): Promise<string> {
  const plan = planOf(tools, at.name);
  const cluster = clusterOf(plan, at.cluster);
  const target = { plan, cluster, node: nodeOf(cluster, at.node) };
  const { node } = target;
  if (fault.kind === 'heal') return healNode(tools, at.name, target);
  if (fault.kind === 'kill') {
    const { processes } = await killNode(tools, plan, node);
    return `${node.name} is dead (${processes} processes ended)`;
  }
  if (!isNodeAlive(node)) {
    throw new ExpectedError(`${node.name} is dead already`, {
      hint: `Bring it back first: subctl sandbox fault ${at.cluster} ${node.name} --heal`,
    });
  }
  return breakLivingNode(tools, target, fault);
}

async function breakLivingNode(
  tools: SandboxTools,
  { plan, cluster, node }: Target,
  fault: Exclude<NodeFault, { kind: 'heal' | 'kill' }>,
): Promise<string> {
  switch (fault.kind) {
    case 'cut':
      return addDescribed(tools, plan, { kind: 'cut', a: node.name, b: nodeOf(cluster, fault.from).name });
    case 'kill-process':
      signalProgram(plan, node, fault.program, 'SIGKILL');
      return `${fault.program} on ${node.name} is dead`;
    case 'pause-process':
      signalProgram(plan, node, fault.program, 'SIGSTOP');
      return describeFault({ kind: 'paused', target: node.name, program: fault.program });
    case 'renumber':
      await renumberNode(tools, cluster, node, fault.address);
      return `${node.name} has the address ${fault.address}`;
    default:
      return addDescribed(tools, plan, { ...fault, target: node.name });
  }
}

async function healCluster(tools: SandboxTools, name: string, plan: SandboxPlan, cluster: ClusterPlan): Promise<void> {
  await acceptConnections(tools, cluster);
  for (const concerned of [controlPlaneTarget(cluster.name), cluster.name]) await healFaults(tools, plan, concerned);
  for (const node of cluster.nodes) await healNode(tools, name, { plan, cluster, node });
}

/** Breaks the API server of a cluster, or heals the whole cluster; resolves with a sentence that says what was done. */
export async function faultCluster(
  tools: SandboxTools,
  at: { readonly name: string; readonly cluster: string },
  fault: ClusterFault,
): Promise<string> {
  const plan = planOf(tools, at.name);
  const cluster = clusterOf(plan, at.cluster);
  if (fault.kind === 'heal') {
    await healCluster(tools, at.name, plan, cluster);
    return `${cluster.name} is healed`;
  }
  const target = controlPlaneTarget(cluster.name);
  const only = fault.only === undefined ? {} : { only: fault.only };
  if (fault.how === 'blackhole') {
    return addDescribed(tools, plan, { kind: 'blackhole', target, direction: 'both', ...only });
  }
  await refuseConnections(tools, cluster, only);
  return describeFault({ kind: 'refused', target, ...only });
}

/** Breaks the network between the clusters, or heals everything; resolves with a sentence that says what was done. */
export async function faultWan(tools: SandboxTools, name: string, fault: WanFault): Promise<string> {
  const plan = planOf(tools, name);
  if (fault.kind === 'heal') {
    await healFaults(tools, plan);
    for (const cluster of plan.clusters) await healCluster(tools, name, plan, cluster);
    return 'Everything is healed';
  }
  if (fault.kind === 'partition') return addDescribed(tools, plan, fault);
  const { percent } = fault;
  if (percent > 0) return addDescribed(tools, plan, { kind: 'loss', target: WHOLE_WAN, percent });
  await healFaults(tools, plan, WHOLE_WAN);
  return 'The WAN loses no packets any more';
}

/** Everything that is wrong with a sandbox, as the kernel has it. */
export async function observeAllFaults(tools: SandboxTools, plan: SandboxPlan): Promise<readonly Fault[]> {
  const network = await observeFaults(tools, plan);
  const refusals = await Promise.all(plan.clusters.map((cluster) => observeRefusal(tools, cluster)));
  return [...network, ...refusals.filter((one) => one !== undefined), ...observePauses(plan)];
}
