import { createPrivateKey } from 'node:crypto';
import type { Secret, ServiceAccount } from '../../kube/objects.ts';
import { signJwt } from '../jwt.ts';

/** Type of a Secret that a token controller fills in. */
export const TOKEN_SECRET_TYPE = 'kubernetes.io/service-account-token';
const NAME = 'kubernetes.io/service-account.name';
const UID = 'kubernetes.io/service-account.uid';

/** A token without expiry, bound to its Secret, signed with a P-256 key (RFC 7519, ES256). */
export function secretToken(secret: Secret, account: ServiceAccount, signingKey: string): string {
  const { name = '', namespace = '' } = account.metadata;
  const prefix = 'kubernetes.io/serviceaccount';
  return signJwt(createPrivateKey(signingKey), {
    iss: 'kubernetes/serviceaccount',
    sub: `system:serviceaccount:${namespace}:${name}`,
    [`${prefix}/namespace`]: namespace,
    [`${prefix}/secret.name`]: secret.metadata.name,
    [`${prefix}/service-account.name`]: name,
    [`${prefix}/service-account.uid`]: account.metadata.uid,
  });
}

/** What is to be done with a token Secret: fill it, remove it because its account is gone, or nothing. */
export type TokenStep =
  | { readonly kind: 'fill'; readonly secret: Secret; readonly patch: object }
  | { readonly kind: 'remove'; readonly secret: Secret }
  | undefined;

/** Compares a token Secret with its service account; `ca` is PEM. */
export function planToken(
  secret: Secret,
  accounts: readonly ServiceAccount[],
  ca: string,
  signingKey: string,
): TokenStep {
  if (secret.type !== TOKEN_SECRET_TYPE || secret.metadata.deletionTimestamp !== undefined) return undefined;
  const { namespace, annotations = {} } = secret.metadata;
  const account = accounts.find(
    (one) => one.metadata.namespace === namespace && one.metadata.name === annotations[NAME],
  );
  const bound = annotations[UID];
  if (account === undefined || (bound !== undefined && bound !== account.metadata.uid))
    return { kind: 'remove', secret };
  if (secret.data?.['token'] !== undefined) return undefined;
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const data = {
    'ca.crt': base64(ca),
    namespace: base64(namespace ?? ''),
    token: base64(secretToken(secret, account, signingKey)),
  };
  return { kind: 'fill', secret, patch: { metadata: { annotations: { [UID]: account.metadata.uid } }, data } };
}
