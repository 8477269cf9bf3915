import { diffNetwork, type NetworkPlan } from '../net/diff.ts';
import type { Ownership } from '../net/ownership.ts';
import type { NeighbourState, NetworkState, RouteState, RuleState, Ruleset, SysctlState } from '../net/state.ts';
import { describeStep } from '../net/plan.ts';
import type { Logger } from '../runtime/logger.ts';
import { applyPlan } from './apply.ts';
import { answerOf, readBatch, runLines } from './batch.ts';
import { CommandError, lookOnce, type CommandRunner } from './command.ts';
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
import { NETCONF_QUESTION, parseNetconf } from './netconf.ts';
import { observeTable } from './nft.ts';
import { observeSysctls } from './sysctl.ts';

export { applyPlan, PlanError } from './apply.ts';

/** What a change of the network needs. */
export interface NetworkTools {
  readonly runner: CommandRunner;
  readonly logger: Logger;
  /** Called with what is about to be changed. */
  readonly beforeChange?: (plan: NetworkPlan) => void;
}

async function observeFdb(
  runner: CommandRunner,
  link: string,
  signal?: AbortSignal,
): Promise<readonly NeighbourState[]> {
  const result = await runLines(runner, 'bridge', [`fdb show dev ${link}`], { signal });
  // Named as the command that shows the operator the same.
  if (result.exitCode !== 0) throw new CommandError('bridge', ['-j', 'fdb', 'show', 'dev', link], result);
  return parseFdb(link, result.stdout);
}

/** The entries of overlays by name, asked for before it is known whether these are there. */
async function observeOverlays(
  runner: CommandRunner,
  { overlays = [] }: Ownership,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, readonly NeighbourState[]>> {
  const entriesOf = async (name: string): Promise<readonly NeighbourState[] | undefined> => {
    try {
      return await observeFdb(runner, name, signal);
    } catch (error) {
      if (error instanceof CommandError && /cannot find device/i.test(error.stderr)) return undefined;
      throw error;
    }
  };
  const look = async (name: string): Promise<readonly (readonly [string, readonly NeighbourState[]])[]> => {
    const entries = await lookOnce(runner, ['fdb'], `fdb of ${name}`, () => entriesOf(name));
    return entries === undefined ? [] : [[name, entries]];
  };
  return new Map((await Promise.all(overlays.map(look))).flat());
}

interface Observed {
  readonly links: readonly ObservedLink[];
  readonly routes: readonly RouteState[];
  readonly rules: readonly RuleState[];
  /** Sysctls of the node that came with the rest. */
  readonly settings: ReadonlyMap<string, string>;
}

async function observeObjects(runner: CommandRunner, ownership: Ownership, signal?: AbortSignal): Promise<Observed> {
  const { links: names, tables, protocol } = ownership;
  const ofLinks = names.map((name) => ['addr', 'show', 'dev', name]);
  const ofTables = tables.map((table) => {
    const shared = table === MAIN_TABLE ? ['proto', String(protocol)] : [];
    return ['route', 'show', 'table', String(table), ...shared];
  });
  const questions = [['rule', 'show'], NETCONF_QUESTION, ...ofLinks, ...ofTables];
  const outcomes = await readBatch(runner, questions, signal);
  const answer = (index: number, nothing?: RegExp): string =>
    answerOf(outcomes[index], (questions[index] ?? []).join(' '), nothing);
  const links = names.flatMap((_, index) => parseLinks(answer(2 + index, /does not exist|cannot find device/i)));
  const routes = tables.flatMap((table, index) =>
    parseRoutes(table, answer(2 + names.length + index, /FIB table does not exist/)),
  );
  const leadsTo = [...tables, ...(ownership.consultedTables ?? [])];
  const ours = (rule: RuleState): boolean =>
    ownership.rulePriorities.includes(rule.priority) && leadsTo.includes(rule.table);
  return { links, routes, rules: parseRules(answer(0)).filter(ours), settings: parseNetconf(answer(1)) };
}

interface Owned extends Observed {
  readonly neighbours: readonly NeighbourState[];
  readonly ruleset: Ruleset | undefined;
}

/** The owner's objects and its table; what was seen of them last may do where the kernel is watched. */
async function observeOwned(runner: CommandRunner, ownership: Ownership, signal?: AbortSignal): Promise<Owned> {
  const { nftTable } = ownership;
  // nft takes longest, so it begins first.
  const [ruleset, overlays, objects] = await Promise.all([
    lookOnce(runner, ['nft'], nftTable, () => observeTable(runner, nftTable, signal)),
    observeOverlays(runner, ownership, signal),
    lookOnce(runner, ['link', 'route'], `owner of ${nftTable}`, () => observeObjects(runner, ownership, signal)),
  ]);
  // A question of its own: what is remembered of an overlay that was not there yet is that it was not.
  const entriesOf = async ({ name }: ObservedLink): Promise<readonly NeighbourState[]> =>
    overlays.get(name) ?? lookOnce(runner, ['fdb'], `entries of ${name}`, () => observeFdb(runner, name, signal));
  const neighbours = await Promise.all(objects.links.filter(({ kind }) => kind === 'vxlan').map(entriesOf));
  return { ...objects, neighbours: neighbours.flat(), ruleset };
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
  relevant: Relevant | Promise<Relevant>,
  signal?: AbortSignal,
): Promise<NetworkState> {
  const owned = observeOwned(runner, ownership, signal);
  const readSysctls = async (): Promise<readonly SysctlState[]> => {
    const keys = (await relevant).sysctls.map((sysctl) => sysctl.key);
    return observeSysctls(runner, keys, signal, (await owned).settings);
  };
  const [{ links, routes, rules, neighbours, ruleset }, sysctls] = await Promise.all([owned, readSysctls()]);
  return {
    links: links.map(linkState),
    addresses: links.flatMap(addressStates),
    neighbours,
    routes,
    rules,
    sysctls,
    ...(ruleset === undefined ? {} : { ruleset }),
  };
}

/** Longest part of a plan that is logged line by line; of the rest only the number. */
const LOGGED_LINES = 40;

function logPlan(logger: Logger, plan: NetworkPlan): void {
  const lines = plan.flatMap(describeStep);
  for (const line of lines.slice(0, LOGGED_LINES)) logger.info('changing the network', { step: line });
  if (lines.length > LOGGED_LINES) logger.info('changing the network', { moreSteps: lines.length - LOGGED_LINES });
}

/**
 * Observes the owner's row, compares, logs and applies the plan; returns it when it is done. Rejects with
 * PlanError when some of it could not be done. The kernel is read while `desired` is still being found out. With EMPTY_STATE it removes everything of the owner.
 */
export async function convergeNetwork(
  tools: NetworkTools,
  ownership: Ownership,
  desired: NetworkState | Promise<NetworkState>,
  signal?: AbortSignal,
): Promise<NetworkPlan> {
  const [observed, wanted] = await Promise.all([observeNetwork(tools.runner, ownership, desired, signal), desired]);
  const plan = diffNetwork(wanted, observed);
  logPlan(tools.logger, plan);
  tools.beforeChange?.(plan);
  await applyPlan(tools.runner, plan, ownership);
  return plan;
}
