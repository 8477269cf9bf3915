import type { Case } from './cases.ts';
import type { CaseResult } from './judge.ts';

type Test = (tested: Case) => boolean;

/** Whether everything of this kind failed, and there is something of this kind. */
function allFailed(results: readonly CaseResult[], test: Test): boolean {
  const some = results.filter(({ tested, status }) => status !== 'skipped' && test(tested));
  return some.length > 0 && some.every(({ status }) => status === 'failed');
}

/** Whether all of a kind failed and all the rest passed. */
function only(results: readonly CaseResult[], test: Test): boolean {
  const rest = results.filter(({ tested, status }) => status !== 'skipped' && !test(tested));
  return allFailed(results, test) && rest.length > 0 && rest.every(({ status }) => status === 'passed');
}

/**
 * Whether packets of all sizes fail and small ones pass. Connections that were made stall then; with such a witness those
 * that were late besides are no other trouble.
 */
function onlySmall(results: readonly CaseResult[]): boolean {
  const broken = results.filter(({ tested, status }) => tested.aspect === 'tcp' && status === 'failed');
  const explained = broken.some(({ message }) => message.includes('stalled')) ? broken : [];
  const rest = results.filter((result) => !explained.includes(result));
  return only(rest, ({ aspect }) => aspect === 'packet-sizes');
}

/** What a pattern of failures in one direction points to; the first that fits is said. */
function concludeDirection(results: readonly CaseResult[], from: string, to: string): string | undefined {
  const way = `${from} -> ${to}`;
  const failed = results.filter(({ status }) => status === 'failed');
  if (failed.length === 0) return undefined;
  if (failed.every(({ message }) => message.startsWith('the source address is not preserved')))
    return `${way}: traffic flows, but source addresses are lost: something translates them on the way (the CNI of ${from}, or kube-proxy)`;
  if (allFailed(results, () => true)) return `${way}: nothing gets through`;
  if (onlySmall(results))
    return `${way}: only small packets get through: the path carries less than the nodes believe (MTU)`;
  // Sizes are tried with all protocols.
  const plain = results.filter(({ tested }) => tested.aspect !== 'packet-sizes');
  const aspect = (['tcp', 'udp', 'icmp'] as const).find((one) => only(plain, (tested) => tested.aspect === one));
  if (aspect !== undefined)
    return `${way}: only ${aspect.toUpperCase()} fails: a firewall or NetworkPolicy may drop it`;
  if (only(results, ({ to }) => to.kind === 'service'))
    return `${way}: pods are reached, Services are not: look at the service CIDR that ${to} announces and its kube-proxy`;
  return concludePlaces(results, way);
}

function concludePlaces(results: readonly CaseResult[], way: string): string | undefined {
  const tests: readonly (readonly [Test, string])[] = [
    [({ from }) => from.kind === 'node', 'only what nodes send themselves fails'],
    [({ from }) => from.kind === 'pod', 'only what pods send fails'],
  ];
  const kinds = tests.find(([test]) => only(results, test));
  if (kinds !== undefined) return `${way}: ${kinds[1]}`;
  for (const node of new Set(results.map(({ tested }) => tested.from.node))) {
    if (only(results, ({ from }) => from.node === node)) return `${way}: only what is sent from node ${node} fails`;
  }
  for (const node of new Set(results.map(({ tested }) => tested.to.node))) {
    if (only(results, ({ to }) => to.node === node)) return `${way}: only what goes to pods on node ${node} fails`;
  }
  return undefined;
}

/** What the failures have in common, a sentence a direction; nothing for a direction without failures or without a pattern. */
export function conclude(results: readonly CaseResult[]): readonly string[] {
  const directions = Map.groupBy(results, ({ tested }) => JSON.stringify([tested.from.cluster, tested.to.cluster]));
  return [...directions].flatMap(([direction, own]) => {
    const [from = '', to = ''] = JSON.parse(direction) as readonly string[];
    return concludeDirection(own, from, to) ?? [];
  });
}
