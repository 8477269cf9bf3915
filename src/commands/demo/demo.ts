import path from 'node:path';
import { CommandError } from '../../host/command.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { removeSandbox } from '../../sandbox/lifecycle/down.ts';
import { withLock } from '../../sandbox/lifecycle/lock.ts';
import type { SandboxOptions } from '../../sandbox/lifecycle/state.ts';
import type { SandboxTools } from '../../sandbox/lifecycle/tools.ts';
import { startSandbox } from '../../sandbox/lifecycle/up.ts';
import type { SandboxPlan } from '../../sandbox/plan.ts';
import type { CommandRun } from '../context.ts';
import { formatDuration } from '../duration.ts';
import { controlPlanePath, programName, requireRoot, sandboxTools } from '../sandbox/tools.ts';
import { describeTrouble } from './trouble.ts';
import type { DemoFlags } from './flags.ts';

const CLI_TIMEOUT_MS = 180_000;

/** One demo under way. */
interface Demo {
  readonly run: CommandRun;
  readonly tools: SandboxTools;
  readonly flags: DemoFlags;
}

function optionsOf(run: CommandRun, flags: DemoFlags): SandboxOptions {
  const size = { clusters: ['east', 'west'], nodes: 3, gateways: 1, wanLatencyMs: 0 };
  return { name: flags.name, ...size, controlPlane: controlPlanePath(run, flags), runtime: flags.runtime };
}

function interrupted(cause: unknown, name: string): ExpectedError {
  return new ExpectedError('interrupted', {
    hint: `What is left, if anything, is removed by: subctl sandbox down --name ${name}`,
    cause,
  });
}

/** Runs subctl itself as a user would, in the directory of the sandbox; resolves with its output. */
async function subctl(demo: Demo, args: readonly string[]): Promise<string> {
  const { run, tools } = demo;
  const { files, product, runner, signal } = tools;
  const program = [product.node, path.join(product.dist, 'subctl.mjs'), ...args, '--kubeconfig', files.kubeconfig];
  return run.reporter.step(`subctl ${args.join(' ')}`, async () => {
    try {
      const { stdout } = await runner.run('env', ['-C', files.dir, ...program], { timeoutMs: CLI_TIMEOUT_MS, signal });
      return stdout;
    } catch (error) {
      if (signal.aborted) throw interrupted(error, demo.flags.name);
      if (!(error instanceof CommandError)) throw error;
      throw new ExpectedError(`subctl ${args[0] ?? ''} failed:\n${error.stderr}${error.stdout}`.trimEnd(), {
        cause: error,
      });
    }
  });
}

async function connect(demo: Demo, plan: SandboxPlan): Promise<void> {
  const { flags, run } = demo;
  const [first] = plan.clusters;
  // Whoever gives the demo an API server of their own has chosen its version.
  const anyVersion = flags.controlPlane === 'embedded' ? [] : ['--ignore-requirements'];
  await subctl(demo, ['deploy-broker', '--context', first?.name ?? '']);
  for (const { name, nodes } of plan.clusters) {
    const gateways = nodes.filter((node) => node.gateway).map((node) => node.name);
    const identity = ['--context', name, '--clusterid', name, '--gateway-nodes', gateways.join(',')];
    await subctl(demo, ['join', 'broker-info.subm', ...identity, '--cable-driver', flags.cableDriver, ...anyVersion]);
  }
  for (const { name } of plan.clusters) {
    run.print(await subctl(demo, ['show', 'connections', '--context', name, '--wait', '--timeout', '60s']));
  }
}

async function perform(demo: Demo): Promise<void> {
  const { run, tools, flags } = demo;
  const { plan } = await withLock(tools.files.lock, () => startSandbox(tools, optionsOf(run, flags)));
  const [a, b] = plan.clusters;
  if (a === undefined || b === undefined) throw new ExpectedError('the demo needs two clusters');
  try {
    await connect(demo, plan);
    // All nodes share the cores of one machine, which may stand still for some seconds.
    const patience = ['--connection-timeout', '20s'];
    run.print(await subctl(demo, ['verify', '--context', a.name, '--tocontext', b.name, ...patience]));
  } catch (error) {
    if (!tools.signal.aborted)
      run.context.terminal.stderr.write(await describeTrouble(tools, flags.name, plan.clusters));
    throw error;
  }
}

/**
 * `subctl demo`: two clusters are started, joined and proven to reach each other, then removed unless they are to be
 * kept; removed also after a failure or an interruption. Rejects unless every request was good.
 */
export async function demo(run: CommandRun, flags: DemoFlags): Promise<void> {
  requireRoot();
  const tools = sandboxTools(run, flags.name);
  const startedMs = run.context.clock.monotonic();
  const remove = (): Promise<unknown> => withLock(tools.files.lock, () => removeSandbox(tools, flags.name));
  await run.reporter.step('Nothing left of an earlier demo', remove);
  try {
    await perform({ run, tools, flags });
  } finally {
    if (!flags.keep) await run.reporter.step('Everything removed', remove);
  }
  const suffix = `--name ${flags.name}`;
  run.reporter.done(`Done in ${formatDuration(run.context.clock.monotonic() - startedMs)}`);
  if (!flags.keep) return;
  const program = programName(run, tools);
  run.reporter.info(`Use the clusters:  eval "$(${program} sandbox env ${suffix})"`);
  run.reporter.info(`Remove them:       ${program} sandbox down ${suffix}`);
}
