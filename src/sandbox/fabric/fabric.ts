import { createHash } from 'node:crypto';
import type { CommandRunner } from '../../host/command.ts';
import { systemClock, type Clock } from '../../runtime/clock.ts';
import { clusterOf, isPodNamespaceOf, plannedNamespaces, type NodePlan, type SandboxPlan } from '../plan.ts';
import { creationLines, layouts, nodeCreationLines, nodeLayout, portLine, type NamespaceLayout } from './layout.ts';
import { isNamespace, listNamespaces, namespaceFile, namespacesOf, stopProcessesIn } from './namespaces.ts';

/** What the functions of the fabric work with. The runner must be one without a namespace. */
export interface FabricTools {
  readonly runner: CommandRunner;
  readonly clock?: Clock;
}

/** Time the processes of a sandbox get to end by themselves. */
const GRACE_MS = 3000;
const BATCH_MS = 60_000;

/** The command line that runs a program inside a namespace, in the caller's mount namespace (unlike `ip netns exec`). */
export function inNamespace(namespace: string, command: readonly string[]): readonly string[] {
  return ['nsenter', `--net=${namespaceFile(namespace)}`, '--', ...command];
}

async function runBatch(runner: CommandRunner, lines: readonly string[], namespace?: string): Promise<void> {
  const inside = namespace === undefined ? [] : ['-n', namespace];
  await runner.run('ip', [...inside, '-batch', '-'], { stdin: `${lines.join('\n')}\n`, timeoutMs: BATCH_MS });
}

async function layOut(runner: CommandRunner, layout: NamespaceLayout): Promise<void> {
  await runBatch(runner, layout.lines, layout.namespace);
  const [file = '', ...args] = inNamespace(layout.namespace, ['sysctl', '-qw', ...layout.sysctls]);
  await runner.run(file, args);
}

/** Stands on the WAN bridge of a fabric that was built to the end, and says what it was built as. */
function seal(plan: SandboxPlan): string {
  return `subctl sandbox ${createHash('sha256').update(JSON.stringify(plan)).digest('hex').slice(0, 32)}`;
}

async function isComplete(runner: CommandRunner, plan: SandboxPlan): Promise<boolean> {
  if (!plannedNamespaces(plan).every(isNamespace)) return false;
  const args = ['-n', plan.wan.namespace, '-j', 'link', 'show', 'dev', plan.wan.bridge];
  const { exitCode, stdout } = await runner.run('ip', args, { okExitCodes: [0, 1] });
  return exitCode === 0 && stdout.includes(`"${seal(plan)}"`);
}

/**
 * Makes the networks of a sandbox: a namespace for the WAN, each control plane and each node, with LANs and routes.
 * Leaves one alone that was made from the same plan (`kept`); whatever else has its names is removed first, with the
 * processes inside. Nothing is made in the caller's own network namespace.
 */
export async function createFabric(tools: FabricTools, plan: SandboxPlan): Promise<'created' | 'kept'> {
  const { runner } = tools;
  if (await isComplete(runner, plan)) return 'kept';
  if (namespacesOf(plan.name).length > 0) await destroyFabric(tools, plan.name);
  await runBatch(runner, creationLines(plan));
  await Promise.all(layouts(plan).map((layout) => layOut(runner, layout)));
  await runBatch(runner, [`link set dev ${plan.wan.bridge} alias "${seal(plan)}"`], plan.wan.namespace);
  return 'created';
}

/** What was found and removed. */
export interface FabricRemains {
  readonly processes: number;
  readonly namespaces: number;
}

/**
 * Ends every process in the namespaces of a sandbox (SIGTERM, then SIGKILL after `graceMs`) and removes the namespaces
 * with all links. Needs nothing but the sandbox's name, so it works after any crash; a second time it finds nothing.
 */
export async function destroyFabric(
  tools: FabricTools,
  sandbox: string,
  options: { readonly graceMs?: number } = {},
): Promise<FabricRemains> {
  return removeNamespaces(tools, () => namespacesOf(sandbox), options.graceMs ?? GRACE_MS);
}

async function removeNamespaces(
  tools: FabricTools,
  find: () => readonly string[],
  graceMs: number,
): Promise<FabricRemains> {
  const { runner, clock = systemClock } = tools;
  let processes = 0;
  let namespaces = 0;
  // A node agent may have made a pod's namespace between the look and its end.
  for (let found = find(); found.length > 0; found = find()) {
    processes += await stopProcessesIn(found, { clock, graceMs });
    await runBatch(
      runner,
      found.map((name) => `netns del ${name}`),
    );
    namespaces += found.length;
  }
  return { processes, namespaces };
}

/**
 * A power failure: every process of the node and its pods is killed and everything in its kernel (links, routes, rules)
 * is lost at once; files stay. A node that is already dead stays dead.
 */
export async function killNode(tools: FabricTools, plan: SandboxPlan, node: NodePlan): Promise<FabricRemains> {
  // Removing a namespace ends its traffic only some time later, removing the link does at once. Exit code 1: it is gone.
  const unplug = ['-n', plan.wan.namespace, 'link', 'del', 'dev', node.port];
  await tools.runner.run('ip', unplug, { okExitCodes: [0, 1] });
  const mine = (name: string): boolean => name === node.namespace || isPodNamespaceOf(plan.name, node.name, name);
  return removeNamespaces(tools, () => listNamespaces().filter(mine), 0);
}

/** True while the node has power. */
export function isNodeAlive(node: NodePlan): boolean {
  return isNamespace(node.namespace);
}

/** Gives a killed node its power back, with an empty kernel; false when it has not lost it. Starting its agent is up to the caller. */
export async function reviveNode(tools: FabricTools, plan: SandboxPlan, node: NodePlan): Promise<boolean> {
  if (isNodeAlive(node)) return false;
  const { runner } = tools;
  const cluster = clusterOf(plan, node.cluster);
  await runBatch(runner, nodeCreationLines(plan, node));
  await layOut(runner, nodeLayout(node, cluster.router));
  await runBatch(runner, [portLine(cluster.bridge, node.port)], plan.wan.namespace);
  return true;
}
