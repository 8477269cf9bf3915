import { type KeyObject, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';

const DSA = { dsaEncoding: 'ieee-p1363' } as const;
const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** PEM of a new P-256 key that signs service account tokens. */
export function createServiceAccountKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** A JWT signed with a P-256 private key (RFC 7519, ES256). */
export function signJwt(key: KeyObject, claims: object): string {
  const text = `${encoded({ alg: 'ES256', typ: 'JWT' })}.${encoded(claims)}`;
  return `${text}.${sign('sha256', Buffer.from(text), { key, ...DSA }).toString('base64url')}`;
}

/** The claims of a JWT that was signed with this private key; undefined for any other text. */
export function readJwt(key: KeyObject, token: string): unknown {
  const [head = '', body = '', signature = ''] = token.split('.');
  try {
    const publicKey = createPublicKey(key.export({ type: 'pkcs8', format: 'pem' }));
    const text = Buffer.from(`${head}.${body}`);
    const good = verify('sha256', text, { key: publicKey, ...DSA }, Buffer.from(signature, 'base64url'));
    return good ? JSON.parse(Buffer.from(body, 'base64url').toString()) : undefined;
  } catch {
    return undefined;
  }
}
