import type { NftChain } from '../../net/state.ts';
import type { Inputs } from '../model.ts';

/** The priority of the mangle table. */
const MANGLE = -150;

/** TCP between clusters announces segments that fit the path (or the configured size), in both directions. */
export function desiredMssClamp(inputs: Inputs): NftChain {
  const size = inputs.mssBytes === undefined ? 'rt mtu' : String(inputs.mssBytes);
  // Every forwarded packet comes by here, few of them are a SYN: that is looked at first.
  const syn = 'tcp flags & (syn | rst) == syn';
  const clamp = `tcp option maxseg size set ${size}`;
  return {
    name: 'segments',
    hook: { type: 'filter', hook: 'postrouting', priority: MANGLE },
    rules: [`${syn} ip saddr @local ip daddr @remote ${clamp}`, `${syn} ip saddr @remote ip daddr @local ${clamp}`],
  };
}
