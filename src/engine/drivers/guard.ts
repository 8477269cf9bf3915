import { ENGINE_OWNERSHIP } from '../../net/ownership.ts';
import type { Ruleset } from '../../net/state.ts';
import { ipv4Cidrs } from './cable-routes.ts';

/**
 * The nft table that keeps packets for `guardedCidrs` inside the tunnel: dropped when they are about to leave by
 * another link than `link`, or, with kernel ESP, without an IPsec transform. Undefined when nothing is guarded.
 */
export function desiredGuard(
  guardedCidrs: readonly string[],
  tunnel: { readonly link: string } | 'kernel-esp',
): Ruleset | undefined {
  const elements = ipv4Cidrs(guardedCidrs);
  if (elements.length === 0) return undefined;
  const outside = tunnel === 'kernel-esp' ? 'rt ipsec missing' : `oifname != "${tunnel.link}"`;
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
