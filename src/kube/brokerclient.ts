import type { KubeClient } from './client.ts';
import { createHttpsClient, type HttpsClientOptions } from './httpsclient.ts';

/** A client of the broker's API server: its certificate may also be of one of the system's CAs, as with upstream. */
export function createBrokerClient(options: HttpsClientOptions): KubeClient {
  return createHttpsClient({ ...options, alsoSystemCas: true });
}
