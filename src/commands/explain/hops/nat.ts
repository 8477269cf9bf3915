import { cidrContains } from '../../../net/cidr.ts';
import type { Ruleset } from '../../../net/state.ts';
import { restartAgents, rowOf } from '../leg.ts';
import { bad, good, type ClusterEvidence, type Finding } from '../model.ts';

/** Addresses of a packet that a node forwards between clusters. */
interface Addresses {
  readonly source: string;
  readonly destination: string;
}

const CHAIN = 'source';
/** How the rules begin that bind a packet to its own source address. */
const BINDING = {
  out: 'ip saddr @local ip daddr @remote snat',
  in: 'ip saddr @remote ip daddr @local snat',
} as const;

function setHolds(ruleset: Ruleset, set: string, address: string): boolean {
  const elements = ruleset.sets.find(({ name }) => name === set)?.elements ?? [];
  return elements.some((element) => element === address || cidrContains(element, address));
}

/**
 * Whether a node forwards a packet with its source address as it is: the rule that binds it to itself is there, before
 * every masquerading rule, and speaks of both addresses.
 */
export function natFinding(
  evidence: ClusterEvidence,
  node: string,
  { source, destination }: Addresses,
  direction: 'out' | 'in',
): Finding {
  const mend = `${restartAgents(evidence)} makes the route agent write its table again`;
  const row = rowOf(evidence, node);
  if (row === undefined) return bad('unknown', '', `the firewall of node ${node} could not be read`, mend);
  const { ruleset } = row;
  const lost = `so ${source} is replaced by an address of the node as soon as another table masquerades`;
  if (ruleset === undefined) {
    return bad('broken', 'no table', `node ${node} has no nft table inet submariner-routeagent, ${lost}`, mend);
  }
  const rules = ruleset.chains.find(({ name }) => name === CHAIN)?.rules ?? [];
  if (!rules.some((rule) => rule.startsWith(BINDING[direction]))) {
    const rule = `${BINDING[direction]} ip to ip saddr`;
    const cause = `chain ${CHAIN} of table inet submariner-routeagent on node ${node} lacks the rule "${rule}", ${lost}`;
    return bad('broken', `${rules.length} rules, that one not among them`, cause, mend);
  }
  const [near, far] = direction === 'out' ? [source, destination] : [destination, source];
  if (!setHolds(ruleset, 'local', near) || !setHolds(ruleset, 'remote', far)) {
    const cause = `the sets local and remote of node ${node} do not hold ${near} and ${far}, ${lost}`;
    return bad('broken', 'sets without the addresses', cause, mend);
  }
  return good(`${source} stays as it is (chain ${CHAIN})`);
}
