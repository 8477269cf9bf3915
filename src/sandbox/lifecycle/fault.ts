import { ExpectedError, UsageError } from '../../runtime/errors.ts';
import { isNodeAlive, killNode, reviveNode } from '../fabric/fabric.ts';
import { addFault, healFaults } from '../fabric/faults.ts';
import { clusterOf, nodeOf, planSandbox, type ClusterPlan, type NodePlan, type SandboxPlan } from '../plan.ts';
import { isAlive } from '../processes.ts';
import { startNode } from './nodes.ts';
import { readState, requireState, writeState, type SandboxState } from './state.ts';
import type { SandboxTools } from './tools.ts';

/** What can be done to a node. */
export type NodeFault = 'kill' | 'blackhole' | 'heal';

interface Target {
  readonly state: SandboxState;
  readonly plan: SandboxPlan;
  readonly cluster: ClusterPlan;
  readonly node: NodePlan;
}

function findTarget(tools: SandboxTools, name: string, cluster: string, node: string): Target {
  const state = requireState(tools.files, name);
  const plan = planSandbox(state.options);
  const found = clusterOf(plan, cluster);
  return { state, plan, cluster: found, node: nodeOf(found, node) };
}

async function heal(tools: SandboxTools, { state, plan, cluster, node }: Target): Promise<string> {
  await healFaults(tools, plan, node.name);
  const agent = state.processes[`node/${node.name}`];
  const revived = await reviveNode(tools, plan, node);
  if (revived || agent === undefined || !isAlive(agent)) {
    await startNode(tools, plan, cluster, node, (role, identity) => {
      const current = readState(tools.files) ?? state;
      writeState(tools.files, { ...current, processes: { ...current.processes, [role]: identity } });
    });
    return `${node.name} starts again`;
  }
  return `${node.name} is reachable again`;
}

/** Breaks or heals a node; resolves with a sentence that says what was done. Doing it twice changes nothing. */
export async function faultNode(
  tools: SandboxTools,
  at: { readonly name: string; readonly cluster: string; readonly node: string },
  fault: NodeFault | undefined,
): Promise<string> {
  if (fault === undefined) throw new UsageError('say what is to happen: --kill, --blackhole or --heal');
  const target = findTarget(tools, at.name, at.cluster, at.node);
  const { plan, node } = target;
  if (fault === 'heal') return heal(tools, target);
  if (fault === 'kill') {
    const { processes } = await killNode(tools, plan, node);
    return `${node.name} is dead (${processes} processes ended)`;
  }
  if (!isNodeAlive(node)) {
    throw new ExpectedError(`${node.name} is dead already`, {
      hint: `Bring it back first: subctl sandbox fault ${at.cluster} ${node.name} --heal`,
    });
  }
  await addFault(tools, plan, { kind: 'blackhole', target: node.name, direction: 'both' });
  return `${node.name} loses every packet`;
}
