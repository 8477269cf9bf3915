import { createPublicKey, randomUUID, sign, verify } from 'node:crypto';
import { type Api } from './api.ts';
import { type Obj, type Resource, dig, isObj, obj, text, texts } from './json.ts';
import { type User } from './request.ts';
import { ApiError } from './status.ts';

const LEGACY = 'kubernetes.io/serviceaccount/';
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A signed JWT (ES256 or RS256, as the key asks). */
export function signToken({ signingKey }: Api, claims: Obj): string {
  const alg = signingKey.asymmetricKeyType === 'rsa' ? 'RS256' : 'ES256';
  const body = `${encode({ alg, typ: 'JWT' })}.${encode(claims)}`;
  return `${body}.${sign('sha256', Buffer.from(body), { key: signingKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

function readToken({ signingKey }: Api, token: string): Obj | undefined {
  const [head = '', body = '', signature = ''] = token.split('.');
  try {
    const key = {
      key: createPublicKey(signingKey.export({ type: 'pkcs8', format: 'pem' })),
      dsaEncoding: 'ieee-p1363',
    } as const;
    const good = verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'));
    const claims: unknown = good ? JSON.parse(Buffer.from(body, 'base64url').toString()) : undefined;
    return isObj(claims) ? claims : undefined;
  } catch {
    return undefined;
  }
}

const accountUser = (account: Resource, extra: Readonly<Record<string, string[]>>): User => {
  const { namespace = '', name, uid = '' } = account.metadata;
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
  const base = { name: `system:serviceaccount:${namespace}:${name}`, uid, groups };
  return Object.keys(extra).length === 0 ? base : { ...base, extra };
};

/** The service account behind a token and the audiences it is for; undefined when it is not (or no longer) good. */
export function tokenUser(api: Api, token: string): { user: User; audiences: string[] } | undefined {
  const claims = readToken(api, token);
  if (claims === undefined || (typeof claims['exp'] === 'number' && claims['exp'] * 1000 < api.now())) return undefined;
  const bound = obj(claims['kubernetes.io']);
  const legacy = claims['iss'] === 'kubernetes/serviceaccount';
  const claim = (key: string): string => text(claims[LEGACY + key]);
  const namespace = legacy ? claim('namespace') : text(bound['namespace']);
  const name = legacy ? claim('service-account.name') : text(dig(bound, 'serviceaccount', 'name'));
  const uid = legacy ? claim('service-account.uid') : dig(bound, 'serviceaccount', 'uid');
  const account = api.store.get('serviceaccounts', namespace, name);
  if (account === undefined || account.metadata.uid !== uid) return undefined;
  if (legacy) {
    const secret = api.store.get('secrets', namespace, claim('secret.name'));
    return secret === undefined ? undefined : { user: accountUser(account, {}), audiences: [api.issuer] };
  }
  const extra: Record<string, string[]> = {
    'authentication.kubernetes.io/credential-id': [`JTI=${text(claims['jti'])}`],
  };
  for (const kind of ['node', 'pod', 'secret'] as const) {
    if (!isObj(bound[kind])) continue;
    const live = api.store.get(`${kind}s`, kind === 'node' ? undefined : namespace, text(bound[kind]['name']));
    if (kind !== 'node' && live?.metadata.uid !== bound[kind]['uid']) return undefined;
    if (kind === 'secret') continue;
    extra[`authentication.kubernetes.io/${kind}-name`] = [text(bound[kind]['name'])];
    extra[`authentication.kubernetes.io/${kind}-uid`] = [text(bound[kind]['uid'])];
  }
  return { user: accountUser(account, extra), audiences: texts(claims['aud']) };
}

/** The claims of a bound token for a service account; `seconds` from now. */
export function boundClaims(
  api: Api,
  account: Resource,
  audiences: readonly string[],
  seconds: number,
  bound: Obj,
): Obj {
  const { namespace = '', name, uid = '' } = account.metadata;
  const iat = Math.floor(api.now() / 1000);
  return {
    ...{ aud: audiences, exp: iat + seconds, iat, nbf: iat, iss: api.issuer, jti: randomUUID() },
    sub: `system:serviceaccount:${namespace}:${name}`,
    'kubernetes.io': { namespace, serviceaccount: { name, uid }, ...bound },
  };
}

/** The never-ending token kept in a service account token Secret. */
export function legacyToken(api: Api, account: Resource, secret: string): string {
  const { namespace = '', name, uid = '' } = account.metadata;
  return signToken(api, {
    iss: 'kubernetes/serviceaccount',
    sub: `system:serviceaccount:${namespace}:${name}`,
    [`${LEGACY}namespace`]: namespace,
    [`${LEGACY}secret.name`]: secret,
    [`${LEGACY}service-account.name`]: name,
    [`${LEGACY}service-account.uid`]: uid,
  });
}

/** Who sends a request with this Authorization header; 401 for a bearer token nobody knows. */
export function authenticate(api: Api, authorization: string | undefined): User {
  const token = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
  if (token === undefined) return { name: 'system:anonymous', groups: ['system:unauthenticated'] };
  if (token === api.adminToken) return { name: 'admin', groups: ['system:masters', 'system:authenticated'] };
  const found = tokenUser(api, token);
  if (found === undefined || !found.audiences.includes(api.issuer))
    throw new ApiError(401, 'Unauthorized', { reason: 'Unauthorized' });
  return found.user;
}

/** The user that Impersonate-* headers ask for, undefined without them. */
export function impersonated(headers: Readonly<Record<string, string | string[] | undefined>>): User | undefined {
  const name = headers['impersonate-user'];
  if (typeof name !== 'string') return undefined;
  const given = [headers['impersonate-group'] ?? []].flat().flatMap((group) => group.split(', '));
  const [, namespace] = /^system:serviceaccount:([^:]+):/.exec(name) ?? [];
  const account = namespace === undefined ? [] : ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
  return { name, groups: [...(given.length > 0 ? given : account), 'system:authenticated'] };
}
