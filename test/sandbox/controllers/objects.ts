import type { DaemonSet, Node, Pod, Service } from '../../../src/kube/objects.ts';
import type { ReplicaSet, RollingDeployment } from '../../../src/sandbox/controllers/workload-types.ts';

/** A node that is ready. */
export function node(
  name: string,
  change: { labels?: Record<string, string>; spec?: Node['spec']; ready?: 'True' | 'False' | 'Unknown' } = {},
): Node {
  return {
    metadata: {
      name,
      uid: `uid-${name}`,
      labels: { 'kubernetes.io/hostname': name, ...change.labels },
      creationTimestamp: '2026-01-01T00:00:00Z',
    },
    spec: change.spec ?? {},
    status: { conditions: [{ type: 'Ready', status: change.ready ?? 'True' }] },
  };
}

interface PodChange {
  readonly node?: string;
  readonly ready?: boolean;
  readonly owner?: { readonly metadata: { readonly uid?: string; readonly name?: string } };
  readonly labels?: Record<string, string>;
  readonly ip?: string;
  readonly terminating?: boolean;
  readonly phase?: string;
  readonly age?: number;
  readonly spec?: Partial<Pod['spec']>;
}

/** A running pod. `age` 0 is the youngest. */
export function pod(name: string, change: PodChange = {}): Pod {
  const owner = change.owner?.metadata;
  return {
    metadata: {
      name,
      namespace: 'default',
      uid: `uid-${name}`,
      labels: change.labels ?? {},
      creationTimestamp: new Date(Date.UTC(2026, 0, 1) - (change.age ?? 0) * 1000).toISOString(),
      ...(change.terminating === true ? { deletionTimestamp: '2026-01-01T00:00:01Z' } : {}),
      ...(owner === undefined
        ? {}
        : {
            ownerReferences: [
              { apiVersion: 'apps/v1', kind: 'Owner', name: owner.name ?? '', uid: owner.uid ?? '', controller: true },
            ],
          }),
    },
    spec: {
      containers: [{ name: 'main' }],
      ...(change.node === undefined ? {} : { nodeName: change.node }),
      ...change.spec,
    },
    status: {
      phase: change.phase ?? 'Running',
      ...(change.ip === undefined ? {} : { podIP: change.ip }),
      conditions: [{ type: 'Ready', status: change.ready === false ? 'False' : 'True' }],
    },
  };
}

export function daemonSet(change: Partial<DaemonSet['spec']> & Record<string, unknown> = {}): DaemonSet {
  return {
    metadata: { name: 'agent', namespace: 'default', uid: 'uid-agent', generation: 3 },
    spec: {
      selector: { matchLabels: { app: 'agent' } },
      template: { metadata: { labels: { app: 'agent' } }, spec: { containers: [{ name: 'agent', image: 'agent:1' }] } },
      ...change,
    },
  };
}

export function deployment(replicas: number, change: Partial<RollingDeployment['spec']> = {}): RollingDeployment {
  return {
    metadata: { name: 'web', namespace: 'default', uid: 'uid-web', generation: 2 },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image: 'web:1' }] } },
      ...change,
    },
  };
}

export function replicaSet(replicas: number): ReplicaSet {
  return {
    metadata: { name: 'web-1', namespace: 'default', uid: 'uid-web-1', generation: 1 },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web' }] } },
    },
  };
}

export function service(change: Partial<Service['spec']> = {}): Service {
  return {
    metadata: { name: 'web', namespace: 'default', uid: 'uid-service' },
    spec: { clusterIP: '100.66.0.9', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }], ...change },
  };
}
