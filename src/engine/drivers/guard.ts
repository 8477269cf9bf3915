import { applyPlan } from '../../host/network.ts';
import { observeTable } from '../../host/nft.ts';
import { describePlan } from '../../net/diff.ts';
import { ENGINE_OWNERSHIP, OVERLAY } from '../../net/ownership.ts';
import { diffRuleset } from '../../net/ruleset.ts';
import type { Ruleset } from '../../net/state.ts';
import { ipv4Cidrs } from './cable-routes.ts';
import type { DriverDependencies } from './dependencies.ts';

/**
 * The nft table that keeps packets for `guardedCidrs` inside the tunnels and the overlay of the own cluster (by which a
 * standby sends its pods' packets to the active gateway): dropped when they are about to leave by another link. `transformed`:
 * packets that an xfrm link has found an SA for pass the hook once more, on their way to the underlay. Undefined when
 * nothing is guarded.
 */
export function desiredGuard(
  guardedCidrs: readonly string[],
  tunnels: readonly string[],
  transformed: 'transformed' | 'never transformed' = 'never transformed',
): Ruleset | undefined {
  const elements = ipv4Cidrs(guardedCidrs);
  if (elements.length === 0) return undefined;
  const allowed = [...tunnels, OVERLAY.link].map((link) => `"${link}"`).join(', ');
  const outside = `oifname != { ${allowed} }${transformed === 'transformed' ? ' rt ipsec missing' : ''}`;
  return {
    table: ENGINE_OWNERSHIP.nftTable,
    sets: [{ name: 'guarded', type: 'ipv4_addr', interval: true, elements }],
    chains: [
      {
        name: 'guard',
        hook: { type: 'filter', hook: 'postrouting', priority: 0 },
        rules: [`ip daddr @guarded ${outside} drop comment "never in clear"`],
      },
    ],
  };
}

/**
 * Has the guard in the kernel before anything else of a cable is made: a peer's CIDRs are known long before its tunnel
 * carries packets. It only ever adds; what is to go goes with the rest of the network.
 */
export class EarlyGuard {
  readonly #dependencies: Pick<DriverDependencies, 'runner' | 'logger'>;
  #guarded: ReadonlySet<string> = new Set();

  constructor(dependencies: Pick<DriverDependencies, 'runner' | 'logger'>) {
    this.#dependencies = dependencies;
  }

  /**
   * Looks at the kernel only when something is to be guarded that was not the last time. Rejects when that is not possible:
   * then no cable is to be made either.
   */
  async widen(ruleset: Ruleset | undefined, signal: AbortSignal): Promise<void> {
    const elements = ruleset?.sets.flatMap((set) => set.elements) ?? [];
    if (ruleset === undefined || elements.every((element) => this.#guarded.has(element))) return;
    const { runner, logger } = this.#dependencies;
    const observed = await observeTable(runner, ruleset.table, signal);
    const sets = ruleset.sets.map((set) => {
      const seen = observed?.sets.find(({ name }) => name === set.name)?.elements ?? [];
      return { ...set, elements: ipv4Cidrs([...set.elements, ...seen]) };
    });
    const plan = diffRuleset({ ...ruleset, sets }, observed);
    if (plan.length > 0) logger.info('guards before cables are made', { plan: describePlan(plan) });
    await applyPlan(runner, plan, ENGINE_OWNERSHIP);
    this.#guarded = new Set(elements);
  }
}
