import type { KubeObject } from '../../kube/client.ts';

/** What every cluster of a sandbox starts with. */
export interface WorkloadOptions {
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
    ports: [{ name: 'http', containerPort: ECHO_PORT }],
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
    spec: { selector: labels, ports: [{ name: 'http', port: ECHO_PORT, targetPort: 'http' }] },
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
