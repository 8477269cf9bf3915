import type { CommandRunner } from '../../host/command.ts';
import { applyPlan, observeNetwork } from '../../host/network.ts';
import { describePlan, diffNetwork } from '../../net/diff.ts';
import { ENGINE_OWNERSHIP } from '../../net/ownership.ts';
import type { NetworkState } from '../../net/state.ts';
import type { Logger } from '../../runtime/logger.ts';

/** Makes the engine's part of the node's network equal to `desired`; logs the plan when it is not empty. */
export async function syncNetwork(
  dependencies: { readonly runner: CommandRunner; readonly logger: Logger },
  desired: NetworkState,
  signal?: AbortSignal,
): Promise<void> {
  const { runner, logger } = dependencies;
  const observed = await observeNetwork(runner, ENGINE_OWNERSHIP, { sysctls: desired.sysctls }, signal);
  const plan = diffNetwork(desired, observed);
  if (plan.length === 0) return;
  for (const step of describePlan(plan).split('\n')) logger.info('network', { step });
  await applyPlan(runner, plan, ENGINE_OWNERSHIP);
}
