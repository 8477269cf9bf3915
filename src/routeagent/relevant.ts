import { ROUTEAGENT_OWNERSHIP } from '../net/ownership.ts';

/** Lines of `ip monitor` and `nft monitor` about the route agent's objects, or about what they stand on. */
export const RELEVANT = new RegExp(
  [
    ...ROUTEAGENT_OWNERSHIP.links,
    `proto ${ROUTEAGENT_OWNERSHIP.protocol}\\b`,
    ...ROUTEAGENT_OWNERSHIP.rulePriorities.map((priority) => `^(?:Deleted )?${priority}:`),
    'table 150\\b',
    ROUTEAGENT_OWNERSHIP.nftTable,
    ' inet (?!127\\.)',
    'default via',
  ].join('|'),
);
