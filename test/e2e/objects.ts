import type { TestSandbox } from './subctl.ts';

interface Kubernetes {
  readonly kind: string;
  readonly type?: string;
  readonly metadata: Readonly<Record<string, unknown>> & {
    readonly name: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** Kinds that join makes or changes in a cluster. */
const KINDS = [
  'namespaces',
  'customresourcedefinitions',
  'serviceaccounts',
  'clusterroles',
  'clusterrolebindings',
  'roles',
  'rolebindings',
  'secrets',
  'configmaps',
  'nodes',
  'daemonsets',
];
/** What every server and every writer gives of its own. */
const OF_THE_SERVER = ['uid', 'resourceVersion', 'creationTimestamp', 'generation', 'managedFields'];
const OF_THE_WRITER = ['kubectl.kubernetes.io/last-applied-configuration'];

function without(object: object, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

/** An object without what differs between two that were written alike; of a token only what kind it is. */
function normalised({ status: _status, metadata, data, ...rest }: Kubernetes): unknown {
  const { annotations = {}, ...plain } = without(metadata, OF_THE_SERVER) as Partial<Kubernetes['metadata']>;
  const token = data?.['token'] === undefined ? {} : { token: 'a token' };
  return {
    ...rest,
    metadata: { ...plain, annotations: without(annotations, OF_THE_WRITER) },
    ...(data === undefined ? {} : { data: { ...data, ...token } }),
  };
}

/** What join makes or changes in a cluster, or would, all of it, without what differs between two that were written alike. */
export function objectsIn(sandbox: TestSandbox, cluster: string): readonly unknown[] {
  const kubectl = (...args: readonly string[]): string => sandbox.kubectl('--context', cluster, ...args);
  const known = kubectl('get', 'customresourcedefinitions', '-o', 'name').includes('/submariners.submariner.io');
  const kinds = known ? [...KINDS, 'submariners'] : KINDS;
  const text = kubectl('get', kinds.join(','), '--all-namespaces', '-o', 'json');
  const { items } = JSON.parse(text) as { readonly items: readonly Kubernetes[] };
  // Made by the cluster's controllers a moment later, each with a random name.
  return items.filter(({ type }) => type !== 'kubernetes.io/service-account-token').map(normalised);
}
