import { diffNetwork } from '../net/diff.ts';
import type { NodeNetwork } from '../net/nodenetwork.ts';
import type { Ownership } from '../net/ownership.ts';
import { describeStep } from '../net/plan.ts';
import type { NetworkState } from '../net/state.ts';
import { messageOf } from '../runtime/errors.ts';
import type { CommandRunner } from './command.ts';
import { observeNetwork } from './network.ts';
import { listTable } from './nft.ts';
import { observeNodeNetwork } from './nodenetwork.ts';

/** All that a look at a node for its operator gives; what could not be read is null or empty, with the reason. */
export interface NodeLook {
  /** The owner's row. */
  readonly network: NetworkState | null;
  /** The owner's nft table as nft lists it. */
  readonly nft: string;
  readonly node: NodeNetwork | null;
  /** What would have to be changed to be as desired, in the words of a plan; null when that is not known. */
  readonly pending: readonly string[] | null;
  readonly problems: readonly string[];
}

/** What a look gave, or why it gave nothing. */
async function attempt<T, F>(
  what: string,
  look: Promise<T>,
  fallback: F,
): Promise<{ readonly found: T | F; readonly problems: readonly string[] }> {
  try {
    return { found: await look, problems: [] };
  } catch (error) {
    return { found: fallback, problems: [`${what}: ${messageOf(error)}`] };
  }
}

/** Looks at an owner's row and at the whole node; changes nothing and never rejects. */
export async function lookAtNode(
  runner: CommandRunner,
  ownership: Ownership,
  desired: NetworkState | null,
  signal: AbortSignal,
): Promise<NodeLook> {
  const sysctls = desired?.sysctls ?? [];
  const [{ found: network, ...own }, { found: nft, ...table }, { found: node, ...whole }] = await Promise.all([
    attempt('own links, routes and rules', observeNetwork(runner, ownership, { sysctls }, signal), null),
    attempt(`nft table ${ownership.nftTable}`, listTable(runner, ownership.nftTable, signal), ''),
    attempt('network of the node', observeNodeNetwork(runner, signal), null),
  ]);
  const pending =
    network === null || desired === null ? null : diffNetwork(desired, network).flatMap((step) => describeStep(step));
  return { network, nft, node, pending, problems: [...own.problems, ...table.problems, ...whole.problems] };
}
