import { readFile } from 'node:fs/promises';
import { systemClock, type Clock } from '../runtime/clock.ts';
import { ExpectedError, messageOf } from '../runtime/errors.ts';

/** What identifies us in each request. */
export interface Credentials {
  /** Headers to send now. */
  headers(): Promise<Readonly<Record<string, string | string[]>>>;
  /** Called after 401; true when there may be something newer and the request is worth repeating. */
  renew(): Promise<boolean>;
}

/** Act as somebody else (the --as flags). */
export interface Impersonation {
  readonly user: string;
  readonly uid?: string | undefined;
  readonly groups?: readonly string[] | undefined;
}

export interface CredentialOptions {
  readonly token?: string | undefined;
  /** Read again every 60 s and after a 401, as mounted tokens are rotated. */
  readonly tokenFile?: string | undefined;
  /** Gives a bearer token, e.g. of an exec plugin; `fresh` asks for a new one after a 401. */
  readonly tokenSource?: ((fresh: boolean) => Promise<string | undefined>) | undefined;
  readonly basic?: { readonly username: string; readonly password: string } | undefined;
  readonly impersonate?: Impersonation | undefined;
  readonly clock?: Clock | undefined;
}

const REREAD_MS = 60_000;

/** Credentials of the given options; headers() rejects with ExpectedError when the token file cannot be read. */
export function createCredentials(options: CredentialOptions): Credentials {
  const impersonation = impersonationHeaders(options.impersonate);
  const bearer = bearerSource(options);
  return {
    headers: async () => {
      const token = await bearer(false);
      return { ...impersonation, ...authorization(token, options.basic) };
    },
    renew: async () => {
      if (options.tokenFile === undefined && options.tokenSource === undefined) return false;
      const before = await bearer(false);
      return (await bearer(true)) !== before;
    },
  };
}

function authorization(token: string | undefined, basic: CredentialOptions['basic']): Readonly<Record<string, string>> {
  if (token !== undefined && token !== '') return { authorization: `Bearer ${token}` };
  if (basic === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}` };
}

function impersonationHeaders(as: Impersonation | undefined): Readonly<Record<string, string | string[]>> {
  if (as === undefined) return {};
  return {
    'impersonate-user': as.user,
    ...(as.uid === undefined ? {} : { 'impersonate-uid': as.uid }),
    ...(as.groups === undefined || as.groups.length === 0 ? {} : { 'impersonate-group': [...as.groups] }),
  };
}

function bearerSource(options: CredentialOptions): (fresh: boolean) => Promise<string | undefined> {
  const { tokenFile, tokenSource, token } = options;
  if (tokenSource !== undefined) return tokenSource;
  if (tokenFile === undefined) return async () => token;
  const clock = options.clock ?? systemClock;
  let known: { readonly text: string; readonly readAt: number } | undefined;
  return async (fresh) => {
    if (known !== undefined && !fresh && clock.monotonic() - known.readAt < REREAD_MS) return known.text;
    try {
      known = { text: (await readFile(tokenFile, 'utf8')).trim(), readAt: clock.monotonic() };
    } catch (error) {
      if (known === undefined) {
        throw new ExpectedError(`cannot read the token file ${tokenFile}: ${messageOf(error)}`, {
          hint: 'Is the secret or the service account token mounted there?',
          cause: error,
        });
      }
    }
    return known.text;
  };
}
