import type { LabelSelector } from './objects.ts';

type Labels = Readonly<Record<string, string>>;
type Expression = NonNullable<LabelSelector['matchExpressions']>[number];

/** True when `labels` carry every pair of `wanted`. */
export function hasLabels(labels: Labels | undefined, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels?.[key] === value);
}

/** True when one requirement of a selector (also of a node affinity) holds; an unknown operator never does. */
export function matchesExpression(expression: Expression, labels: Labels | undefined): boolean {
  const value = labels?.[expression.key];
  const listed = value !== undefined && (expression.values ?? []).includes(value);
  switch (expression.operator) {
    case 'In':
      return listed;
    case 'NotIn':
      return !listed;
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}

/** True when a label selector selects an object with these labels; the empty selector selects everything. */
export function matchesSelector(selector: LabelSelector, labels: Labels | undefined): boolean {
  return (
    hasLabels(labels, selector.matchLabels ?? {}) &&
    (selector.matchExpressions ?? []).every((expression) => matchesExpression(expression, labels))
  );
}

/** A label selector that cannot be read; the words are those of Kubernetes' parser. */
export class SelectorError extends Error {
  override readonly name = 'SelectorError';
}

/** Reads a label selector as it stands in queries (a=b,c!=d,e in (f,g),!h); throws a SelectorError. */
export function parseLabelSelector(text: string): LabelSelector {
  const tokens = text.match(/!=|==|[=!(),]|[^\s!=(),]+/g) ?? [];
  const matchExpressions: Expression[] = [];
  while (tokens.length > 0) {
    matchExpressions.push(parseExpression(tokens));
    const next = tokens.shift() ?? ',';
    if (next !== ',') throw new SelectorError(`found '${next}', expected: ',' or 'end of string'`);
  }
  return { matchExpressions };
}

function parseExpression(tokens: string[]): Expression {
  const negated = tokens[0] === '!' && tokens.shift() !== undefined;
  const [key = '', operator = ','] = tokens;
  tokens.splice(0, operator === ',' ? 1 : 2);
  if (operator === ',' || negated) return { key, operator: negated ? 'DoesNotExist' : 'Exists' };
  const values = operator.endsWith('=') ? parseValue(tokens) : parseValues(operator, tokens);
  return { key, operator: /^(!|notin$)/.test(operator) ? 'NotIn' : 'In', values };
}

function parseValue(tokens: string[]): string[] {
  return /^[^,()]/.test(tokens[0] ?? '') ? tokens.splice(0, 1) : [''];
}

function parseValues(operator: string, tokens: string[]): string[] {
  const fail = (found = '', expected: string): Error =>
    new SelectorError(`unable to parse requirement: found '${found}' expected: ${expected}`);
  if (operator !== 'in' && operator !== 'notin') throw fail(operator, 'in, notin, =, ==, !=');
  if (tokens[0] !== '(') throw fail(tokens[0], "'('");
  const close = tokens.indexOf(')');
  if (close < 0) throw fail('', "')'");
  return tokens.splice(0, close + 1).filter((token) => /[^(),]/.test(token));
}

/** "a=b,c in (d)" for a label selector, as `kubectl get` prints it. */
export function formatSelector({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const words = Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`);
  for (const { key, operator, values = [] } of matchExpressions) {
    const set = `${key} ${operator.toLowerCase()} (${values.join(',')})`;
    words.push(operator.endsWith('In') ? set : `${operator === 'Exists' ? '' : '!'}${key}`);
  }
  return words.join(',');
}
