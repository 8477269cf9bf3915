import type { KubeClient } from '../kube/client.ts';
import type { Secret } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import { type Deadline, waitFor } from './waiting.ts';
import type { Outcome } from './objects.ts';

const ACCOUNT_ANNOTATION = 'kubernetes.io/service-account.name';
const TOKEN_TYPE = 'kubernetes.io/service-account-token';

/** A filled token Secret, and whether it had to be made. */
export interface TokenSecret {
  readonly secret: Secret;
  readonly outcome: Outcome;
}

/** Secrets that hold (or will hold) a token of a service account, oldest first. */
async function tokenSecrets(client: KubeClient, namespace: string, account: string): Promise<readonly Secret[]> {
  const { items } = await client.list<Secret>(RESOURCES.secrets, { namespace });
  const stamp = ({ metadata }: Secret): string => `${metadata.creationTimestamp ?? ''} ${metadata.name ?? ''}`;
  return items
    .filter(({ type, metadata }) => type === TOKEN_TYPE && metadata.annotations?.[ACCOUNT_ANNOTATION] === account)
    .sort((a, b) => (stamp(a) < stamp(b) ? -1 : 1));
}

function isFilled({ data }: Secret): boolean {
  return (data?.['token'] ?? '') !== '';
}

/** The filled token Secret of a service account; undefined when there is none. */
export async function tokenSecretOf(
  client: KubeClient,
  namespace: string,
  account: string,
): Promise<Secret | undefined> {
  return (await tokenSecrets(client, namespace, account)).find(isFilled);
}

/**
 * The long-lived token of a service account: an existing Secret, else a new one, filled by the cluster's token
 * controller. Rejects with ExpectedError when that does not happen before the deadline.
 */
export async function ensureTokenSecret(
  client: KubeClient,
  at: { readonly namespace: string; readonly account: string },
  deadline: Deadline,
  onPending: (text: string) => void,
): Promise<TokenSecret> {
  const { namespace, account } = at;
  const existing = await tokenSecrets(client, namespace, account);
  const first = existing.find(isFilled) ?? existing[0];
  const chosen = first ?? (await createTokenSecret(client, namespace, account));
  const name = chosen.metadata.name ?? '';
  const secret = await waitFor<Secret>({
    deadline,
    what: `the token of service account ${namespace}/${account}`,
    hint: `The token controller of the broker's kube-controller-manager fills Secret ${namespace}/${name}; is it running?`,
    intervalMs: 100,
    onPending,
    look: async () => {
      const found = await client.find<Secret>(RESOURCES.secrets, name, { namespace });
      if (found === undefined) return { pending: `Secret ${namespace}/${name} has vanished` };
      return isFilled(found) ? { done: found } : { pending: `Secret ${namespace}/${name} has no token yet` };
    },
  });
  return { secret, outcome: first === undefined ? 'created' : 'unchanged' };
}

async function createTokenSecret(client: KubeClient, namespace: string, account: string): Promise<Secret> {
  const secret: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      generateName: `${account}-token-`,
      namespace,
      annotations: { [ACCOUNT_ANNOTATION]: account, 'kubernetes.io/created-by': 'subctl' },
    },
    type: TOKEN_TYPE,
  };
  return client.create(RESOURCES.secrets, secret, { namespace, fieldManager: 'subctl' });
}
