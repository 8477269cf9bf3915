import { ENGINE_OWNERSHIP, OVERLAY } from '../../net/ownership.ts';
import type { Ruleset } from '../../net/state.ts';
import { ipv4Cidrs } from './cable-routes.ts';

/**
 * The nft table that keeps packets for `guardedCidrs` inside the tunnels and the overlay of the own cluster (by which a
 * standby sends its pods' packets to the active gateway): dropped when they are about to leave by another link, or, with
 * kernel ESP, without an IPsec transform. Undefined when nothing is guarded.
 */
export function desiredGuard(
  guardedCidrs: readonly string[],
  tunnels: readonly string[] | 'kernel-esp',
): Ruleset | undefined {
  const elements = ipv4Cidrs(guardedCidrs);
  if (elements.length === 0) return undefined;
  const allowed = [...(tunnels === 'kernel-esp' ? [] : tunnels), OVERLAY.link].map((link) => `"${link}"`).join(', ');
  const outside = `oifname != { ${allowed} }${tunnels === 'kernel-esp' ? ' rt ipsec missing' : ''}`;
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
