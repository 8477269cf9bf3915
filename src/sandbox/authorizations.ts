import { channel } from 'node:diagnostics_channel';
import { appendFileSync } from 'node:fs';

/** What an API server was asked to decide. */
export interface AuthorizationQuestion {
  readonly verb: string;
  /** '' for the core group. */
  readonly group: string;
  /** '' when the question is about a path that is no resource. */
  readonly plural: string;
  readonly subresource: string;
  /** '' is the cluster scope. */
  readonly namespace: string;
  /** '' when the request names no object. */
  readonly name: string;
}

/** One line of the log: an account asked this and was allowed it or not. */
export interface Authorization extends AuthorizationQuestion {
  /** `namespace:name` of the service account. */
  readonly account: string;
  readonly allowed: boolean;
}

/** The embedded API server tells of its decisions here, so that it need not know who listens. */
const decisions = channel('subctl.sandbox.authorizations');
const SERVICE_ACCOUNT = 'system:serviceaccount:';

/** Tells whoever listens that a user was allowed something or not. */
export function decided(user: string, asked: AuthorizationQuestion, allowed: boolean): void {
  if (!decisions.hasSubscribers || !user.startsWith(SERVICE_ACCOUNT) || asked.plural === '') return;
  const { verb, group, plural, subresource, namespace, name } = asked;
  const account = user.slice(SERVICE_ACCOUNT.length);
  const authorization: Authorization = { account, verb, group, plural, subresource, namespace, name, allowed };
  decisions.publish(authorization);
}

/** Writes what service accounts are allowed or denied to a file, once each, as lines of JSON. */
export function logAuthorizations(file: string): void {
  const known = new Set<string>();
  decisions.subscribe((message) => {
    const line = JSON.stringify(message);
    if (known.has(line)) return;
    known.add(line);
    appendFileSync(file, `${line}\n`, { mode: 0o600 });
  });
}
