import { readFileSync } from 'node:fs';
import { withLock } from '../../sandbox/lifecycle/lock.ts';
import { removeSandbox } from '../../sandbox/lifecycle/down.ts';
import { readLog } from '../../sandbox/lifecycle/logs.ts';
import { runInside } from '../../sandbox/lifecycle/inside.ts';
import { nameOption, requireState, type SandboxOptions } from '../../sandbox/lifecycle/state.ts';
import { sandboxStatus } from '../../sandbox/lifecycle/status.ts';
import { startSandbox } from '../../sandbox/lifecycle/up.ts';
import { clusterOf, planSandbox } from '../../sandbox/plan.ts';
import type { CommandRun } from '../context.ts';
import { renderStructured } from '../output.ts';
import type { SandboxFlags, UpFlags } from './flags.ts';
import { renderStatus } from './status-text.ts';
import { binDirectory, controlPlanePath, isOnPath, programName, requireRoot, sandboxTools } from './tools.ts';

export { sandboxFault } from './fault.ts';

function upOptions(run: CommandRun, flags: UpFlags): SandboxOptions {
  const { name, clusters, nodes, gateways, wanLatency, runtime } = flags;
  const controlPlane = controlPlanePath(run, flags);
  return { name, clusters, nodes, gateways, wanLatencyMs: wanLatency, controlPlane, runtime };
}

/** `subctl sandbox up` */
export async function sandboxUp(run: CommandRun, _args: readonly string[], flags: UpFlags): Promise<void> {
  requireRoot();
  const tools = sandboxTools(run, flags.name);
  const { state, fresh } = await withLock(tools.files.lock, () => startSandbox(tools, upOptions(run, flags)));
  const { reporter } = run;
  const suffix = nameOption(flags.name);
  reporter.done(fresh ? `Clusters ${state.options.clusters.join(' and ')} are up` : 'The sandbox is up already');
  const program = programName(run, tools);
  reporter.info(`Use it in this shell:  eval "$(${program} sandbox env${suffix})"`);
  reporter.info(`Remove it:             ${program} sandbox down${suffix}`);
}

/** `subctl sandbox down` */
export async function sandboxDown(run: CommandRun, _args: readonly string[], flags: SandboxFlags): Promise<void> {
  requireRoot();
  const tools = sandboxTools(run, flags.name);
  const { processes, namespaces } = await withLock(tools.files.lock, () => removeSandbox(tools, flags.name));
  run.reporter.done(
    processes + namespaces === 0
      ? 'There was nothing to remove'
      : `Removed ${processes} processes and ${namespaces} network namespaces`,
  );
}

/** `subctl sandbox status` */
export async function sandboxStatusCommand(
  run: CommandRun,
  _args: readonly string[],
  flags: SandboxFlags,
): Promise<void> {
  const status = await sandboxStatus(sandboxTools(run, flags.name), flags.name);
  const { output } = run.flags;
  if (output === 'json' || output === 'yaml') run.print(await renderStructured(status, output));
  else if (output === 'name') run.print(status.clusters.map(({ name }) => `${name}\n`).join(''));
  else run.print(renderStatus(status, output === 'wide'));
}

/** A word for a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** `subctl sandbox env` */
export async function sandboxEnv(run: CommandRun, _args: readonly string[], flags: SandboxFlags): Promise<void> {
  const { files, product } = sandboxTools(run, flags.name);
  requireState(files, flags.name);
  const lines = [`export KUBECONFIG=${quoted(files.kubeconfig)}`];
  // So that the shell finds subctl too.
  if (!isOnPath(run.context.env['PATH'] ?? '')) lines.push(`export PATH=${quoted(binDirectory(product.dist))}:"$PATH"`);
  run.print(`${lines.join('\n')}\n`);
}

/** `subctl sandbox kubeconfig CLUSTER` */
export async function sandboxKubeconfig(run: CommandRun, args: readonly string[], flags: SandboxFlags): Promise<void> {
  const { files } = sandboxTools(run, flags.name);
  const plan = planSandbox(requireState(files, flags.name).options);
  run.print(readFileSync(files.clusterKubeconfig(clusterOf(plan, args[0] ?? '').name), 'utf8'));
}

/** `subctl sandbox exec CLUSTER NODE|pod/NAME -- CMD…`; the exit code is that of the program. */
export async function sandboxExec(run: CommandRun, args: readonly string[], flags: SandboxFlags): Promise<void> {
  requireRoot();
  const [cluster = '', target = '', ...command] = args;
  const tools = sandboxTools(run, flags.name);
  const exitCode = await runInside(tools, { name: flags.name, cluster, target }, command);
  if (exitCode !== 0) process.exitCode = exitCode;
}

/** `subctl sandbox logs CLUSTER NODE DAEMON` */
export async function sandboxLogs(run: CommandRun, args: readonly string[], flags: SandboxFlags): Promise<void> {
  const [cluster = '', node = '', daemon = ''] = args;
  run.print(await readLog(sandboxTools(run, flags.name), { name: flags.name, cluster, node, daemon }));
}
