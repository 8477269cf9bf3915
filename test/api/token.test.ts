import { expect, test } from '@jest/globals';
import { readToken } from '../../src/api/token.ts';

const NOTHING = {
  account: undefined,
  namespace: undefined,
  issuedAtMs: undefined,
  expiresAtMs: undefined,
  secret: undefined,
};
const token = (claims: unknown): string => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`;

test('a requested token tells whose it is, when it ends and with which Secret', () => {
  const bound = { 'kubernetes.io': { secret: { name: 's', uid: 'u' } } };
  expect(readToken(token({ sub: 'system:serviceaccount:ns:cluster-a', iat: 10, exp: 20, ...bound }))).toEqual({
    account: 'cluster-a',
    namespace: 'ns',
    issuedAtMs: 10_000,
    expiresAtMs: 20_000,
    secret: 's',
  });
});

test('the token of a Secret never ends and names its Secret', () => {
  const claims = { sub: 'system:serviceaccount:ns:a', 'kubernetes.io/serviceaccount/secret.name': 'a-token-x' };
  expect(readToken(token(claims))).toEqual({ ...NOTHING, account: 'a', namespace: 'ns', secret: 'a-token-x' });
});

test.each([
  '',
  'opaque',
  'a.b.c',
  token(null),
  token([]),
  token({ sub: 7, iat: 'x', exp: -1, 'kubernetes.io': { secret: { name: 1 } } }),
  token({ sub: 'system:node:n' }),
])('%s is no token of a service account', (text) => {
  expect(readToken(text)).toEqual(NOTHING);
});

test('a time beyond all dates is the last one there is', () => {
  expect(() => new Date(readToken(token({ exp: 1e300 })).expiresAtMs!).toISOString()).not.toThrow();
});
