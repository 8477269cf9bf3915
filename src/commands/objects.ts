import type { KubeObject } from '../kube/client.ts';

/** What became of one object. */
export type Outcome = 'created' | 'configured' | 'unchanged' | 'deleted';

/** One object a command wrote, for reports and -o json. */
export interface Written {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string | undefined;
  /** Where: `cluster` the joined cluster, `broker` the broker. */
  readonly on: 'cluster' | 'broker';
  readonly outcome: Outcome;
}

/** The record of an object that was written. */
export function written(object: KubeObject, on: Written['on'], outcome: Outcome): Written {
  const { name = object.metadata.generateName ?? '', namespace } = object.metadata;
  return { kind: object.kind ?? '', name, namespace, on, outcome };
}

/** `3 created, 1 configured, 20 unchanged`, without the zeros. */
export function countOutcomes(objects: readonly Written[]): string {
  const outcomes: readonly Outcome[] = ['created', 'configured', 'unchanged', 'deleted'];
  const counts = outcomes.map((outcome) => ({
    outcome,
    count: objects.filter((one) => one.outcome === outcome).length,
  }));
  const parts = counts.filter(({ count }) => count > 0).map(({ outcome, count }) => `${count} ${outcome}`);
  return parts.length === 0 ? 'nothing to do' : parts.join(', ');
}

/** A line for an object: `DaemonSet submariner-operator/submariner-gateway created`. */
export function describeWritten({ kind, name, namespace, on, outcome }: Written): string {
  const where = on === 'broker' ? ' (on the broker)' : '';
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name} ${outcome}${where}`;
}
