import { type Obj, type Resource, dig, isObj, list, obj, objs, text, texts } from './json.ts';
import { printSelector } from './pods.ts';
import { type ResourceType } from './registry.ts';

interface Printer {
  /** Column names; ":1" marks those of -o wide. */
  readonly columns: readonly string[];
  readonly cells: (object: Resource) => readonly unknown[];
}

/** A duration the way kubectl shows ages. */
export function humanDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86_400)];
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
  if (minutes < 180) return `${minutes}m`;
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
  if (hours < 48) return `${hours}h`;
  return days < 730 ? `${days}d` : `${Math.floor(days / 365)}y`;
}

const orNone = (value: unknown): string => (value === undefined || value === '' ? '<none>' : String(value));
const count = (value: unknown): number => (isObj(value) ? Object.keys(value).length : list(value).length);
const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
const joined = (values: readonly unknown[]): string => (values.length === 0 ? '<none>' : values.map(String).join(','));

function podCells(pod: Resource): readonly unknown[] {
  const spec = obj(pod['spec']);
  const status = obj(pod['status']);
  const states = objs(status['containerStatuses']);
  const waiting = states.map(
    (each) => text(dig(each, 'state', 'waiting', 'reason')) || text(dig(each, 'state', 'terminated', 'reason')),
  );
  const reason = text(status['reason']) || waiting.find((each) => each !== '') || text(status['phase']);
  const ready = states.filter((each) => each['ready'] === true).length;
  const restarts = states.reduce((sum, each) => sum + number(each['restartCount']), 0);
  const shown = pod.metadata.deletionTimestamp === undefined ? reason : 'Terminating';
  const places = [status['podIP'], spec['nodeName'], status['nominatedNodeName'], undefined].map(orNone);
  return [`${ready}/${count(spec['containers'])}`, shown, String(restarts), ...places];
}

function nodeCells(node: Resource): readonly unknown[] {
  const status = obj(node['status']);
  const info = obj(status['nodeInfo']);
  const ready = objs(status['conditions']).find((each) => each['type'] === 'Ready')?.['status'];
  const state = ready === 'True' ? 'Ready' : ready === undefined ? 'Unknown' : 'NotReady';
  const roles = Object.keys(node.metadata.labels ?? {})
    .filter((key) => key.startsWith('node-role.kubernetes.io/'))
    .map((key) => key.split('/')[1]);
  const address = (type: string): string =>
    orNone(objs(status['addresses']).find((each) => each['type'] === type)?.['address']);
  const unknown = ['osImage', 'kernelVersion', 'containerRuntimeVersion'].map((key) => text(info[key]) || '<unknown>');
  const cordoned = dig(node, 'spec', 'unschedulable') === true ? ',SchedulingDisabled' : '';
  return [
    state + cordoned,
    joined(roles),
    text(info['kubeletVersion']),
    address('InternalIP'),
    address('ExternalIP'),
    ...unknown,
  ];
}

function serviceCells(service: Resource): readonly unknown[] {
  const spec = obj(service['spec']);
  const ports = objs(spec['ports']).map(
    (port) =>
      `${number(port['port'])}${port['nodePort'] === undefined ? '' : `:${number(port['nodePort'])}`}/${text(port['protocol'])}`,
  );
  const ingress = objs(dig(service, 'status', 'loadBalancer', 'ingress')).map((each) => each['ip'] ?? each['hostname']);
  const external = spec['type'] === 'ExternalName' ? text(spec['externalName']) : joined(ingress);
  return [
    spec['type'],
    orNone(spec['clusterIP']),
    spec['type'] === 'LoadBalancer' && ingress.length === 0 ? '<pending>' : external,
    joined(ports),
    printSelector({ matchLabels: spec['selector'] }) || '<none>',
  ];
}

const podColumns = (object: Resource): string[] => {
  const containers = objs(dig(object, 'spec', 'template', 'spec', 'containers'));
  return [
    containers.map((each) => text(each['name'])).join(','),
    containers.map((each) => text(each['image'])).join(','),
    printSelector(dig(object, 'spec', 'selector')),
  ];
};

const column = (names: string): readonly string[] => names.split('|');

