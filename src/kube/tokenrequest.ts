import type { KubeClient } from './client.ts';
import { RESOURCES, resourcePath } from './resources.ts';

/** What a token is to be. */
export interface TokenWish {
  readonly namespace: string;
  /** Name of the service account. */
  readonly account: string;
  /** The server may give less, or more. */
  readonly seconds: number;
  /** Secret in the same namespace with which the token ends. */
  readonly secret?: string | undefined;
}

/** The shortest life of a token that API servers give. */
export const SHORTEST_TOKEN_SECONDS = 600;

interface TokenRequest {
  readonly status?: { readonly token?: string; readonly expirationTimestamp?: string };
}

/** A new token of a service account, from the API server itself: no controller has a part in it. */
export async function requestToken(client: KubeClient, wish: TokenWish, signal?: AbortSignal): Promise<string> {
  const { namespace, account, seconds, secret } = wish;
  const path = resourcePath(RESOURCES.serviceAccounts, { namespace, name: account, subresource: 'token' });
  const bound = secret === undefined ? {} : { boundObjectRef: { apiVersion: 'v1', kind: 'Secret', name: secret } };
  const request = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { expirationSeconds: Math.max(SHORTEST_TOKEN_SECONDS, Math.ceil(seconds)), ...bound },
  };
  const { status } = await client.request<TokenRequest>('POST', path, request, signal);
  if (status?.token === undefined || status.token === '') throw new Error(`${client.server} gave an empty token`);
  return status.token;
}
