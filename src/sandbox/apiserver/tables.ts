import { type Obj, type Resource, dig, isObj, list, obj, objs, text } from './json.ts';
import { printSelector } from './pods.ts';
import { type ResourceType } from './registry.ts';

/** A duration the way kubectl shows ages. */
function humanDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86_400)];
  const pair = (big: number, unit: string, rest: number, small: string): string =>
    `${big}${unit}${rest === 0 ? '' : `${rest}${small}`}`;
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  return hours < 48 ? (hours < 8 ? pair(hours, 'h', minutes % 60, 'm') : `${hours}h`) : `${days}d`;
}

const orNone = (value: unknown): string => (typeof value === 'string' && value !== '' ? value : '<none>');
const count = (value: unknown): number => (isObj(value) ? Object.keys(value).length : list(value).length);
const joined = (values: readonly unknown[]): string => orNone(values.map(String).join(','));

const podReady = ({ spec, status }: Resource): string =>
  `${objs(obj(status).containerStatuses).filter(({ ready }) => ready === true).length}/${count(obj(spec).containers)}`;

const podRestarts = ({ status }: Resource): string =>
  String(objs(obj(status).containerStatuses).reduce((sum, { restartCount }) => sum + Number(restartCount ?? 0), 0));

function podState({ metadata, status }: Resource): string {
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  const { reason, phase, containerStatuses } = obj(status);
  const states = objs(containerStatuses).flatMap(({ state }) => [
    dig(state, 'waiting', 'reason'),
    dig(state, 'terminated', 'reason'),
  ]);
  return text([reason, ...states, phase].find((each) => text(each) !== ''));
}

const nodeState = ({ status }: Resource): string => {
  const ready = objs(obj(status).conditions).find(({ type }) => type === 'Ready')?.status;
  return ready === undefined ? 'Unknown' : ready === 'True' ? 'Ready' : 'NotReady';
};

const servicePort = ({ port, nodePort, protocol }: Obj): string =>
  `${Number(port)}${nodePort === undefined ? '' : `:${Number(nodePort)}`}/${text(protocol)}`;
const containers = (o: Resource, key: string): string =>
  objs(dig(o, 'spec', 'template', 'spec', 'containers'))
    .map((each) => text(each[key]))
    .join(',');

type Cell = (object: Resource) => unknown;
const at =
  (...keys: string[]): Cell =>
  (object) =>
    dig(object, ...keys);
const statusCount =
  (key: string): Cell =>
  (object) =>
    dig(object, 'status', key) ?? 0;
const WORKLOAD: Readonly<Record<string, Cell>> = {
  'Containers:1': (o) => containers(o, 'name'),
  'Images:1': (o) => containers(o, 'image'),
  'Selector:1': (o) => printSelector(dig(o, 'spec', 'selector')),
};

