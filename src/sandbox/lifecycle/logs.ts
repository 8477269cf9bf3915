import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { UsageError } from '../../runtime/errors.ts';
import { clusterOf, nodeOf, planSandbox } from '../plan.ts';
import { readRecords, type PodRecord } from '../pods/record.ts';
import { nodeRole } from './nodes.ts';
import { requireState, type SandboxFiles } from './state.ts';
import type { SandboxTools } from './tools.ts';

/** Which log. */
export interface LogPlace {
  /** Of the sandbox. */
  readonly name: string;
  readonly cluster: string;
  /** A node, or `control-plane`. */
  readonly node: string;
  /** gateway, routeagent, node, or (the beginning of) the name of a pod. */
  readonly daemon: string;
}

/** Prefixes of pod names by what operators call the daemons. */
const DAEMONS: Readonly<Record<string, string>> = {
  gateway: 'submariner-gateway-',
  engine: 'submariner-gateway-',
  routeagent: 'submariner-routeagent-',
};

interface ContainerLog {
  readonly pod: string;
  readonly file: string;
}

function containerLogs(files: SandboxFiles, node: string, record: PodRecord): readonly ContainerLog[] {
  return Object.keys(record.containers).map((container) => ({
    pod: record.name,
    file: path.join(files.nodeDir(node), 'logs', `${record.namespace}_${record.name}_${container}.log`),
  }));
}

/** The log of a daemon on a node; throws UsageError with what there is for one that does not run there. */
export async function readLog(tools: Pick<SandboxTools, 'files'>, place: LogPlace): Promise<string> {
  const { files } = tools;
  const cluster = clusterOf(planSandbox(requireState(files, place.name).options), place.cluster);
  if (place.node === 'control-plane') return readFileSync(files.log(`controlplane/${cluster.name}`), 'utf8');
  const node = nodeOf(cluster, place.node);
  if (place.daemon === 'node' || place.daemon === 'kubelet') return readFileSync(files.log(nodeRole(node)), 'utf8');
  const prefix = DAEMONS[place.daemon] ?? place.daemon;
  const records = readRecords(files.nodeDir(node.name));
  const logs = records
    .filter((record) => record.name.startsWith(prefix))
    .flatMap((record) => containerLogs(files, node.name, record))
    .filter(({ file }) => existsSync(file));
  if (logs.length > 0) return logs.map(({ file }) => readFileSync(file, 'utf8')).join('');
  throw new UsageError(`node ${node.name} runs no ${place.daemon}`, {
    hint: `It runs: ${['node', ...records.map((record) => record.name).sort()].join(', ')}.`,
  });
}
