import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { KubeClient } from '../../kube/client.ts';
import type { PodRequest } from '../apiserver/server.ts';
import { planSandbox, type SandboxSize } from '../plan.ts';
import { createPodProxy } from '../podproxy.ts';

/** What a node needs to serve the API server of its cluster as a kubelet does. */
export interface KubeletConfig {
  readonly cluster: string;
  readonly size: SandboxSize;
  /** The directory that has one of each node. */
  readonly nodesDir: string;
  /** The API server's own: it is the one client, and nobody checks the name of the server. */
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

const PORT = 10_250;
/** Paths of the kubelet and the subresources of pods they stand for. */
const SUBRESOURCES: ReadonlyMap<string, string> = new Map([
  ['exec', 'exec'],
  ['containerLogs', 'log'],
]);

/** The request for a pod that a path of the kubelet stands for; undefined when it is none that is served. */
export function kubeletRequest(
  url: string,
): Pick<PodRequest, 'namespace' | 'name' | 'subresource' | 'query'> | undefined {
  const { pathname, searchParams } = new URL(url, 'https://kubelet');
  const [, verb = '', namespace = '', name = '', container = '', ...more] = pathname.split('/');
  const subresource = SUBRESOURCES.get(verb);
  if (subresource === undefined || container === '' || more.length > 0) return undefined;
  const query = new URLSearchParams(searchParams);
  query.set('container', container);
  if (searchParams.get('input') === '1') query.set('stdin', 'true');
  return { namespace, name, subresource, query };
}

/** Serves logs and exec of the pods of a sandbox to a real API server until aborted; rejects when the port is taken. */
export async function serveKubelet(
  { cluster, size, nodesDir, caFile, certFile, keyFile }: KubeletConfig,
  client: KubeClient,
  signal: AbortSignal,
): Promise<void> {
  const proxy = createPodProxy({ plan: planSandbox(size), cluster, nodeDir: (node) => `${nodesDir}/${node}`, client });
  const [ca, cert, key] = [caFile, certFile, keyFile].map((file) => readFileSync(file));
  const server = createServer({ ca, cert, key, requestCert: true, rejectUnauthorized: true });
  server.on('request', (request, response) => {
    const wanted = kubeletRequest(request.url ?? '/');
    if (wanted === undefined) response.writeHead(404).end();
    else proxy({ ...wanted, request, response });
  });
  server.on('upgrade', (request, socket, head) => {
    const wanted = kubeletRequest(request.url ?? '/');
    if (wanted === undefined) socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
    else proxy({ ...wanted, request, socket, head });
  });
  await listening(server, signal);
}

function listening(server: Server, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('close', resolve);
    const end = (): void => {
      server.close();
      server.closeAllConnections();
    };
    if (signal.aborted) resolve();
    else server.listen(PORT, () => signal.addEventListener('abort', end, { once: true }));
  });
}