/** Columns behind Name by kind, in order; ":1" marks those of -o wide, Age is filled in. */
const COLUMNS: Readonly<Record<string, Readonly<Record<string, Cell>>>> = {
  ConfigMap: { Data: (o) => count(o.data) + count(o.binaryData), Age: at() },
  Secret: { Type: at('type'), Data: (o) => count(o.data), Age: at() },
  Namespace: { Status: at('status', 'phase'), Age: at() },
  Pod: {
    Ready: podReady,
    Status: podState,
    Restarts: podRestarts,
    Age: at(),
    'IP:1': (o) => orNone(dig(o, 'status', 'podIP')),
    'Node:1': (o) => orNone(dig(o, 'spec', 'nodeName')),
    'Nominated Node:1': (o) => orNone(dig(o, 'status', 'nominatedNodeName')),
    'Readiness Gates:1': () => '<none>',
  },
  Node: {
    Status: nodeState,
    Age: at(),
    Version: at('status', 'nodeInfo', 'kubeletVersion'),
    'Internal-IP:1': (o) =>
      joined(
        objs(dig(o, 'status', 'addresses'))
          .filter(({ type }) => type === 'InternalIP')
          .map(({ address }) => address),
      ),
  },
  Service: {
    Type: at('spec', 'type'),
    'Cluster-IP': (o) => orNone(dig(o, 'spec', 'clusterIP')),
    'External-IP': (o) => orNone(dig(o, 'spec', 'externalName')),
    'Port(s)': (o) => joined(objs(dig(o, 'spec', 'ports')).map(servicePort)),
    Age: at(),
    'Selector:1': (o) => orNone(printSelector({ matchLabels: dig(o, 'spec', 'selector') })),
  },
  Deployment: {
    Ready: (o) => `${Number(dig(o, 'status', 'readyReplicas') ?? 0)}/${Number(dig(o, 'spec', 'replicas') ?? 0)}`,
    'Up-to-date': statusCount('updatedReplicas'),
    Available: statusCount('availableReplicas'),
    Age: at(),
    ...WORKLOAD,
  },
  ReplicaSet: {
    Desired: at('spec', 'replicas'),
    Current: statusCount('replicas'),
    Ready: statusCount('readyReplicas'),
    Age: at(),
    ...WORKLOAD,
  },
  DaemonSet: {
    Desired: statusCount('desiredNumberScheduled'),
    Current: statusCount('currentNumberScheduled'),
    Ready: statusCount('numberReady'),
    Available: statusCount('numberAvailable'),
    Age: at(),
    ...WORKLOAD,
  },
  Lease: { Holder: (o) => text(dig(o, 'spec', 'holderIdentity')), Age: at() },
  EndpointSlice: {
    AddressType: at('addressType'),
    Ports: (o) => joined(objs(o.ports).map(({ port }) => port)),
    Endpoints: (o) => joined(objs(o.endpoints).flatMap(({ addresses }) => list(addresses))),
    Age: at(),
  },
  Event: {
    Type: at('type'),
    Reason: at('reason'),
    Object: at('involvedObject', 'name'),
    Message: at('message'),
    Age: at(),
  },
};

const define = (name: string, type = 'string', format = '', priority = 0): Obj => ({
  name,
  type,
  format,
  description: '',
  priority,
});

/** Column definitions of a resource, and the cells of an object in them. */
export function printerOf(type: ResourceType, now: number): { columns: Obj[]; cells: (object: Resource) => unknown[] } {
  const age = (made: unknown): string => humanDuration(now - Date.parse(text(made)));
  const own = type.custom === undefined ? builtinColumns(type.kind) : customColumns(type.custom, age);
  const value = (object: Resource, [{ name, type }, cell]: Column): unknown =>
    name === 'Age' && type === 'string' ? age(object.metadata.creationTimestamp) : cell(object);
  return {
    columns: [define('Name', 'string', 'name'), ...own.map(([column]) => column)],
    cells: (object) => [object.metadata.name, ...own.map((column) => value(object, column))],
  };
}

type Column = readonly [definition: Obj, cell: Cell];

const builtinColumns = (kind: string): Column[] =>
  Object.entries(COLUMNS[kind] ?? { Age: at() }).map(([title, cell]) => {
    const [name = '', wide] = title.split(':');
    return [define(name, 'string', '', Number(wide ?? 0)), cell];
  });

function customColumns({ additionalPrinterColumns: given }: Obj, age: (made: unknown) => string): Column[] {
  const made = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };
  return objs(list(given).length === 0 ? [made] : given).map(({ name, type, format, priority, jsonPath: path }) => {
    const cell = (object: Resource): unknown => {
      const value = jsonPath(object, text(path)) ?? null;
      return type === 'date' && value !== null
        ? age(value)
        : isObj(value) || Array.isArray(value)
          ? JSON.stringify(value)
          : value;
    };
    return [define(text(name), text(type), text(format), Number(priority ?? 0)), cell];
  });
}

/** The first value at a simple JSONPath: .a.b[0]['c'] and [?(@.type=="x")] filters. */
function jsonPath(object: unknown, path: string): unknown {
  let found: unknown = object;
  const part = /\.([\w-]+)|\['([^']+)'\]|\[(\d+)\]|\[\?\(@\.(\w+)\s*==\s*["']([^"']*)["']\)\]/g;
  for (const [, name, quoted, index, key = '', wanted] of path.matchAll(part))
    found =
      wanted === undefined
        ? dig(found, name ?? quoted ?? Number(index))
        : objs(found).find((each) => each[key] === wanted);
  return found;
}
