import { type Obj, type Resource, dig, obj, objs, text, texts } from './json.ts';
import { type ResourceType } from './registry.ts';
import { badRequest } from './status.ts';

/** Decides whether an object belongs to a selection. */
export type Matcher = (object: Resource) => boolean;

interface Requirement {
  readonly key: string;
  readonly negative: boolean;
  /** undefined: only presence counts. */
  readonly values?: readonly string[];
}

const meets = (labels: Obj, { key, negative, values }: Requirement): boolean =>
  negative !== (labels[key] !== undefined && (values === undefined || values.includes(text(labels[key]))));

/** Parses a label selector string, 400 with apimachinery's words when it cannot. */
export function labelMatcher(selector: string): Matcher {
  const tokens = selector.match(/!=|==|[=!(),]|[^\s!=(),]+/g) ?? [];
  const requirements: Requirement[] = [];
  while (tokens.length > 0) {
    requirements.push(parseRequirement(tokens));
    const next = tokens.shift() ?? ',';
    if (next !== ',') throw badRequest(`found '${next}', expected: ',' or 'end of string'`);
  }
  return ({ metadata }) => requirements.every((requirement) => meets(metadata.labels ?? {}, requirement));
}

function parseRequirement(tokens: string[]): Requirement {
  const negated = tokens[0] === '!' && tokens.shift() !== undefined;
  const [key = '', operator = ','] = tokens;
  tokens.splice(0, operator === ',' ? 1 : 2);
  if (operator === ',' || negated) return { key, negative: negated };
  const negative = operator.startsWith('!') || operator === 'notin';
  if (!operator.endsWith('=')) return { key, negative, values: parseValues(operator, tokens) };
  return { key, negative, values: [takeValue(tokens)] };
}

const takeValue = (tokens: string[]): string => (/^[^,()]/.test(text(tokens[0])) ? text(tokens.shift()) : '');

function parseValues(operator: string, tokens: string[]): string[] {
  const fail = (found = '', expected: string): Error =>
    badRequest(`unable to parse requirement: found '${found}' expected: ${expected}`);
  if (operator !== 'in' && operator !== 'notin') throw fail(operator, 'in, notin, =, ==, !=');
  if (tokens[0] !== '(') throw fail(tokens[0], "'('");
  const close = tokens.indexOf(')');
  if (close < 0) throw fail('', "')'");
  return tokens.splice(0, close + 1).filter((token) => /[^(),]/.test(token));
}

/** A LabelSelector object (matchLabels, matchExpressions); an empty one matches everything. */
export function objectSelector(selector: unknown): (labels: Obj) => boolean {
  const { matchLabels, matchExpressions } = obj(selector);
  const exact = Object.entries(obj(matchLabels)).map(([key, value]) => ({
    key,
    negative: false,
    values: [text(value)],
  }));
  const others = objs(matchExpressions).map(({ key, operator, values }) => ({
    key: text(key),
    negative: operator === 'NotIn' || operator === 'DoesNotExist',
    ...(text(operator).endsWith('In') ? { values: texts(values) } : {}),
  }));
  return (labels) => [...exact, ...others].every((requirement) => meets(labels, requirement));
}

const INVOLVED = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map(
  (key) => `involvedObject.${key}`,
);
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  pods: [
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'status.phase',
    'status.podIP',
  ],
  namespaces: ['status.phase'],
  secrets: ['type'],
  services: ['spec.clusterIP', 'spec.type'],
  events: [...INVOLVED, 'reason', 'reportingComponent', 'type'],
};

/** Parses a field selector, 400 for fields the resource cannot be selected by. */
export function fieldMatcher(type: ResourceType, selector: string): Matcher {
  const terms = selector.split(',').flatMap((term) => (term.trim() === '' ? [] : [parseTerm(type, term)]));
  return (object) => terms.every((term) => term(object));
}

function parseTerm({ custom, plural }: ResourceType, term: string): Matcher {
  const [, field = '', operator, wanted] = /^([^!=]*)(!=|==|=)(.*)$/.exec(term) ?? [];
  if (operator === undefined) throw badRequest(`invalid selector: '${term}'; can't understand '${term}'`);
  const selectable = objs(custom?.selectableFields).map((each) => text(each.jsonPath).slice(1));
  const known = ['metadata.name', 'metadata.namespace', ...selectable, ...(FIELDS[plural] ?? [])].includes(field);
  const why = `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`;
  if (!known) throw badRequest(custom === undefined ? why : `field label not supported: ${field}`);
  return (object) => (operator !== '!=') === (text(dig(object, ...field.split('.'))) === wanted);
}
