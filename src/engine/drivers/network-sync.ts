import { applyPlan, observeNetwork } from '../../host/network.ts';
import { describePlan, diffNetwork } from '../../net/diff.ts';
import { ENGINE_OWNERSHIP } from '../../net/ownership.ts';
import type { NetworkState } from '../../net/state.ts';
import type { DriverDependencies } from './dependencies.ts';

/** Makes the engine's part of the node's network equal to `desired`; logs the plan when it is not empty. */
export async function syncNetwork(
  dependencies: Pick<DriverDependencies, 'runner' | 'logger' | 'onNetwork' | 'beside'>,
  desired: NetworkState,
  signal?: AbortSignal,
): Promise<void> {
  const { runner, logger } = dependencies;
  const observed = await observeNetwork(runner, ENGINE_OWNERSHIP, desired, signal);
  const wanted = withLinks(desired, observed, dependencies.beside?.() ?? []);
  const plan = diffNetwork(wanted, observed);
  dependencies.onNetwork?.(wanted, plan);
  if (plan.length === 0) return;
  for (const step of describePlan(plan).split('\n')) logger.info('network', { step });
  await applyPlan(runner, plan, ENGINE_OWNERSHIP);
}

/** What is wanted, and these links as they are. */
function withLinks(desired: NetworkState, observed: NetworkState, names: readonly string[]): NetworkState {
  if (names.length === 0) return desired;
  return {
    ...desired,
    links: [...desired.links, ...observed.links.filter(({ name }) => names.includes(name))],
    addresses: [...desired.addresses, ...observed.addresses.filter(({ link }) => names.includes(link))],
  };
}
