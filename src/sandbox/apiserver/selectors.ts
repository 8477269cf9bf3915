import { type Obj, type Resource, dig, isObj, objs, text, texts } from './json.ts';
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

const matches = (labels: Obj, { key, negative, values }: Requirement): boolean => {
  const value = labels[key];
  return negative !== (value !== undefined && (values === undefined || values.includes(text(value))));
};

/** Parses a label selector string, 400 with apimachinery's words when it cannot. */
export function labelMatcher(selector: string): Matcher | undefined {
  if (selector.trim() === '') return undefined;
  const tokens = selector.match(/!=|==|=|!|\(|\)|,|[^\s!=(),]+/g) ?? [];
  const requirements: Requirement[] = [];
  while (tokens.length > 0) {
    requirements.push(parseRequirement(tokens));
    const next = tokens.shift();
    if (next !== undefined && next !== ',') throw badRequest(`found '${next}', expected: ',' or 'end of string'`);
  }
  return ({ metadata }) => requirements.every((requirement) => matches(metadata.labels ?? {}, requirement));
}

function parseRequirement(tokens: string[]): Requirement {
  const first = tokens.shift() ?? '';
  if (first === '!') return { key: tokens.shift() ?? '', negative: true };
  const operator = tokens[0];
  if (operator === undefined || operator === ',') return { key: first, negative: false };
  tokens.shift();
  if (/^[!=]=?$/.test(operator) && operator !== '!')
    return {
      key: first,
      negative: operator === '!=',
      values: [/^[^,()]/.test(tokens[0] ?? ',') ? (tokens.shift() ?? '') : ''],
    };
  if (operator !== 'in' && operator !== 'notin')
    throw badRequest(`unable to parse requirement: found '${operator}', expected: in, notin, =, ==, !=, gt, lt`);
  const open = tokens.shift();
  if (open !== '(') throw badRequest(`unable to parse requirement: found '${open ?? ''}' expected: '('`);
  const close = tokens.indexOf(')');
  if (close < 0) throw badRequest("unable to parse requirement: found '', expected: ',' or ')'");
  const values = tokens.splice(0, close + 1).filter((token) => token !== ',' && token !== ')');
  return { key: first, negative: operator === 'notin', values };
}

/** A LabelSelector object (matchLabels, matchExpressions); an empty one matches everything. */
export function objectSelector(selector: unknown): (labels: Obj) => boolean {
  const exact = Object.entries(isObj(selector) && isObj(selector['matchLabels']) ? selector['matchLabels'] : {});
  const requirements: Requirement[] = exact.map(([key, value]) => ({ key, negative: false, values: [text(value)] }));
  for (const each of objs(isObj(selector) ? selector['matchExpressions'] : [])) {
    const operator = text(each['operator']);
    const negative = operator === 'NotIn' || operator === 'DoesNotExist';
    const base = { key: text(each['key']), negative };
    requirements.push(operator.endsWith('In') ? { ...base, values: texts(each['values']) } : base);
  }
  return (labels) => requirements.every((requirement) => matches(labels, requirement));
}

const EXTRA_FIELDS: Readonly<Record<string, readonly string[]>> = {
  pods: [
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'spec.hostNetwork',
    'status.phase',
    'status.podIP',
    'status.nominatedNodeName',
  ],
  nodes: ['spec.unschedulable'],
  namespaces: ['status.phase'],
  secrets: ['type'],
  services: ['spec.clusterIP', 'spec.type'],
  replicasets: ['status.replicas'],
  events: [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'reportingComponent',
    'source',
    'type',
  ],
};

/** Parses a field selector, 400 for fields the resource cannot be selected by. */
export function fieldMatcher(type: ResourceType, selector: string): Matcher | undefined {
  if (selector.trim() === '') return undefined;
  const terms = selector
    .split(',')
    .filter((term) => term !== '')
    .map((term) => parseTerm(type, term));
  return (object) => terms.every((term) => term(object));
}

function parseTerm(type: ResourceType, term: string): Matcher {
  const [, field = '', operator, wanted = ''] = /^([^!=]*)(!=|==|=)(.*)$/.exec(term) ?? [];
  if (operator === undefined) throw badRequest(`invalid selector: '${term}'; can't understand '${term}'`);
  const selectable = objs(type.custom?.version['selectableFields']).map((each) => text(each['jsonPath']).slice(1));
  const builtin = type.custom === undefined ? (EXTRA_FIELDS[type.plural] ?? []) : selectable;
  if (![...builtin, 'metadata.name', 'metadata.namespace'].includes(field))
    throw badRequest(
      type.custom === undefined
        ? `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`
        : `field label not supported: ${field}`,
    );
  const keys = field === 'source' ? ['source', 'component'] : field.split('.');
  return (object) => {
    const value = dig(object, ...keys);
    return (operator !== '!=') === (String(value ?? (field.endsWith('unschedulable') ? false : '')) === wanted);
  };
}
