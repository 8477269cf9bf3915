import { dig, list, type Obj, obj, objs, text } from '../../kube/json.ts';
import { type LabelSelector } from '../../kube/objects.ts';
import { formatSelector, matchesSelector, parseLabelSelector, SelectorError } from '../../kube/selectors.ts';
import builtinColumns from './columns.json' with { type: 'json' };
import kinds from './kinds.json' with { type: 'json' };
import { type ResourceType } from './registry.ts';
import { badRequest } from './status.ts';
import { type Resource } from './store.ts';

/** A duration the way kubectl shows ages: one unit, or two when the first is small. */
function humanDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  const pair = (text: string, rest: string): string => (rest.startsWith('0') ? text : text + rest);
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 180) return minutes < 10 ? pair(`${minutes}m`, `${seconds % 60}s`) : `${minutes}m`;
  if (hours < 48) return hours < 8 ? pair(`${hours}h`, `${minutes % 60}m`) : `${hours}h`;
  return `${Math.floor(hours / 24)}d`;
}

function podState({ metadata, status }: Resource): string {
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  const { reason, phase, containerStatuses } = obj(status);
  const states = objs(containerStatuses).flatMap(({ state }) => Object.values(obj(state)));
  const reasons = states.map((each) => obj(each).reason);
  return text([reason, ...reasons, phase].find((each) => text(each) !== ''));
}

const statuses = ({ status }: Resource): Obj[] => objs(obj(status).containerStatuses);
const keys = (value: unknown): number => Object.keys(obj(value)).length;

/** Cells that are more than one field. */
const CELLS: Readonly<Record<string, (object: Resource) => unknown>> = {
  data: ({ data, binaryData }) => keys(data) + keys(binaryData),
  podReady: (pod) =>
    `${statuses(pod).filter(({ ready }) => ready === true).length}/${list(obj(pod.spec).containers).length}`,
  podState,
  podRestarts: (pod) => String(statuses(pod).reduce((sum, { restartCount }) => sum + Number(restartCount ?? 0), 0)),
  nodeState: ({ status }) => {
    const ready = objs(obj(status).conditions).find(({ type }) => type === 'Ready')?.status;
    return ready === undefined ? 'Unknown' : ready === 'True' ? 'Ready' : 'NotReady';
  },
  servicePorts: ({ spec }) => objs(obj(spec).ports).map(servicePort).join(',') || '<none>',
  serviceSelector: ({ spec }) => formatSelector({ matchLabels: obj(spec).selector ?? {} } as LabelSelector) || '<none>',
  deploymentReady: ({ spec, status }) => `${Number(obj(status).readyReplicas ?? 0)}/${Number(obj(spec).replicas ?? 0)}`,
  selector: ({ spec }) => formatSelector(obj(obj(spec).selector)),
};

const servicePort = ({ port, nodePort, protocol }: Obj): string =>
  `${Number(port)}${nodePort === undefined ? '' : `:${Number(nodePort)}`}/${text(protocol)}`;

const AGE = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

/** The columns behind Name: those of columns.json for built-in kinds (all strings), those of the CRD for others. */
function columnsOf({ kind, custom }: ResourceType): Obj[] {
  const given = objs(custom?.additionalPrinterColumns);
  if (custom !== undefined) return given.length === 0 ? [AGE] : given;
  const known = (builtinColumns as Record<string, Obj[]>)[kind] ?? [{ name: 'Age' }];
  return known.map((column) => ({ ...(column.name === 'Age' && { age: true, ...AGE }), ...column, type: 'string' }));
}

/** Column definitions of a resource, and the cells of an object in them. */
export function printerOf(type: ResourceType, now: number): { columns: Obj[]; cells: (object: Resource) => unknown[] } {
  const columns = columnsOf(type);
  const cellOf = (object: Resource, { cell, jsonPath, missing = null, age, type }: Obj): unknown => {
    const value = CELLS[text(cell)]?.(object) ?? findAll(object, text(jsonPath)) ?? missing;
    if ((age === true || type === 'date') && value !== null) return humanDuration(now - Date.parse(text(value)));
    return typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
  };
  const named = [{ name: 'Name', type: 'string', format: 'name' }, ...columns];
  return {
    columns: named.map(({ name, type, format = '', priority = 0 }) => ({
      name,
      type,
      format,
      description: '',
      priority,
    })),
    cells: (object) => [object.metadata.name, ...columns.map((column) => cellOf(object, column))],
  };
}

/** What a simple JSONPath finds (.a.b[0]['c'], [*], [?(@.type=="x")]): one value as it is, several joined by commas. */
function findAll(object: unknown, path: string): unknown {
  const part = /\.([\w-]+)|\['([^']+)'\]|\[(\d+)\]|\[\?\(@\.(\w+)\s*==\s*["']([^"']*)["']\)\]|\[\*\]/g;
  let found: unknown[] = [object];
  for (const [whole, name, quoted, index, key = '', wanted] of path.matchAll(part))
    found = found.flatMap((at) => {
      if (whole === '[*]') return list(at);
      if (wanted !== undefined) return objs(at).filter((each) => each[key] === wanted);
      return [dig(at, name ?? quoted ?? Number(index))].filter((each) => each !== undefined);
    });
  return found.length > 1 ? found.join(',') : found[0];
}

/** Decides whether an object belongs to a selection. */
export type Matcher = (object: Resource) => boolean;

/** Parses a label selector, 400 when it cannot be read. */
export function labelMatcher(text: string): Matcher {
  try {
    const selector = parseLabelSelector(text);
    return ({ metadata }) => matchesSelector(selector, metadata.labels);
  } catch (error) {
    throw error instanceof SelectorError ? badRequest(error.message) : error;
  }
}

/** What the objects of a resource can be selected by besides name and namespace. */
const FIELDS: Readonly<Record<string, readonly string[]>> = kinds.selectableFields;

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
