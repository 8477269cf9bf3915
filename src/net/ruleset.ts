import { canonicalAddress, minimalCidrs } from './cidr.ts';
import type { PlanStep } from './plan.ts';
import type { NftChain, NftSet, Ruleset } from './state.ts';

/** FNV-1a, 32 bits, as eight hex digits. Tells texts apart; no protection against intent. */
function fingerprint(text: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}

interface RuleText {
  readonly body: string;
  readonly comment: string;
  /** Fingerprint of the body the rule was written from; versions of nft print one rule in several ways. */
  readonly mark: string | undefined;
}

function splitRule(rule: string): RuleText {
  const match = /^(.*?)\s+comment "([^"]*)"$/.exec(rule.trim());
  if (match === null) return { body: rule.trim(), comment: '', mark: undefined };
  const [, body = '', text = ''] = match;
  const marked = /^(.*?) ?\[#([0-9a-f]{8})\]$/.exec(text);
  if (marked === null) return { body, comment: text, mark: undefined };
  return { body, comment: marked[1] ?? '', mark: marked[2] };
}

function renderRule(rule: string): string {
  const { body, comment } = splitRule(rule);
  return `${body} comment "${`${comment} [#${fingerprint(body)}]`.trim()}"`;
}

/** Whether a rule read back is the wanted one: written from it, or printed like it. */
function sameRule(wanted: string, observed: string): boolean {
  const want = splitRule(wanted);
  const seen = splitRule(observed);
  if (want.comment !== seen.comment) return false;
  return seen.mark === fingerprint(want.body) || (seen.mark === undefined && seen.body === want.body);
}

function hookText(chain: NftChain): string {
  const { hook } = chain;
  return hook === undefined ? '' : `type ${hook.type} hook ${hook.hook} priority ${hook.priority}; policy accept;`;
}

function sameChain(wanted: NftChain, observed: NftChain | undefined): boolean {
  if (observed === undefined || wanted.rules.length !== observed.rules.length) return false;
  if (hookText(wanted) !== hookText(observed)) return false;
  return wanted.rules.every((rule, index) => sameRule(rule, observed.rules[index] ?? ''));
}

function sameDefinition(wanted: NftSet, observed: NftSet | undefined): boolean {
  return observed !== undefined && wanted.type === observed.type && wanted.interval === observed.interval;
}

function sameShape(wanted: Ruleset, observed: Ruleset): boolean {
  if (wanted.chains.length !== observed.chains.length || wanted.sets.length !== observed.sets.length) return false;
  const chains = new Map(observed.chains.map((chain) => [chain.name, chain]));
  const sets = new Map(observed.sets.map((set) => [set.name, set]));
  return (
    wanted.chains.every((chain) => sameChain(chain, chains.get(chain.name))) &&
    wanted.sets.every((set) => sameDefinition(set, sets.get(set.name)))
  );
}

/** Elements as nft prints them: prefixes that cover others only, a whole-length prefix as its address. */
function canonicalElements(set: NftSet): readonly string[] {
  if (set.type === 'inet_service') return [...new Set(set.elements)];
  const ranges = set.elements.filter((element) => element.includes('-'));
  const single = set.elements.filter((element) => !element.includes('-'));
  if (!set.interval) return [...new Set(single.map((text) => canonicalAddress(text) ?? text))];
  const whole = set.type === 'ipv4_addr' ? '/32' : '/128';
  const prefixes = minimalCidrs(single).map((text) => (text.endsWith(whole) ? text.slice(0, -whole.length) : text));
  return [...prefixes, ...ranges];
}

function diffElements(table: string, wanted: NftSet, observed: NftSet): readonly PlanStep[] {
  const want = new Set(canonicalElements(wanted));
  const seen = new Set(observed.elements);
  const add = [...want].filter((element) => !seen.has(element));
  const remove = [...seen].filter((element) => !want.has(element));
  if (add.length === 0 && remove.length === 0) return [];
  return [{ action: 'changeSet', table, set: wanted.name, add, remove }];
}

/**
 * The steps that turn the observed table into the wanted one: set elements alone when nothing else differs, else the
 * whole table in one transaction.
 */
export function diffRuleset(wanted: Ruleset | undefined, observed: Ruleset | undefined): readonly PlanStep[] {
  if (wanted === undefined) return observed === undefined ? [] : [{ action: 'removeTable', table: observed.table }];
  if (observed === undefined || !sameShape(wanted, observed)) {
    return [{ action: 'swapTable', ruleset: wanted, present: observed !== undefined }];
  }
  const sets = new Map(observed.sets.map((set) => [set.name, set]));
  return wanted.sets.flatMap((set) => {
    const seen = sets.get(set.name);
    return seen === undefined ? [] : diffElements(wanted.table, set, seen);
  });
}

function renderSet(set: NftSet): readonly string[] {
  const elements = canonicalElements(set);
  return [
    `\tset ${set.name} {`,
    `\t\ttype ${set.type}`,
    ...(set.interval ? ['\t\tflags interval'] : []),
    ...(elements.length === 0 ? [] : [`\t\telements = { ${elements.join(', ')} }`]),
    '\t}',
  ];
}

function renderChain(chain: NftChain): readonly string[] {
  const base = chain.hook === undefined ? [] : [`\t\t${hookText(chain)}`];
  return [`\tchain ${chain.name} {`, ...base, ...chain.rules.map((rule) => `\t\t${renderRule(rule)}`), '\t}'];
}

/** The table as nft reads it; each rule carries a comment that says which text it was written from. */
export function renderRuleset(ruleset: Ruleset): string {
  const body = [...ruleset.sets.flatMap(renderSet), ...ruleset.chains.flatMap(renderChain)];
  return `${[`table inet ${ruleset.table} {`, ...body, '}'].join('\n')}\n`;
}

function removeScript(table: string): string {
  return `table inet ${table}\ndelete table inet ${table}\n`;
}

/** The nft script of one step, for one transaction (`nft -f -`); empty when the step is not about nft. */
export function renderStep(step: PlanStep): string {
  if (step.action === 'swapTable') return removeScript(step.ruleset.table) + renderRuleset(step.ruleset);
  if (step.action === 'removeTable') return removeScript(step.table);
  if (step.action !== 'changeSet') return '';
  const line = (verb: string, elements: readonly string[]): string =>
    elements.length === 0 ? '' : `${verb} element inet ${step.table} ${step.set} { ${elements.join(', ')} }\n`;
  return line('delete', step.remove) + line('add', step.add);
}
