import type { NftChain } from '../../net/state.ts';
import type { Inputs } from '../model.ts';

/** The priority of the mangle table. */
const MANGLE = -150;

/** TCP between clusters announces segments that fit the path (or the configured size), in both directions. */
export function desiredMssClamp(inputs: Inputs): readonly NftChain[] {
  const size = inputs.mssBytes === undefined ? 'rt mtu' : String(inputs.mssBytes);
  const clamp = `tcp option maxseg size set ${size}`;
  return [
    // Every packet that leaves the node comes by here, few of them are a SYN: no other meets a second rule.
    {
      name: 'segments',
      hook: { type: 'filter', hook: 'postrouting', priority: MANGLE },
      rules: ['tcp flags & (syn | rst) == syn jump clamp'],
    },
    {
      name: 'clamp',
      rules: [`ip saddr @local ip daddr @remote ${clamp}`, `ip saddr @remote ip daddr @local ${clamp}`],
    },
  ];
}
