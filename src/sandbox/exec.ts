import { readFileSync } from 'node:fs';
import { ExpectedError, UsageError } from '../runtime/errors.ts';
import type { Environment } from '../runtime/process.ts';
import { inNamespace, isNodeAlive } from './fabric/fabric.ts';
import { isAlive } from './processes.ts';
import { readRecords, type PodRecord } from './pods/record.ts';
import { besideCommand } from './pods/probes.ts';
import { clusterOf, nodeOf, type SandboxPlan } from './plan.ts';

/** A program to be run in a sandbox: the command line and, for one in a pod, its whole environment. */
export interface ExecCommand {
  readonly command: readonly string[];
  readonly env?: Environment;
}

/** A pod to run something in. */
export interface PodTarget {
  readonly cluster: string;
  /** Default `default`. */
  readonly namespace?: string;
  readonly pod: string;
  /** Default: the first one that runs. */
  readonly container?: string;
}

/** The command line that runs a program on a node: in its network, with the files of this machine. Throws for an unknown or dead node. */
export function execInNode(
  plan: SandboxPlan,
  target: { readonly cluster: string; readonly node: string },
  command: readonly string[],
): ExecCommand {
  const node = nodeOf(clusterOf(plan, target.cluster), target.node);
  if (!isNodeAlive(node)) {
    throw new ExpectedError(`node ${node.name} has no power`, {
      hint: `Give it back with: subctl sandbox fault ${node.cluster} ${node.name} --heal`,
    });
  }
  return { command: inNamespace(node.namespace, command) };
}

function findPod(plan: SandboxPlan, target: PodTarget, nodeDir: (node: string) => string): PodRecord {
  const { cluster, namespace = 'default', pod } = target;
  const records = clusterOf(plan, cluster).nodes.flatMap((node) => readRecords(nodeDir(node.name)));
  const found = records.find((one) => one.namespace === namespace && one.name === pod);
  if (found !== undefined) return found;
  const names = records.filter((one) => one.namespace === namespace).map((one) => one.name);
  throw new UsageError(`cluster ${cluster} runs no pod "${pod}" in namespace ${namespace}`, {
    hint: names.length === 0 ? 'It runs none in this namespace.' : `It runs: ${names.sort().join(', ')}.`,
  });
}

function environmentOf(pid: number): Readonly<Record<string, string>> {
  const pairs = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').slice(0, -1);
  return Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
}

/**
 * The command line that runs a program in a container of a pod: its files, network, host name and environment. `nodeDir`
 * gives the directory of a node. Throws UsageError for an unknown pod or container, ExpectedError when it does not run.
 */
export function execInPod(
  plan: SandboxPlan,
  target: PodTarget,
  nodeDir: (node: string) => string,
  command: readonly string[],
): ExecCommand {
  const record = findPod(plan, target, nodeDir);
  const { container } = target;
  if (container !== undefined && record.containers[container] === undefined) {
    throw new UsageError(`pod ${record.name} has no container "${container}" that was started`, {
      hint: `It has: ${Object.keys(record.containers).sort().join(', ')}.`,
    });
  }
  const candidates = Object.entries(record.containers).filter(
    ([name]) => container === undefined || name === container,
  );
  const running = candidates.find(([, one]) => isAlive(one));
  if (running === undefined) {
    throw new ExpectedError(`pod ${record.name} does not run now`, {
      hint: `Look at it with: kubectl --context ${target.cluster} -n ${record.namespace} describe pod ${record.name}`,
    });
  }
  const [, process] = running;
  return besideCommand(process, command, process.container === undefined ? environmentOf(process.pid) : {});
}
