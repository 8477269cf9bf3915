import type { KubeClient } from '../../kube/client.ts';
import type { Pod } from '../../kube/objects.ts';
import { RESOURCES, resourcePath } from '../../kube/resources.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { TokenSource } from './volumes.ts';

interface TokenRequest {
  readonly status: { readonly token: string; readonly expirationTimestamp: string };
}

interface Held {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly renewAt: number;
}

/** Share of a token's life after which it is renewed, as a kubelet does. */
const RENEW_SHARE = 0.8;

/** Requests tokens bound to the pod (TokenRequest API), holds them, and renews them at four fifths of their life. */
export function podTokens(client: KubeClient, pod: Pod, clock: Clock): TokenSource {
  const held = new Map<string, Held>();
  const { namespace = 'default', name = '', uid = '' } = pod.metadata;
  const account = pod.spec.serviceAccountName ?? 'default';
  const path = resourcePath(RESOURCES.serviceAccounts, { namespace, name: account, subresource: 'token' });
  return async (audience, expirationSeconds) => {
    const key = JSON.stringify([audience, expirationSeconds]);
    const known = held.get(key);
    if (known !== undefined && clock.now() < known.renewAt) return known.token;
    const { status } = await client.request<TokenRequest>('POST', path, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: {},
      spec: {
        audiences: audience === undefined ? null : [audience],
        expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    });
    const lifeMs = Date.parse(status.expirationTimestamp) - clock.now();
    held.set(key, { token: status.token, renewAt: clock.now() + RENEW_SHARE * lifeMs });
    return status.token;
  };
}
