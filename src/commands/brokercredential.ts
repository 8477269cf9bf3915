import { readToken } from '../api/token.ts';
import type { KubeClient, OwnerReference } from '../kube/client.ts';
import { isForbidden, isNotFound } from '../kube/errors.ts';
import type { Secret } from '../kube/objects.ts';
import { RESOURCES } from '../kube/resources.ts';
import { requestToken } from '../kube/tokenrequest.ts';
import { type Written, written } from './objects.ts';

/** On a Secret of the broker: the cluster whose credential ends with it. */
export const CREDENTIAL_LABEL = 'subctl.submariner.io/credential-of';
/** How long a cluster's credential lasts unless it is told otherwise; its gateways renew it long before. */
export const CREDENTIAL_SECONDS = 24 * 60 * 60;

const ACCOUNT_ANNOTATION = 'kubernetes.io/service-account.name';

/** Whose credential. */
export interface CredentialOwner {
  readonly namespace: string;
  readonly clusterId: string;
  /** Name and uid of its service account. */
  readonly account: string;
  readonly uid: string;
}

/** A new token and the Secret it is bound to. */
export interface IssuedCredential {
  readonly token: string;
  readonly secret: string;
  readonly record: Written;
}

/**
 * Issues a credential: a token that ends, also before its time when the Secret is deleted that is made for it. undefined
 * when the broker does not let us request tokens, as those of other programs do.
 */
export async function issueCredential(
  client: KubeClient,
  owner: CredentialOwner,
  seconds: number,
): Promise<IssuedCredential | undefined> {
  const { namespace, account } = owner;
  const made = await client.create(RESOURCES.secrets, anchorOf(owner), { namespace, fieldManager: 'subctl' });
  const secret = made.metadata.name ?? '';
  try {
    const token = await requestToken(client, { namespace, account, seconds, secret });
    return { token, secret, record: written({ ...made, kind: 'Secret' }, 'broker', 'created') };
  } catch (error) {
    await client.delete(RESOURCES.secrets, secret, { namespace }).catch(() => false);
    if (isForbidden(error) || isNotFound(error)) return undefined;
    throw error;
  }
}

/** Holds nothing: it is there to be deleted. */
function anchorOf({ account, uid, clusterId }: CredentialOwner): Secret {
  const owner: OwnerReference = { apiVersion: 'v1', kind: 'ServiceAccount', name: account, uid };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      generateName: `${account}-credential-`,
      labels: { [CREDENTIAL_LABEL]: clusterId },
      ownerReferences: [owner],
    },
    type: 'Opaque',
  };
}

/** Whether a Secret of the broker holds or carries a credential of a service account. */
export function isCredentialOf({ metadata }: Secret, owner: Pick<CredentialOwner, 'account' | 'clusterId'>): boolean {
  const { annotations, labels } = metadata;
  return annotations?.[ACCOUNT_ANNOTATION] === owner.account || labels?.[CREDENTIAL_LABEL] === owner.clusterId;
}

/** Ends all credentials of a cluster but the one given; undefined when that is not allowed. */
export async function endCredentials(
  client: KubeClient,
  owner: Pick<CredentialOwner, 'namespace' | 'account' | 'clusterId'>,
  keptToken: string | undefined,
): Promise<readonly Written[] | undefined> {
  const { namespace } = owner;
  const kept = keptToken === undefined ? undefined : readToken(keptToken).secret;
  const records: Written[] = [];
  try {
    const { items } = await client.list<Secret>(RESOURCES.secrets, { namespace });
    for (const secret of items.filter((one) => isCredentialOf(one, owner) && one.metadata.name !== kept)) {
      const { name = '' } = secret.metadata;
      if (await client.delete(RESOURCES.secrets, name, { namespace }))
        records.push(written({ kind: 'Secret', metadata: { name, namespace } }, 'broker', 'deleted'));
    }
    return records;
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}
