import { stringify } from 'yaml';

/** How to reach one cluster of a sandbox. */
export interface ClusterAccess {
  readonly name: string;
  /** The URL of the API server, the same inside and outside. */
  readonly server: string;
  /** PEM. */
  readonly ca: string;
  readonly adminToken: string;
}

/**
 * A kubeconfig with one context a cluster, named like it; the first is current. The servers are named by their addresses
 * inside the sandbox and reached through its proxy on loopback. `neighbours` are named without credentials, so that
 * subctl knows the way to a broker among them.
 */
export function renderKubeconfig(
  clusters: readonly ClusterAccess[],
  proxyPort: number,
  neighbours: readonly ClusterAccess[] = [],
): string {
  const proxy = `http://127.0.0.1:${proxyPort}`;
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': clusters[0]?.name ?? '',
      clusters: [...clusters, ...neighbours].map(({ name, server, ca }) => ({
        name,
        cluster: { server, 'proxy-url': proxy, 'certificate-authority-data': Buffer.from(ca).toString('base64') },
      })),
      users: clusters.map(({ name, adminToken }) => ({ name: `admin@${name}`, user: { token: adminToken } })),
      contexts: clusters.map(({ name }) => ({
        name,
        context: { cluster: name, user: `admin@${name}`, namespace: 'default' },
      })),
    },
    { lineWidth: 0 },
  );
}
