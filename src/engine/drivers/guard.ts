import { ENGINE_OWNERSHIP, OVERLAY } from '../../net/ownership.ts';
import type { Ruleset } from '../../net/state.ts';
import { ipv4Cidrs } from './cable-routes.ts';

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
