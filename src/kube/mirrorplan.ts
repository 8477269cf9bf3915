/** What has to be copied between a cluster and the broker, without I/O. */
import { CLUSTER_ID_LABEL } from '../api/names.ts';
import { ownershipProblem } from '../api/validate.ts';
import type { KubeObject } from './client.ts';

/** A Cluster or an Endpoint, as somebody wrote it. */
export interface MirroredObject extends KubeObject {
  readonly spec?: { readonly cluster_id?: unknown; readonly [field: string]: unknown };
}

export interface MirrorInputs {
  readonly clusterId: string;
  readonly localNamespace: string;
  readonly brokerNamespace: string;
  /** All objects of one kind in the local namespace. */
  readonly local: readonly MirroredObject[];
  /** All objects of that kind in the broker's namespace. */
  readonly broker: readonly MirroredObject[];
  /** Names that own objects get on the broker; without: those they have here. */
  readonly brokerNames?: readonly string[] | undefined;
}

/** One change; `object` is the object as it shall be, or the one to delete. */
export interface MirrorStep {
  readonly on: 'broker' | 'local';
  readonly action: 'create' | 'replace' | 'delete';
  readonly object: MirroredObject;
}

export interface MirrorPlan {
  readonly steps: readonly MirrorStep[];
  /** Objects that are left alone, and why. */
  readonly problems: readonly string[];
}

/**
 * The steps that make both sides alike: own objects (without the cluster ID label) to the broker with the label, those of
 * other clusters into the local namespace, copies whose source is gone deleted. On the broker own objects have names of
 * `brokerNames`, if there are any. An empty local side deletes nothing on the
 * broker: before the first publication there is no source yet, and leaving for good is uninstall's work. Objects whose label
 * and spec.cluster_id disagree are neither copied nor deleted.
 */
export function planMirror(inputs: MirrorInputs): MirrorPlan {
  const outward = planOutward(inputs);
  const inward = planInward(inputs);
  return {
    steps: [...outward.steps, ...inward.steps],
    problems: [...outward.problems, ...inward.problems],
  };
}

function planOutward({ clusterId, brokerNamespace, local, broker, brokerNames }: MirrorInputs): MirrorPlan {
  const unlabelled = local.filter((object) => labelOf(object) === undefined);
  const [sources, strangers] = partition(unlabelled, ({ spec }) => spec?.cluster_id === clusterId);
  const problems = strangers.map(
    (object) => `${describe(object)} is not published: it is not labelled and not of cluster ${clusterId}`,
  );
  const labels = { [CLUSTER_ID_LABEL]: clusterId };
  const isOwn = (object: MirroredObject): boolean => labelOf(object) === clusterId;
  const copies = sources.map((source) => copyOf(source, brokerNamespace, labels));
  const wanted = brokerNames === undefined ? copies : renamed(copies, broker, isOwn, brokerNames);
  const { steps, blocked } = converge('broker', wanted, broker, isOwn);
  const clashes = blocked.map(
    (object) => `${describe(object)} is not published: the broker has one of another cluster by that name`,
  );
  const kept = sources.length === 0 ? steps.filter(({ action }) => action !== 'delete') : steps;
  return { steps: kept, problems: [...problems, ...clashes] };
}

/**
 * The copies under the names they have on the broker already, else under free ones of those given: what is published
 * keeps its name as long as it is published. When none is free they keep their own.
 */
function renamed(
  copies: readonly MirroredObject[],
  broker: readonly MirroredObject[],
  isOwn: (object: MirroredObject) => boolean,
  names: readonly string[],
): readonly MirroredObject[] {
  const taken = new Set(broker.map(({ metadata }) => metadata.name));
  const free = names.filter((name) => !taken.has(name));
  const published = broker.filter(isOwn).toSorted((a, b) => rank(a, names) - rank(b, names));
  return copies.map((copy) => {
    const cable = copy.spec?.['cable_name'];
    if (typeof cable !== 'string') return copy;
    const there = published.find(({ spec }) => spec?.['cable_name'] === cable);
    const name = there?.metadata.name ?? free.shift();
    return name === undefined ? copy : { ...copy, metadata: { ...copy.metadata, name } };
  });
}

