import { CommandError, type CommandRunner } from '../../host/command.ts';
import { systemClock } from '../../runtime/clock.ts';
import { ExpectedError } from '../../runtime/errors.ts';
import { wanBridges, type SandboxPlan } from '../plan.ts';
import type { FabricTools } from './fabric.ts';

/** The link in the WAN namespace through which packets go that are delayed by a program. */
export const DELAY_LINK = 'delay0';

const DELAY_TABLE = 200;
const READY_MS = 10_000;
const POLL_MS = 20;
/** Packets under way on one bridge. */
const NETEM_LIMIT = 100_000;

/** How the WAN is delayed: `netem` by the kernel, `relay` by a program in the WAN namespace. */
export type WanDelay = 'none' | 'netem' | 'relay';

async function delayByNetem(runner: CommandRunner, plan: SandboxPlan, delayMs: number): Promise<boolean> {
  const netem = ['root', 'netem', 'delay', `${delayMs}ms`, 'limit', String(NETEM_LIMIT)];
  for (const bridge of wanBridges(plan)) {
    const args = ['-n', plan.wan.namespace, 'qdisc', 'replace', 'dev', bridge, ...netem];
    const { exitCode, stderr } = await runner.run('tc', args, { okExitCodes: [0, 1, 2] });
    if (exitCode === 0) continue;
    // A kernel without the module says one of these; anything else is a mistake.
    if (/qdisc kind is unknown|No such file or directory/i.test(stderr)) return false;
    throw new CommandError('tc', args, { exitCode, stdout: '', stderr });
  }
  return true;
}

async function isRelayUp(runner: CommandRunner, plan: SandboxPlan): Promise<boolean> {
  const args = ['-n', plan.wan.namespace, '-br', 'link', 'show', 'dev', DELAY_LINK, 'up'];
  const { exitCode, stdout } = await runner.run('ip', args, { okExitCodes: [0, 1] });
  return exitCode === 0 && stdout.includes(DELAY_LINK);
}

async function awaitRelay(tools: FabricTools, plan: SandboxPlan): Promise<void> {
  const { runner, clock = systemClock } = tools;
  const deadline = clock.monotonic() + READY_MS;
  while (!(await isRelayUp(runner, plan))) {
    if (clock.monotonic() > deadline) {
      throw new ExpectedError(
        'the WAN cannot be delayed: this kernel has no netem and the program that stands in does not start',
        {
          hint: 'The program needs socat and /dev/net/tun (CONFIG_TUN); with CONFIG_NET_SCH_NETEM it is not needed. Or leave out --wan-latency.',
        },
      );
    }
    await clock.sleep(POLL_MS);
  }
}

/** Everything between two networks goes through the relay: what comes from a bridge to it, what comes from it to its end. */
async function routeThroughRelay(runner: CommandRunner, plan: SandboxPlan): Promise<void> {
  const inside = ['-n', plan.wan.namespace];
  const { stdout } = await runner.run('ip', [...inside, 'rule', 'show', 'priority', String(DELAY_TABLE)]);
  const known = stdout.split('\n').map((line) => / iif (\S+)/.exec(line)?.[1]);
  const rules = wanBridges(plan)
    .filter((bridge) => !known.includes(bridge))
    .map((bridge) => `rule add priority ${DELAY_TABLE} iif ${bridge} lookup ${DELAY_TABLE}`);
  const lines = [`route replace default dev ${DELAY_LINK} table ${DELAY_TABLE}`, ...rules];
  await runner.run('ip', [...inside, '-batch', '-'], { stdin: `${lines.join('\n')}\n` });
}

/**
 * Delays every packet between two networks of the sandbox (clusters, control planes over the WAN) one way by `delayMs`;
 * traffic inside a LAN is not delayed. Where the kernel has no netem, `startRelay` is called to start `runDelay` in the
 * WAN namespace; rejects with ExpectedError when that does not work either. May be repeated.
 */
export async function delayWan(
  tools: FabricTools,
  plan: SandboxPlan,
  delayMs: number,
  startRelay: () => Promise<unknown>,
): Promise<WanDelay> {
  const { runner } = tools;
  if (delayMs <= 0) return 'none';
  if (await delayByNetem(runner, plan, delayMs)) return 'netem';
  if (!(await isRelayUp(runner, plan))) {
    await startRelay();
    await awaitRelay(tools, plan);
  }
  await routeThroughRelay(runner, plan);
  return 'relay';
}
