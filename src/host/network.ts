import { diffNetwork, type NetworkPlan } from '../net/diff.ts';
import type { Ownership } from '../net/ownership.ts';
import type { NeighbourState, NetworkState, RouteState, RuleState } from '../net/state.ts';
import { describeStep } from '../net/plan.ts';
import type { Logger } from '../runtime/logger.ts';
import { applyPlan } from './apply.ts';
import { CommandError, type CommandRunner, type RunOptions } from './command.ts';
import {
  MAIN_TABLE,
  addressStates,
  linkState,
  parseFdb,
  parseLinks,
  parseRoutes,
  parseRules,
  type ObservedLink,
} from './ip.ts';
import { observeTable } from './nft.ts';
import { observeSysctls } from './sysctl.ts';

export { applyPlan, PlanError } from './apply.ts';

/** What a change of the network needs. */
export interface NetworkTools {
  readonly runner: CommandRunner;
  readonly logger: Logger;
}

function withSignal(signal: AbortSignal | undefined, options: RunOptions = {}): RunOptions {
  return signal === undefined ? options : { ...options, signal };
}

async function observeLink(
  runner: CommandRunner,
  name: string,
  signal?: AbortSignal,
): Promise<readonly ObservedLink[]> {
  const args = ['-j', '-d', 'addr', 'show', 'dev', name];
  const result = await runner.run('ip', args, withSignal(signal, { okExitCodes: [0, 1] }));
  if (result.exitCode === 0) return parseLinks(result.stdout);
  if (/does not exist|cannot find device/i.test(result.stderr)) return [];
  throw new CommandError('ip', args, result);
}

async function observeFdb(
  runner: CommandRunner,
  link: string,
  signal?: AbortSignal,
): Promise<readonly NeighbourState[]> {
  const args = ['-j', 'fdb', 'show', 'dev', link];
  const { stdout } = await runner.run('bridge', args, withSignal(signal));
  return parseFdb(link, stdout);
}

async function observeRoutes(
  runner: CommandRunner,
  table: number,
  protocol: number,
  signal?: AbortSignal,
): Promise<readonly RouteState[]> {
  const shared = table === MAIN_TABLE ? ['proto', String(protocol)] : [];
  const args = ['-N', '-j', '-4', 'route', 'show', 'table', String(table), ...shared];
  const result = await runner.run('ip', args, withSignal(signal, { okExitCodes: [0, 2] }));
  if (result.exitCode === 0) return parseRoutes(table, result.stdout);
  if (result.stderr.includes('FIB table does not exist')) return [];
  throw new CommandError('ip', args, result);
}

async function observeRules(
  runner: CommandRunner,
  ownership: Ownership,
  signal?: AbortSignal,
): Promise<readonly RuleState[]> {
  const { stdout } = await runner.run('ip', ['-N', '-j', '-4', 'rule', 'show'], withSignal(signal));
  return parseRules(stdout).filter(
    (rule) => ownership.rulePriorities.includes(rule.priority) && ownership.tables.includes(rule.table),
  );
}

/** What a caller wants to know beyond the owner's own objects. */
export interface Relevant {
  /** Only the keys are looked at. */
  readonly sysctls: readonly { readonly key: string }[];
}

/**
 * The owner's row of the node's network: its links with their addresses and FDB, its route tables (in `main` the
 * routes of its protocol number), its rules (own priority and own table), its nft table; and the sysctls named in
 * `relevant`. IPv4 routes and rules only. Rejects when any of it cannot be read, so that a gap is never taken for
 * "nothing there".
 */
export async function observeNetwork(
  runner: CommandRunner,
  ownership: Ownership,
  relevant: Relevant,
  signal?: AbortSignal,
): Promise<NetworkState> {
  const keys = relevant.sysctls.map((sysctl) => sysctl.key);
  const observedLinks = Promise.all(ownership.links.map((name) => observeLink(runner, name, signal))).then((found) =>
    found.flat(),
  );
  const fdb = observedLinks.then((links) =>
    Promise.all(links.filter((link) => link.kind === 'vxlan').map((link) => observeFdb(runner, link.name, signal))),
  );
  const [links, neighbours, routes, rules, sysctls, ruleset] = await Promise.all([
    observedLinks,
    fdb,
    Promise.all(ownership.tables.map((table) => observeRoutes(runner, table, ownership.protocol, signal))),
    observeRules(runner, ownership, signal),
    observeSysctls(runner, keys, signal),
    observeTable(runner, ownership.nftTable, signal),
  ]);
  return {
    links: links.map(linkState),
    addresses: links.flatMap(addressStates),
    neighbours: neighbours.flat(),
    routes: routes.flat(),
    rules,
    sysctls,
    ...(ruleset === undefined ? {} : { ruleset }),
  };
}

/** Longest part of a plan that is logged line by line; of the rest only the number. */
const LOGGED_LINES = 40;

function logPlan(logger: Logger, plan: NetworkPlan): void {
  const lines = plan.flatMap(describeStep);
  for (const line of lines.slice(0, LOGGED_LINES)) logger.info('network changed', { step: line });
  if (lines.length > LOGGED_LINES) logger.info('network changed', { moreSteps: lines.length - LOGGED_LINES });
}

/**
 * Observes the owner's row, compares, applies and logs what was changed; returns the plan that was done. Rejects with
 * PlanError when some of it could not be done. With EMPTY_STATE it removes everything of the owner.
 */
export async function convergeNetwork(
  tools: NetworkTools,
  ownership: Ownership,
  desired: NetworkState,
  signal?: AbortSignal,
): Promise<NetworkPlan> {
  const observed = await observeNetwork(tools.runner, ownership, desired, signal);
  const plan = diffNetwork(desired, observed);
  logPlan(tools.logger, plan);
  await applyPlan(tools.runner, plan, ownership);
  return plan;
}