/** Names of the list come first. */
function rank({ metadata }: MirroredObject, names: readonly string[]): number {
  return names.includes(metadata.name ?? '') ? 0 : 1;
}

function planInward({ clusterId, localNamespace, local, broker }: MirrorInputs): MirrorPlan {
  const foreign = broker.filter((object) => isForeign(object, clusterId));
  const [lies, sources] = partition(foreign, (object) => ownershipProblem(object) !== undefined);
  const problems = lies.map((object) => `${describe(object)} of the broker is ignored: ${ownershipProblem(object)}`);
  const wanted = sources.map((source) => copyOf(source, localNamespace, {}));
  const untouchable = new Set(lies.map(({ metadata }) => metadata.name));
  const { steps, blocked } = converge(
    'local',
    wanted,
    local,
    (object) => isForeign(object, clusterId) && !untouchable.has(object.metadata.name),
  );
  const clashes = blocked.map(
    (object) => `${describe(object)} of cluster ${labelOf(object)} is ignored: an own object has that name`,
  );
  return { steps, problems: [...problems, ...clashes] };
}

/** Steps that make the objects we answer for on one side exactly the wanted ones; `blocked` are wanted under a name that is not ours. */
function converge(
  on: MirrorStep['on'],
  wanted: readonly MirroredObject[],
  present: readonly MirroredObject[],
  isOurs: (object: MirroredObject) => boolean,
): { readonly steps: readonly MirrorStep[]; readonly blocked: readonly MirroredObject[] } {
  const byName = new Map(present.map((object) => [object.metadata.name, object]));
  const blocked: MirroredObject[] = [];
  const writes: MirrorStep[] = [];
  for (const object of wanted) {
    const existing = byName.get(object.metadata.name);
    if (existing === undefined) writes.push({ on, action: 'create', object });
    else if (!isOurs(existing)) blocked.push(object);
    else if (contentOf(existing) !== contentOf(object))
      writes.push({ on, action: 'replace', object: onto(existing, object) });
  }
  const names = new Set(wanted.map(({ metadata }) => metadata.name));
  const gone = present.filter((object) => isOurs(object) && !names.has(object.metadata.name));
  const deletes = gone.map((object): MirrorStep => ({ on, action: 'delete', object }));
  return { steps: [...writes, ...deletes], blocked };
}

function labelOf(object: MirroredObject): string | undefined {
  return object.metadata.labels?.[CLUSTER_ID_LABEL];
}

function isForeign(object: MirroredObject, clusterId: string): boolean {
  const label = labelOf(object);
  return label !== undefined && label !== clusterId;
}

/** Name, labels, annotations and content travel; everything else belongs to the side it is on. */
function copyOf(source: MirroredObject, namespace: string, labels: Readonly<Record<string, string>>): MirroredObject {
  const { name, annotations, labels: own } = source.metadata;
  const { metadata: _metadata, ...content } = source;
  return {
    ...content,
    metadata: {
      ...(name === undefined ? {} : { name }),
      namespace,
      labels: { ...own, ...labels },
      ...(annotations === undefined ? {} : { annotations }),
    },
  };
}

function onto(existing: MirroredObject, wanted: MirroredObject): MirroredObject {
  const { uid, resourceVersion } = existing.metadata;
  const identity = {
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  return { ...wanted, metadata: { ...wanted.metadata, ...identity } };
}

function contentOf(object: MirroredObject): string {
  const { labels = {}, annotations = {} } = object.metadata;
  return JSON.stringify([labels, annotations, object.spec ?? {}], (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function describe(object: MirroredObject): string {
  return `${object.kind ?? 'object'} ${object.metadata.name ?? ''}`;
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): readonly [readonly T[], readonly T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}
