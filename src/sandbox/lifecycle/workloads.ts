import type { KubeObject } from '../../kube/client.ts';
import type { Pod } from '../../kube/objects.ts';
import { RESOURCES, resourceOf } from '../../kube/resources.ts';
import { isPodReady } from '../controllers/pods.ts';
import type { ClusterPlan } from '../plan.ts';
import { clusterClient, waitFor, type SandboxTools } from './tools.ts';

/** What every cluster of a sandbox starts with. */
export interface WorkloadOptions {
  readonly cluster: string;
  /** Pods of Deployment echo; the scheduler spreads them over the nodes. */
  readonly replicas: number;
  /** Node of pod client. */
  readonly clientNode: string;
  /** Tag of the images. */
  readonly version: string;
}

const REPOSITORY = 'localhost/sandbox';
/** Where echo answers. */
export const ECHO_PORT = 8080;

/** Deployment and Service echo and pod client, in namespace default. */
export function defaultWorkloads(options: WorkloadOptions): readonly KubeObject[] {
  const labels = { app: 'echo' };
  const echo = {
    name: 'echo',
    image: `${REPOSITORY}/echo:${options.version}`,
    ports: [{ name: 'http', containerPort: ECHO_PORT, protocol: 'TCP' }],
    env: [
      { name: 'CLUSTER', value: options.cluster },
      { name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
    ],
    readinessProbe: { httpGet: { path: '/', port: ECHO_PORT }, periodSeconds: 2 },
  };
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'echo', namespace: 'default', labels },
    spec: {
      replicas: options.replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [echo] } },
    },
  };
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'echo', namespace: 'default', labels },
    spec: { selector: labels, ports: [{ name: 'http', protocol: 'TCP', port: ECHO_PORT, targetPort: 'http' }] },
  };
  const client = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'client', namespace: 'default', labels: { app: 'client' } },
    spec: {
      terminationGracePeriodSeconds: 1,
      nodeSelector: { 'kubernetes.io/hostname': options.clientNode },
      containers: [{ name: 'client', image: `${REPOSITORY}/client:${options.version}` }],
    },
  };
  return [deployment, service, client];
}

/** The node of pod client: the last one that is not a gateway, else the last. */
export function clientNode(cluster: ClusterPlan): string {
  return (cluster.nodes.findLast((node) => !node.gateway) ?? cluster.nodes.at(-1))?.name ?? '';
}

/** Creates the workloads of a cluster; they run as soon as its nodes are ready. */
export async function createWorkloads(tools: SandboxTools, cluster: ClusterPlan): Promise<void> {
  const client = clusterClient(tools.files, cluster);
  const objects = defaultWorkloads({
    cluster: cluster.name,
    replicas: cluster.nodes.length,
    clientNode: clientNode(cluster),
    version: tools.product.version,
  });
  try {
    for (const object of objects) {
      const type = resourceOf(object.apiVersion ?? '', object.kind ?? '');
      if (type !== undefined)
        await client.apply(type, object, { fieldManager: 'sandbox', force: true, namespace: 'default' });
    }
  } finally {
    client.close();
  }
}

/** Waits until every pod of the workloads is ready. */
export async function waitForWorkloads(tools: SandboxTools, cluster: ClusterPlan): Promise<void> {
  const client = clusterClient(tools.files, cluster);
  try {
    await waitFor(tools, { what: `the workloads of ${cluster.name}`, timeoutMs: 60_000 }, async () => {
      const { items } = await client.list<Pod>(RESOURCES.pods, { namespace: 'default' });
      const ready = items.filter(isPodReady).length;
      return ready >= cluster.nodes.length + 1 ? true : undefined;
    });
  } finally {
    client.close();
  }
}
