/** What a service account token says of itself. Pure; nothing is verified, that is the API server's work. */
import { decodeBase64Url, isObject } from './decode.ts';

/** The claims of a token that matter to us. Times are milliseconds since the epoch. */
export interface TokenFacts {
  /** Name of the service account; undefined for what is no such token. */
  readonly account: string | undefined;
  readonly namespace: string | undefined;
  readonly issuedAtMs: number | undefined;
  /** undefined: it never ends, as those of Secrets. */
  readonly expiresAtMs: number | undefined;
  /** Name of the Secret it ends with, whether it is kept there or only bound to it. */
  readonly secret: string | undefined;
}

const NOTHING: TokenFacts = {
  account: undefined,
  namespace: undefined,
  issuedAtMs: undefined,
  expiresAtMs: undefined,
  secret: undefined,
};

/** Reads the claims of a token; never throws. */
export function readToken(token: string): TokenFacts {
  const claims = parse(decodeBase64Url(token.split('.')[1] ?? ''));
  if (claims === undefined) return NOTHING;
  const [, namespace, account] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(textIn(claims, 'sub') ?? '') ?? [];
  const own = claims['kubernetes.io'];
  const bound = isObject(own) && isObject(own['secret']) ? textIn(own['secret'], 'name') : undefined;
  return {
    account,
    namespace,
    issuedAtMs: timeIn(claims, 'iat'),
    expiresAtMs: timeIn(claims, 'exp'),
    secret: bound ?? textIn(claims, 'kubernetes.io/serviceaccount/secret.name'),
  };
}

function parse(json: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (json === undefined) return undefined;
  try {
    const parsed: unknown = JSON.parse(json);
    return isObject(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function textIn(fields: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const value = fields[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Dates end 275,760 years after the epoch. */
const LAST_MS = 8.64e15;

function timeIn(fields: Readonly<Record<string, unknown>>, key: string): number | undefined {
  const value = fields[key];
  return typeof value === 'number' && value >= 0 ? Math.min(value * 1000, LAST_MS) : undefined;
}
