import type { CommandRunner } from '../../host/command.ts';
import { applyPlan, observeNetwork } from '../../host/network.ts';
import { observeSysctls } from '../../host/sysctl.ts';
import { describePlan, diffNetwork } from '../../net/diff.ts';
import { ENGINE_OWNERSHIP } from '../../net/ownership.ts';
import { sysctlLink, type NetworkState } from '../../net/state.ts';
import type { DriverDependencies } from './dependencies.ts';

/** The engine's part of the node's network now, with those sysctls of `desired` whose link is there. */
async function observeCables(
  runner: CommandRunner,
  desired: NetworkState,
  signal: AbortSignal | undefined,
): Promise<NetworkState> {
  const observed = await observeNetwork(runner, ENGINE_OWNERSHIP, { sysctls: [] }, signal);
  const present = new Set(observed.links.map((link) => link.name));
  const keys = desired.sysctls.map((sysctl) => sysctl.key).filter((key) => present.has(sysctlLink(key) ?? ''));
  return { ...observed, sysctls: await observeSysctls(runner, keys, signal) };
}

/** Makes the engine's part of the node's network equal to `desired`; logs the plan when it is not empty. */
export async function syncNetwork(
  dependencies: Pick<DriverDependencies, 'runner' | 'logger' | 'onNetwork'>,
  desired: NetworkState,
  signal?: AbortSignal,
): Promise<void> {
  const { runner, logger } = dependencies;
  const plan = diffNetwork(desired, await observeCables(runner, desired, signal));
  dependencies.onNetwork?.(desired, plan);
  if (plan.length === 0) return;
  for (const step of describePlan(plan).split('\n')) logger.info('network', { step });
  await applyPlan(runner, plan, ENGINE_OWNERSHIP);
}