const PRINTERS: Readonly<Record<string, Printer>> = {
  ConfigMap: { columns: column('Data|Age'), cells: (o) => [count(o['data']) + count(o['binaryData'])] },
  Secret: { columns: column('Type|Data|Age'), cells: (o) => [o['type'], count(o['data'])] },
  ServiceAccount: { columns: column('Secrets|Age'), cells: (o) => [count(o['secrets'])] },
  Namespace: { columns: column('Status|Age'), cells: (o) => [dig(o, 'status', 'phase')] },
  Pod: { columns: column('Ready|Status|Restarts|Age|IP:1|Node:1|Nominated Node:1|Readiness Gates:1'), cells: podCells },
  Node: {
    columns: column(
      'Status|Roles|Age|Version|Internal-IP:1|External-IP:1|OS-Image:1|Kernel-Version:1|Container-Runtime:1',
    ),
    cells: nodeCells,
  },
  Service: { columns: column('Type|Cluster-IP|External-IP|Port(s)|Age|Selector:1'), cells: serviceCells },
  Deployment: {
    columns: column('Ready|Up-to-date|Available|Age|Containers:1|Images:1|Selector:1'),
    cells: (o) => {
      const status = obj(o['status']);
      return [
        `${number(status['readyReplicas'])}/${number(dig(o, 'spec', 'replicas'))}`,
        number(status['updatedReplicas']),
        number(status['availableReplicas']),
        ...podColumns(o),
      ];
    },
  },
  ReplicaSet: {
    columns: column('Desired|Current|Ready|Age|Containers:1|Images:1|Selector:1'),
    cells: (o) => [
      number(dig(o, 'spec', 'replicas')),
      number(dig(o, 'status', 'replicas')),
      number(dig(o, 'status', 'readyReplicas')),
      ...podColumns(o),
    ],
  },
  DaemonSet: {
    columns: column('Desired|Current|Ready|Up-to-date|Available|Node Selector|Age|Containers:1|Images:1|Selector:1'),
    cells: (o) => {
      const counts = [
        'desiredNumberScheduled',
        'currentNumberScheduled',
        'numberReady',
        'updatedNumberScheduled',
        'numberAvailable',
      ];
      const selector = printSelector({ matchLabels: dig(o, 'spec', 'template', 'spec', 'nodeSelector') });
      return [...counts.map((key) => number(dig(o, 'status', key))), selector || '<none>', ...podColumns(o)];
    },
  },
  Lease: { columns: column('Holder|Age'), cells: (o) => [text(dig(o, 'spec', 'holderIdentity'))] },
  Endpoints: {
    columns: column('Endpoints|Age'),
    cells: (o) => [
      joined(
        objs(o['subsets']).flatMap((set) =>
          objs(set['addresses']).flatMap((at) =>
            objs(set['ports']).map((port) => `${text(at['ip'])}:${number(port['port'])}`),
          ),
        ),
      ),
    ],
  },
  EndpointSlice: {
    columns: column('AddressType|Ports|Endpoints|Age'),
    cells: (o) => [
      o['addressType'],
      joined(objs(o['ports']).map((port) => port['port'])),
      joined(objs(o['endpoints']).flatMap((each) => texts(each['addresses']))),
    ],
  },
  Event: {
    columns: column('Type|Reason|Object|Message|Age'),
    cells: (o) => [
      o['type'],
      o['reason'],
      `${text(dig(o, 'involvedObject', 'kind')).toLowerCase()}/${text(dig(o, 'involvedObject', 'name'))}`,
      text(o['message']).trim(),
    ],
  },
  RoleBinding: {
    columns: column('Role|Age'),
    cells: (o) => [`${text(dig(o, 'roleRef', 'kind'))}/${text(dig(o, 'roleRef', 'name'))}`],
  },
  ClusterRoleBinding: {
    columns: column('Role|Age'),
    cells: (o) => [`${text(dig(o, 'roleRef', 'kind'))}/${text(dig(o, 'roleRef', 'name'))}`],
  },
};
const CREATED: Printer = { columns: ['Created At'], cells: () => [] };

const define = (name: string, type: string, format: string, priority: number, description = ''): Obj => ({
  name,
  type,
  format,
  description,
  priority,
});

const NAME = define('Name', 'string', 'name', 0, 'Name must be unique within a namespace.');

/** Column definitions of a resource and the cells of an object in them. */
export function printerOf(type: ResourceType, now: number): { columns: Obj[]; cells: (object: Resource) => unknown[] } {
  const age = (object: Resource): string => humanDuration(now - Date.parse(text(object.metadata['creationTimestamp'])));
  if (type.custom !== undefined) return customPrinter(type.custom.version, age, now);
  const { columns, cells } = PRINTERS[type.kind] ?? CREATED;
  const names = columns.map((each) => each.split(':') as [string, string?]);
  const ageAt = names.findIndex(([name]) => name === 'Age' || name === 'Created At');
  return {
    columns: [
      NAME,
      ...names.map(([name, wide]) => define(name, name === 'Created At' ? 'date' : 'string', '', Number(wide ?? 0))),
    ],
    cells: (object) => {
      const made = columns === CREATED.columns ? text(object.metadata['creationTimestamp']) : age(object);
      return [object.metadata.name, ...[...cells(object)].toSpliced(ageAt, 0, made)];
    },
  };
}

function customPrinter(version: Obj, age: (object: Resource) => string, now: number): ReturnType<typeof printerOf> {
  const given = objs(version['additionalPrinterColumns']);
  if (given.length === 0)
    return { columns: [NAME, define('Age', 'date', '', 0)], cells: (object) => [object.metadata.name, age(object)] };
  const columns = given.map((each) =>
    define(
      text(each['name']),
      text(each['type']),
      text(each['format']),
      number(each['priority']),
      text(each['description']),
    ),
  );
  const cell = (object: Resource, each: Obj): unknown => {
    const value = jsonPath(object, text(each['jsonPath']));
    if (value === undefined || value === null) return null;
    if (each['type'] === 'date') return humanDuration(now - Date.parse(text(value)));
    return each['type'] === 'string' && typeof value === 'object' ? JSON.stringify(value) : value;
  };
  return {
    columns: [NAME, ...columns],
    cells: (object) => [object.metadata.name, ...given.map((each) => cell(object, each))],
  };
}

/** The first value at a simple JSONPath: .a.b[0]['c'] and [?(@.type=="x")] filters. */
function jsonPath(object: unknown, path: string): unknown {
  let at: unknown = object;
  for (const [, name, quoted, index, key = '', wanted] of path.matchAll(
    /\.([\w-]+)|\['([^']+)'\]|\[(\d+|\*)\]|\[\?\(@\.(\w+)\s*==\s*["']([^"']*)["']\)\]/g,
  )) {
    if (wanted !== undefined) at = objs(at).find((each) => each[key] === wanted);
    else at = dig(at, name ?? quoted ?? (index === '*' ? 0 : Number(index)));
  }
  return at;
}
