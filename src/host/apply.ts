import type { Ownership } from '../net/ownership.ts';
import { describeStep, type NetworkPlan, type PlanStep } from '../net/plan.ts';
import { renderStep } from '../net/ruleset.ts';
import { sysctlLink } from '../net/state.ts';
import { ExpectedError } from '../runtime/errors.ts';
import { runBatch } from './batch.ts';
import { describeFailure, type CommandRunner } from './command.ts';
import { linkAddWords, routeWords, ruleWords } from './ip.ts';
import { applyScript } from './nft.ts';
import { PARTS, WITH_LINKS, type Part } from './recent.ts';
import { setSysctl } from './sysctl.ts';

/** One step that was not done. */
export interface StepFailure {
  readonly step: string;
  readonly reason: string;
}

/** Some steps of a plan failed; the others were done. The next run starts from a fresh observation. */
export class PlanError extends ExpectedError {
  override readonly name: string = 'PlanError';
  readonly failures: readonly StepFailure[];
  constructor(failures: readonly StepFailure[]) {
    const shown = failures.slice(0, 5).map(({ step, reason }) => `${step}: ${reason}`);
    const more = failures.length > shown.length ? [`and ${failures.length - shown.length} more`] : [];
    super(`${failures.length} changes of the network failed: ${[...shown, ...more].join('; ')}`);
    this.failures = failures;
  }
}

type Group = 'ip' | 'bridge' | 'nft' | 'single';

function groupOf(step: PlanStep): Group {
  if ('route' in step || 'rule' in step || 'address' in step) return 'ip';
  if ('neighbour' in step) return 'bridge';
  if (step.action === 'swapTable' || step.action === 'changeSet' || step.action === 'removeTable') return 'nft';
  return 'single';
}

/** Neighbouring steps of one kind, to be done by one process. */
function groupSteps(plan: NetworkPlan): readonly (readonly PlanStep[])[] {
  const groups: PlanStep[][] = [];
  for (const step of plan) {
    const last = groups.at(-1);
    const previous = last?.at(-1);
    const group = groupOf(step);
    if (last !== undefined && previous !== undefined && group !== 'single' && groupOf(previous) === group)
      last.push(step);
    else groups.push([step]);
  }
  return groups;
}

/** The link whose earlier failure makes the step pointless. */
function neededLink(step: PlanStep): string | undefined {
  if (step.action.startsWith('remove')) return undefined;
  if ('address' in step) return step.address.link;
  if ('neighbour' in step) return step.neighbour.link;
  if ('route' in step) return step.route.link;
  if ('link' in step) return step.link.name;
  if (step.action === 'setSysctl') return sysctlLink(step.sysctl.key);
  return undefined;
}

async function applyLink(runner: CommandRunner, step: Extract<PlanStep, { readonly link: unknown }>): Promise<void> {
  const { link } = step;
  if (step.action === 'removeLink') {
    await runner.run('ip', ['link', 'del', link.name]);
    return;
  }
  if (step.action === 'addLink') {
    const words = linkAddWords(link);
    if (words === undefined)
      throw new ExpectedError(`link ${link.name} is not there; the program that makes it is not running`);
    await runner.run('ip', words);
  }
  const settings = [...(link.mac === undefined ? [] : ['address', link.mac]), 'mtu', String(link.mtuBytes)];
  await runner.run('ip', ['link', 'set', 'dev', link.name, ...settings, link.up ? 'up' : 'down']);
}

async function applySingle(runner: CommandRunner, step: PlanStep): Promise<void> {
  if ('link' in step) return applyLink(runner, step);
  if (step.action === 'setSysctl') await setSysctl(runner, step.sysctl);
  return undefined;
}

function ipWords(step: PlanStep, protocol: number): readonly string[] {
  if ('rule' in step) return ruleWords(step.action === 'addRule' ? 'add' : 'del', step.rule, protocol);
  if ('address' in step) {
    const { address, link } = step.address;
    return ['addr', step.action === 'addAddress' ? 'replace' : 'del', address, 'dev', link];
  }
  if (!('route' in step)) return [];
  const verbs = { addRoute: 'add', replaceRoute: 'replace', removeRoute: 'del' } as const;
  return routeWords(verbs[step.action], step.route, protocol);
}

function fdbWords(step: PlanStep): readonly string[] {
  if (!('neighbour' in step)) return [];
  const { mac, link, remote } = step.neighbour;
  return ['fdb', step.action === 'addNeighbour' ? 'append' : 'del', mac, 'dev', link, 'dst', remote];
}

/** What the tools say when something to be removed is gone already, e.g. together with its link. */
const GONE =
  /No such process|No such file or directory|Cannot assign requested address|Address not found|Cannot find device/;

function isDone(step: PlanStep, reason: string | undefined): boolean {
  return reason === undefined || (step.action.startsWith('remove') && GONE.test(reason));
}

/** Why each step of the group failed, undefined for those that were done. */
async function applyGroup(
  runner: CommandRunner,
  steps: readonly PlanStep[],
  protocol: number,
): Promise<readonly (string | undefined)[]> {
  const [first] = steps;
  if (first === undefined) return [];
  const group = groupOf(first);
  if (group === 'ip')
    return runBatch(
      runner,
      'ip',
      steps.map((step) => ipWords(step, protocol)),
    );
  if (group === 'bridge') return runBatch(runner, 'bridge', steps.map(fdbWords));
  try {
    if (group === 'nft') await applyScript(runner, steps.map(renderStep).join(''));
    else await applySingle(runner, first);
    return steps.map(() => undefined);
  } catch (error) {
    return steps.map(() => describeFailure(error));
  }
}

/**
 * Executes the plan in its order. A step that fails stops only those that need its link; everything else is tried, and
 * the returned promise rejects with one PlanError that lists what was not done. Once begun, a plan is not interrupted.
 */
export async function applyPlan(runner: CommandRunner, plan: NetworkPlan, ownership: Ownership): Promise<void> {
  if (plan.length === 0) return;
  // What is looked at while the plan is being carried out is not remembered either.
  const parts = PARTS.filter((part) => plan.some((step) => changedParts(step).includes(part)));
  runner.recent?.forget(parts);
  try {
    await carryOut(runner, plan, ownership);
    runner.recent?.forget(parts);
  } catch (error) {
    runner.recent?.forget();
    throw error;
  }
}

/** What is not as it was seen any more once the step is done. */
function changedParts(step: PlanStep): readonly Part[] {
  const group = groupOf(step);
  if (group === 'nft') return ['nft'];
  if (group === 'bridge') return ['fdb'];
  return 'route' in step || 'rule' in step ? ['route'] : WITH_LINKS;
}

async function carryOut(runner: CommandRunner, plan: NetworkPlan, ownership: Ownership): Promise<void> {
  const failures: StepFailure[] = [];
  const broken = new Set<string>();
  for (const group of groupSteps(plan)) {
    const blocked = group.filter((step) => broken.has(neededLink(step) ?? ''));
    const tried = group.filter((step) => !blocked.includes(step));
    for (const step of blocked) {
      failures.push({
        step: describeStep(step).join('; '),
        reason: `not tried, link ${neededLink(step) ?? ''} is not ready`,
      });
    }
    const outcomes = await applyGroup(runner, tried, ownership.protocol);
    tried.forEach((step, index) => {
      const reason = outcomes[index];
      if (reason === undefined || isDone(step, reason)) return;
      failures.push({ step: describeStep(step).join('; '), reason });
      if ('link' in step) broken.add(step.link.name);
    });
  }
  if (failures.length > 0) throw new PlanError(failures);
}
