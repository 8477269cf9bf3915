import type { KubeClient } from './client.ts';
import { createHttpsClient, type HttpsClientOptions } from './httpsclient.ts';

/** How soon daemons notice that an API server has fallen silent, and how long they wait for an answer. */
export const DAEMON_TIMES = { livenessMs: 5000, requestTimeoutMs: 10_000 } as const;

/** A client of the broker's API server: its certificate may also be of one of the system's CAs, as with upstream. */
export function createBrokerClient(options: HttpsClientOptions): KubeClient {
  return createHttpsClient({ ...options, alsoSystemCas: true });
}
