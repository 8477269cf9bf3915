import { createPublicKey, randomUUID, sign, verify } from 'node:crypto';
import { type Api } from './api.ts';
import { type Obj, type Resource, obj, text, texts } from './json.ts';
import { type User } from './request.ts';
import { ApiError } from './status.ts';

const LEGACY = 'kubernetes.io/serviceaccount/';
const ENCODING = 'ieee-p1363';
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A signed JWT (ES256 or RS256, as the key asks). */
function signToken({ signingKey }: Api, claims: Obj): string {
  const alg = signingKey.asymmetricKeyType === 'rsa' ? 'RS256' : 'ES256';
  const body = `${encode({ alg, typ: 'JWT' })}.${encode(claims)}`;
  return `${body}.${sign('sha256', Buffer.from(body), { key: signingKey, dsaEncoding: ENCODING }).toString('base64url')}`;
}

function readToken({ signingKey }: Api, token: string): Obj {
  const [head = '', body = '', signature = ''] = token.split('.');
  try {
    const key = createPublicKey(signingKey.export({ type: 'pkcs8', format: 'pem' }));
    const good = verify(
      'sha256',
      Buffer.from(`${head}.${body}`),
      { key, dsaEncoding: ENCODING },
      Buffer.from(signature, 'base64url'),
    );
    return good ? obj(JSON.parse(Buffer.from(body, 'base64url').toString())) : {};
  } catch {
    return {};
  }
}

/** Extra user information about the objects a token is bound to; undefined when one of them is gone. */
function boundExtra({ store }: Api, bound: Obj, namespace: string): Record<string, string[]> | undefined {
  const extra: Record<string, string[]> = {};
  for (const kind of ['node', 'pod', 'secret']) {
    const { name, uid } = obj(bound[kind]);
    if (name === undefined) continue;
    const live = store.get(`${kind}s`, kind === 'node' ? undefined : namespace, text(name));
    if (kind !== 'node' && live?.metadata.uid !== uid) return undefined;
    extra[`authentication.kubernetes.io/${kind}-name`] = [text(name)];
    extra[`authentication.kubernetes.io/${kind}-uid`] = [text(uid)];
  }
  return extra;
}

/** Which service account a token speaks of, and for the kind kept in a Secret that Secret's name. */
function identityOf(claims: Obj): { namespace: string; name: string; uid: string; secret?: string } {
  const { namespace, serviceaccount } = obj(claims['kubernetes.io']);
  const { name, uid } = obj(serviceaccount);
  const claim = (key: string): string => text(claims[LEGACY + key]);
  const account = { name: claim('service-account.name'), uid: claim('service-account.uid') };
  if (claims.iss !== 'kubernetes/serviceaccount')
    return { namespace: text(namespace), name: text(name), uid: text(uid) };
  return { namespace: claim('namespace'), ...account, secret: claim('secret.name') };
}

/** The service account behind a token and the audiences it is for; undefined when it is not (or no longer) good. */
export function tokenUser(api: Api, token: string): { user: User; audiences: string[] } | undefined {
  const claims = readToken(api, token);
  const { namespace, name, uid, secret } = identityOf(claims);
  const account = api.store.get('serviceaccounts', namespace, name);
  const expired = Number(claims.exp ?? Infinity) * 1000 < api.now();
  const secretGone = secret !== undefined && api.store.get('secrets', namespace, secret) === undefined;
  const bound = boundExtra(api, obj(claims['kubernetes.io']), namespace);
  if (account?.metadata.uid !== uid || expired || secretGone || bound === undefined) return undefined;
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
  const extra = { 'authentication.kubernetes.io/credential-id': [`JTI=${text(claims.jti)}`], ...bound };
  const user = { name: `system:serviceaccount:${namespace}:${name}`, uid, groups };
  if (secret !== undefined) return { user, audiences: [api.issuer] };
  return { user: { ...user, extra }, audiences: texts(claims.aud) };
}

const subject = ({ metadata }: Resource): string => `system:serviceaccount:${metadata.namespace}:${metadata.name}`;

/** A token for a service account that ends in `seconds`, or with what it is bound to. */
export function boundToken(api: Api, account: Resource, aud: readonly string[], seconds: number, bound: Obj): string {
  const { namespace, name, uid } = account.metadata;
  const iat = Math.floor(api.now() / 1000);
  const times = { exp: iat + seconds, iat, nbf: iat };
  const own = { 'kubernetes.io': { namespace, serviceaccount: { name, uid }, ...bound } };
  return signToken(api, { aud, ...times, iss: api.issuer, jti: randomUUID(), sub: subject(account), ...own });
}

/** The never-ending token kept in a service account token Secret. */
export function legacyToken(api: Api, account: Resource, secret: string): string {
  const { namespace, name, uid } = account.metadata;
  const claims = { namespace, 'secret.name': secret, 'service-account.name': name, 'service-account.uid': uid };
  const named = Object.entries(claims).map(([key, value]) => [LEGACY + key, value]);
  return signToken(api, {
    iss: 'kubernetes/serviceaccount',
    sub: subject(account),
    ...(Object.fromEntries(named) as Obj),
  });
}

/** Who the administrator's token stands for. */
export const ADMIN: User = { name: 'admin', groups: ['system:masters', 'system:authenticated'] };

/** Who sends a request with this Authorization header; 401 for a bearer token nobody knows. */
export function authenticate(api: Api, authorization = ''): User {
  const token = /^Bearer (.+)$/i.exec(authorization)?.[1];
  if (token === undefined) return { name: 'system:anonymous', groups: ['system:unauthenticated'] };
  if (token === api.adminToken) return ADMIN;
  const found = tokenUser(api, token);
  if (found?.audiences.includes(api.issuer) !== true) throw new ApiError(401, 'Unauthorized', 'Unauthorized');
  return found.user;
}
