import { UsageError } from '../../runtime/errors.ts';
import {
  faultCluster,
  faultNode,
  faultWan,
  type ClusterFault,
  type NodeFault,
  type WanFault,
} from '../../sandbox/lifecycle/fault.ts';
import { withLock } from '../../sandbox/lifecycle/lock.ts';
import type { SandboxTools } from '../../sandbox/lifecycle/tools.ts';
import type { CommandRun } from '../context.ts';
import type { FaultFlags } from './flags.ts';
import { requireRoot, sandboxTools } from './tools.ts';

/** What is asked of `sandbox fault`, and of what. */
export type FaultRequest =
  | { readonly of: 'node'; readonly cluster: string; readonly node: string; readonly fault: NodeFault }
  | { readonly of: 'cluster'; readonly cluster: string; readonly fault: ClusterFault }
  | { readonly of: 'wan'; readonly fault: WanFault };

function programFault({ killProcess, pauseProcess }: FaultFlags): NodeFault | undefined {
  if (killProcess !== undefined) return { kind: 'kill-process', program: killProcess };
  return pauseProcess === undefined ? undefined : { kind: 'pause-process', program: pauseProcess };
}

function nodeFault(flags: FaultFlags): NodeFault | undefined {
  const { kill, blackhole, direction = 'both', loss, only, cut, renumber, heal } = flags;
  const scope = only === undefined ? {} : { only };
  const faults: readonly (NodeFault | undefined)[] = [
    kill === true ? { kind: 'kill' } : undefined,
    blackhole === true ? { kind: 'blackhole', direction, ...scope } : undefined,
    loss === undefined ? undefined : { kind: 'loss', percent: loss, ...scope },
    cut === undefined ? undefined : { kind: 'cut', from: cut },
    programFault(flags),
    renumber === undefined ? undefined : { kind: 'renumber', address: renumber },
    heal === true ? { kind: 'heal' } : undefined,
  ];
  return faults.find((fault) => fault !== undefined);
}

function clusterFault({ api, only, heal }: FaultFlags): ClusterFault | undefined {
  if (heal === true) return { kind: 'heal' };
  if (api === undefined) return undefined;
  if (only === 'tunnels') throw new UsageError('an API server has no tunnels: --only wan is all that goes with --api');
  return { kind: 'api', how: api, ...(only === undefined ? {} : { only }) };
}

function wanFault({ wanLoss, partition, heal }: FaultFlags): WanFault | undefined {
  if (heal === true) return { kind: 'heal' };
  if (wanLoss !== undefined) return { kind: 'wan-loss', percent: wanLoss };
  if (partition === undefined) return undefined;
  const [a, b, ...more] = partition;
  if (a === undefined || b === undefined || a === b || more.length > 0) {
    throw new UsageError('--partition takes two clusters, for instance --partition east,west');
  }
  return { kind: 'partition', a, b };
}

const NODE_FLAGS = '--kill, --blackhole, --loss, --cut, --kill-process, --pause-process, --renumber or --heal';

function checkDetails({ blackhole, loss, api, only, direction = 'both' }: FaultFlags): void {
  if (only !== undefined && blackhole !== true && loss === undefined && api === undefined) {
    throw new UsageError('--only goes with --blackhole, --loss and --api');
  }
  if (direction !== 'both' && blackhole !== true) throw new UsageError('--direction goes with --blackhole');
}

/** What the arguments and flags ask for; throws UsageError when they ask for nothing, or of the wrong thing. */
export function faultRequest(args: readonly (string | undefined)[], flags: FaultFlags): FaultRequest {
  const [cluster, node] = args;
  checkDetails(flags);
  if (cluster === undefined) {
    const fault = wanFault(flags);
    if (fault !== undefined) return { of: 'wan', fault };
    throw new UsageError('say what is to happen: --wan-loss, --partition or --heal; or name a cluster or a node');
  }
  if (node === undefined) {
    const fault = clusterFault(flags);
    if (fault !== undefined) return { of: 'cluster', cluster, fault };
    throw new UsageError(`say what is to happen to ${cluster}: --api or --heal; or name a node`);
  }
  const fault = nodeFault(flags);
  if (fault !== undefined) return { of: 'node', cluster, node, fault };
  throw new UsageError(`say what is to happen to ${node}: ${NODE_FLAGS}`);
}

function perform(tools: SandboxTools, name: string, request: FaultRequest): Promise<string> {
  if (request.of === 'wan') return faultWan(tools, name, request.fault);
  const { cluster } = request;
  if (request.of === 'cluster') return faultCluster(tools, { name, cluster }, request.fault);
  return faultNode(tools, { name, cluster, node: request.node }, request.fault);
}

/** `subctl sandbox fault [CLUSTER [NODE]] --…` */
export async function sandboxFault(run: CommandRun, args: readonly string[], flags: FaultFlags): Promise<void> {
  requireRoot();
  const request = faultRequest(args, flags);
  const tools = sandboxTools(run, flags.name);
  run.reporter.done(await withLock(tools.files.lock, () => perform(tools, flags.name, request)));
}
